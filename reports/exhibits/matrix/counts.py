"""How many runs of each objective solved each task: the counts behind the heat map of shares."""

import numpy as np

from reports.drawing.tables import MISSING_VALUE, Column, Table, Value, columns_of, word
from reports.exhibits.exhibit import MatrixExhibit
from reports.frames.matrix.results import ArmRuns


class SolvedCounts(MatrixExhibit):
    """A table with one row for each objective, the baseline first, and one column for each task."""

    section = "matrix"
    folds_long_tables = False

    def title(self) -> str:
        return "How many runs solved each task?"

    def introduction(self) -> str:
        return (
            "Each entry has the runs that solved the task, of all runs that ended. Where at least half did, the "
            "median share of the budget until then is in brackets."
        )

    def table(self) -> Table:
        """Returns the counts; a claim that stayed undecided may have given an arm more seeds than others have."""
        form = [Column("objective", "word"), *columns_of("number", self.source.tasks.values())]
        table = Table("Runs that solved the task, of all runs", form)
        for objective, title in self.source.objectives.items():
            counts = [_count(self.source.arms[objective, task]) for task in self.source.tasks]
            table.rows.append([word(title), *counts])
        return table


def _count(arm: ArmRuns) -> Value:
    if not arm.solved:
        return MISSING_VALUE
    text = f"{sum(arm.solved.values())} of {len(arm.solved)}"
    median = float(np.median(list(arm.budgets.values())))
    return Value(text if median >= 1 else f"{text} ({median:z.2f})", arm.share_solved - median / 1000)
