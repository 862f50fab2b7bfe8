"""The rank of each objective over all tasks, with the ranks that its comparisons leave open."""

from reports.drawing.tables import Column, Table, Value, columns_of, number, word
from reports.exhibits.exhibit import MatrixExhibit
from reports.frames.matrix.across_tasks import ranks
from reports.frames.numbers import plural


class Ranks(MatrixExhibit):
    """A table with one row for each objective, the best first."""

    section = "across tasks"
    folds_long_tables = False

    def title(self) -> str:
        return "Ranks"

    def introduction(self) -> str:
        return (
            "Objectives are ranked by the mean share of the budget until a task is solved, over all tasks and the "
            f"first {plural(self.source.seeds, 'seed')}. The interval has the ranks that exact paired tests of every "
            "two objectives leave open, with Holm's correction: all intervals together hold with "
            f"{100 * (1 - self.source.level):zg}% confidence."
        )

    def table(self) -> Table:
        """Returns ranks and their intervals."""
        titles = ("rank", "interval", "mean share of the budget", "mean rank by task")
        table = Table("Ranks over all tasks; 1 is best", [Column("objective", "word"), *columns_of("number", titles)])
        for name, rank in sorted(ranks(self.source).items(), key=lambda pair: pair[1].rank):
            span = Value(f"{rank.low} to {rank.high}", float(rank.low))
            values = [number(rank.rank, "g"), span, number(rank.mean), number(rank.by_task, ".2f")]
            table.rows.append([word(self.source.objectives[name]), *values])
        return table
