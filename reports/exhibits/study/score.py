"""The study's own score by cell."""

from math import isfinite

from reports.drawing.tables import MISSING_VALUE, Column, Table, Value, columns_of, number
from reports.exhibits.cells import factor_columns, factor_values
from reports.exhibits.measure_exhibit import MeasureExhibit, drawn_note
from studies.declared.measures import main_measure
from studies.reading.judged import JudgedStudy
from studies.reading.results import COMPLETE, UNFINISHED, rows_of


class Score(MeasureExhibit):
    """The metric that the study declares, on its test split."""

    section = "scores"

    def __init__(self, source: JudgedStudy) -> None:
        super().__init__(source, main_measure(source.study.declaration), "scores")

    def has_data(self) -> bool:
        """Returns whether a confirming run has ended, with or without a score."""
        runs = self.results.runs
        return bool(((runs["phase"] == "confirm") & (runs["status"] != UNFINISHED)).any())

    def placeholder(self) -> str:
        return "" if self.has_data() else "No confirming run has ended yet; there is nothing to draw."

    def caption(self) -> str:
        notes = f"{drawn_note(self.results)}{self._shortcut_note()}"
        return (
            "Each small mark is a seed; each large mark is the mean of a cell with its "
            f"{self.confidence()} interval over seeds, which stays within the range of the metric. Cells with one "
            f"seed, or with equal scores in all seeds, have no interval.{notes} "
            "A cross on the axis marks a failed run, which has no score."
        )

    def _shortcut_note(self) -> str:
        """Returns what the dotted line shows, or why it is missing; empty without a shortcut."""
        shortcut = self.study.declaration.shortcut
        if shortcut is None:
            return ""
        if self.study.declaration.metric != "exact":
            return f" The dotted line is the shortcut {shortcut} on the same test samples."
        known = [isfinite(row.shortcut) for row in self.cell_scores.values() if row.seeds]
        if known and not any(known):
            return f" No line shows the shortcut {shortcut}: its share of whole answers was not stored with these runs."
        return (
            f" The dotted line is the share of the same test samples in which the shortcut {shortcut} gets every "
            "scored token right."
        )

    def table_title(self) -> str:
        return "score"

    def summary(self) -> Table:
        """Returns the score of each cell next to what shortcuts explain."""
        results, declaration = self.results, self.study.declaration
        titles = ["seeds", f"mean {declaration.metric}", f"{self.confidence()} interval"]
        titles += [f"shortcut {declaration.shortcut}"] if declaration.shortcut else []
        accuracy = results.column("accuracy_unexplained") in results.runs
        titles += ["accuracy above best shortcut", "unexplained accuracy"] if accuracy else []
        form = [*factor_columns(results), *columns_of("number", [*titles, "training seconds"])]
        table = Table("Score by cell", [*form, Column("every seed", "many")])
        runs = results.runs[results.runs["phase"] == "confirm"].sort_values("seed", kind="stable")
        by_cell = {str(cell): rows_of(group) for cell, group in runs.groupby("cell", sort=False)}
        for row in self.cell_scores.values():
            seeds = [
                f"{run['score']:z.3f}" if run["status"] == COMPLETE else run["status"]
                for run in by_cell.get(row.cell, [])
            ]
            low, high = number(row.low), number(row.high)
            span = Value(f"{low.text} to {high.text}", low.order) if low.order is not None else MISSING_VALUE
            values = [Value(f"{row.seeds} of {self.study.seeds}", row.seeds), number(row.mean), span]
            values += [number(row.shortcut)] if declaration.shortcut else []
            values += [number(row.above_shortcuts, "+.3f"), number(row.unexplained)] if accuracy else []
            every_seed = Value(" ".join(seeds)) if seeds else MISSING_VALUE
            seconds = number(row.train_seconds, ".1f")
            table.rows.append([*factor_values(results, row.cell), *values, seconds, every_seed])
        return table
