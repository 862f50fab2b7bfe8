"""The probability that a run of each objective improves on that of the baseline, over all tasks."""

import numpy as np

from generators.foundation.settings import Tree
from reports.drawing.marks import show_rows
from reports.drawing.palette import MUTED, PAPER, SERIES, TEXT
from reports.drawing.sheet import open_sheet
from reports.drawing.tables import Column, Table, Value, columns_of, number, word
from reports.exhibits.exhibit import MatrixExhibit
from reports.frames.matrix.across_tasks import Improvement, improvement
from reports.frames.matrix.results import MatrixResults

ROW_HEIGHT = 34


class ImprovementFigure(MatrixExhibit):
    """Draws one probability with its interval for each row."""

    section = "across tasks"

    def __init__(self, source: MatrixResults) -> None:
        super().__init__(source)
        self.estimates: dict[str, Improvement] = {}
        if source.seeds:
            baseline = source.budgets_TxK(source.baseline)
            self.estimates = {row: improvement(source.budgets_TxK(row), baseline, source.level) for row in source.rows}

    def title(self) -> str:
        return f"Probability of improvement over {self.source.objectives[self.source.baseline]}"

    def caption(self) -> str:
        confidence = f"{100 * (1 - self.source.level):zg}%"
        return (
            "The probability that a run takes a smaller share of its budget to solve its task than the baseline's "
            f"run with the same task and seed; a tie counts half. Its exact {confidence} interval counts ties as "
            "losses at the lower end and as wins at the upper end, so it is wide where neither solves a task. It "
            f"holds for each objective by itself, over the first {self.source.seeds} seeds of every task."
        )

    def figures(self) -> list[str]:
        rows = list(self.estimates)
        with open_sheet("improvement", 90 + ROW_HEIGHT * len(rows)) as sheet:
            sheet.axes.axvline(0.5, color=TEXT, lw=1, zorder=1)
            texts = []
            for place, (row, estimate) in enumerate(self.estimates.items()):
                style: Tree = {"color": SERIES[0], "lw": 2.4, "solid_capstyle": "butt"}
                sheet.axes.plot([estimate.low, estimate.high], [place, place], **style, zorder=3)
                ends = f"{estimate.low:z.2f} to {estimate.high:z.2f}"
                text = f"{self.source.objectives[row]}: {estimate.probability:z.2f} ({ends})"
                sheet.mark(estimate.probability, place, "o", text, color=SERIES[0], ms=8, mec=PAPER, mew=1, zorder=4)
                texts.append(text)
            show_rows(sheet, [self.source.objectives[row] for row in rows])
            sheet.axes.set(xlim=(-0.02, 1.02), xlabel="probability of improvement")
            sheet.axes.set_xticks(np.linspace(0, 1, 5))
            sheet.axes.tick_params(axis="x", color=MUTED)
            return [sheet.svg(self.title(), "; ".join(texts))]

    def table(self) -> Table:
        """Returns the counts behind the probabilities."""
        titles = ("wins", "ties", "losses", "probability", "low", "high")
        table = Table(
            "Wins over the baseline, by task and seed", [Column("objective", "word"), *columns_of("number", titles)]
        )
        for row, estimate in self.estimates.items():
            losses = estimate.pairs - estimate.wins - estimate.ties
            counts: list[Value] = [number(count, "d") for count in (estimate.wins, estimate.ties, losses)]
            ends = [number(value) for value in (estimate.probability, estimate.low, estimate.high)]
            table.rows.append([word(self.source.objectives[row]), *counts, *ends])
        return table
