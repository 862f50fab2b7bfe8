"""Figure of `choice-points`: loss, usefulness for head 1 and consequence of each class of token."""

from lab.analysis.analysis import Row
from reports.drawing.marks import EstimateRow, draw_estimates
from reports.drawing.palette import MUTED
from reports.drawing.sheet import open_sheet
from reports.exhibits.exhibit import AnalysisExhibit

PANELS = (
    ("useful", "fall of head 1's loss by a step", "Decrease in head 1's loss, nats per unit of learning rate"),
    ("loss", "mean loss", "Loss of each head, nats"),
    ("found", "mean consequence", "Mean consequence of a token, nats"),
)
"""Part and quantity of the rows that a panel shows, and its heading."""


class ChoicePointsFigure(AnalysisExhibit):
    """Draws one panel for each part that was measured, with a line for each class of token."""

    section = "choice-points"

    def figures(self) -> list[str]:
        return [
            self._panel(part, heading, rows)
            for part, quantity, heading in PANELS
            if (rows := self._rows(part, quantity))
        ]

    def caption(self) -> str:
        return "Dots are estimates with 95% intervals; hollow marks are the values that theory predicts."

    def _rows(self, part: str, quantity: str) -> list[Row]:
        """Returns the rows of a panel, with the rows of one class together."""
        rows = [row for row in self.source if (row["part"], row["quantity"]) == (part, quantity)]
        return sorted(rows, key=lambda row: (str(row["class"]), row.get("head") or 0))

    def _panel(self, part: str, heading: str, rows: list[Row]) -> str:
        estimates = [
            EstimateRow(_label(row), row["value"], row["low"], row["high"], row.get("reference")) for row in rows
        ]
        with open_sheet(f"choice-points-{part}", 110 + 24 * len(rows)) as sheet:
            draw_estimates(sheet, estimates, reference="theory", marker="o")
            sheet.axes.axvline(0, color=MUTED, lw=1, zorder=1)
            sheet.axes.locator_params(axis="x", nbins=4)
            sheet.axes.ticklabel_format(axis="x", scilimits=(-2, 4))
            sheet.heading = heading
            return sheet.svg(heading, "; ".join(_description(row) for row in rows))


def _label(row: Row) -> str:
    return str(row["class"]) if row.get("head") is None else f"{row['class']}, head {row['head']}"


def _description(row: Row) -> str:
    return f"{_label(row)} {row['value']:z.3g} ({row['low']:z.3g} to {row['high']:z.3g})"
