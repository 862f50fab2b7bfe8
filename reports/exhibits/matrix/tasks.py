"""The columns of a matrix: what counts as solved, the shortcut, and how far the baseline gets."""

from reports.drawing.tables import Column, Table, columns_of, number, word
from reports.exhibits.exhibit import MatrixExhibit


class MatrixTasks(MatrixExhibit):
    """A table with one row for each task."""

    section = "matrix"
    folds_long_tables = False

    def title(self) -> str:
        return "The tasks"

    def table(self) -> Table:
        """Returns the threshold, the score of the shortcut on the test split, the baseline's budget and share, and
        what is published.
        """
        baseline = self.source.objectives[self.source.baseline]
        titles = ("solved at", "shortcut", f"{baseline}: solved", "steps", "operations", "seeds")
        table = Table(
            "What counts as solved, and how far the baseline gets",
            [Column("task", "word"), *columns_of("number", titles), Column("published", "text")],
        )
        for task, title in self.source.tasks.items():
            arm = self.source.arms[self.source.baseline, task]
            values = [number(arm.solved_at, "g"), number(arm.shortcut, ".2f"), number(arm.share_solved, ".2f")]
            values += [number(arm.steps, ",.0f"), number(arm.operations, ".2g"), number(len(arm.solved), "d")]
            table.rows.append([word(title), *values, word(self.source.published.get(task, ""))])
        return table
