"""The tuning budget of each cell, and the settings that tuning chose."""

from collections.abc import Sequence
from statistics import fmean

from reports.drawing.tables import Table, Value, columns_of, number
from reports.exhibits.cells import factor_columns, factor_values
from reports.exhibits.exhibit import StudyExhibit
from reports.frames.summaries import trials
from studies.declared.levels import short
from studies.reading.judged import JudgedStudy
from studies.reading.results import COMPLETE, rows_of


class TuningBudget(StudyExhibit):
    """A table with one row for each cell."""

    section = "method"

    @classmethod
    def instances(cls, source: JudgedStudy) -> "Sequence[TuningBudget]":
        """Returns the exhibit if the study tunes anything."""
        return [cls(source)] if source.study.trials else []

    def table(self) -> Table:
        """Returns trials, failures, chosen settings and their mean validation score for each cell."""
        keys = list(self.study.declaration.tuning.search)
        titles = ["trials", "failed", *(f"chosen {short(key)}" for key in keys), "validation score"]
        form = [*factor_columns(self.results), *columns_of("number", titles)]
        table = Table("Tuning budget and the settings chosen", form)
        ended = trials(self.results)
        winners = {cell.label: cell.winner or {} for cell in self.results.cells}
        for cell in self.study.cells:
            runs, winner = rows_of(ended[ended["cell"] == cell.label]), winners.get(cell.label, {})
            failed = sum(run["status"] != COMPLETE for run in runs)
            counts = [Value(f"{len(runs)} of {self.study.tuning_runs}", len(runs)), number(failed, "d")]
            chosen = [number(winner.get(key), ".4g") for key in keys]
            scores = [run["score"] for run in runs if run["winner"]]
            best = number(fmean(scores) if scores else None)
            table.rows.append([*factor_values(self.results, cell.label), *counts, *chosen, best])
        return table
