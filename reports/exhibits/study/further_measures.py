"""The measures other than the score that claims are about, by cell."""

from collections.abc import Sequence

import numpy as np

from reports.drawing.tables import MISSING_VALUE, Table, Value, columns_of
from reports.exhibits.cells import factor_columns, factor_values
from reports.exhibits.measure_exhibit import MeasureExhibit, drawn_note
from reports.frames.numbers import plural, unsigned
from reports.frames.solving import solving_runs
from reports.frames.wording import measure_name
from studies.declared.measures import BUDGET_TO_SOLVE, STEPS_TO_SOLVE, main_measure, measure_of
from studies.reading.judged import JudgedStudy


class FurtherMeasure(MeasureExhibit):
    """Shows one measure; a study has one such exhibit for each of its measures."""

    section = "scores"

    @classmethod
    def instances(cls, source: JudgedStudy) -> Sequence["FurtherMeasure"]:
        """Returns an exhibit for each measure, in the order of the claims."""
        declaration = source.study.declaration
        measures = dict.fromkeys(measure_of(declaration, judgement.claim) for judgement in source.judgements)
        measures.pop(main_measure(declaration), None)
        return [cls(source, measure, measure.name) for measure in measures]

    def title(self) -> str:
        return measure_name(self.measure, self.labels)

    def placeholder(self) -> str:
        return "" if self.has_data() else "No confirming run has this measure yet."

    def caption(self) -> str:
        return (
            "A claim is about this measure of the same runs. Each small mark is a seed; each large mark is the mean of "
            f"a cell with its {self.confidence()} interval. {self._exceptions()}{drawn_note(self.results)}"
        )

    def _exceptions(self) -> str:
        """Returns a sentence on the cells without an interval, and one on runs that did not solve their task."""
        if self.measure.is_share:
            return "The intervals of shares are exact (Clopper-Pearson)."
        without = "Cells with one seed, or with equal values in all seeds, have none."
        if self.measure.metric not in (STEPS_TO_SOLVE, BUDGET_TO_SOLVE):
            return without
        runs = solving_runs(self.results)
        censored = sum(run.step is None for run in runs)
        return (
            f"{without} {censored} of {plural(len(runs), 'run')} did not solve the task; they count with all the steps "
            "they were to take, so the means are restricted to those."
        )

    def summary(self) -> Table:
        """Returns the measure of each cell that has it."""
        titles = ["seeds", "mean", f"{self.confidence()} interval"]
        form = [*factor_columns(self.results), *columns_of("number", titles)]
        table = Table(f"{self.title()} by cell", form)
        for row in self.cell_scores.values():
            if row.seeds:
                ends = Value(f"{unsigned(row.low)} to {unsigned(row.high)}", row.low)
                interval = ends if np.isfinite(row.low) else MISSING_VALUE
                seeds = Value(f"{row.seeds} of {self.study.seeds}", row.seeds)
                values = [seeds, Value(unsigned(row.mean), row.mean), interval]
                table.rows.append([*factor_values(self.results, row.cell), *values])
        return table
