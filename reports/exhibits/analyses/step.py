"""Figure of `step`: memory and time of a training step relative to next-token prediction."""

from reports.drawing.marks import show_rows
from reports.drawing.palette import SERIES, TEXT
from reports.drawing.sheet import open_sheet
from reports.exhibits.exhibit import AnalysisExhibit

TITLE = "Step cost relative to n = 1"


class StepFigure(AnalysisExhibit):
    """Draws one bar for the memory of each loss, and one for time."""

    section = "step"

    def figures(self) -> list[str]:
        rows = [row for row in self.source if row["quantity"] == "ratio"]
        labels = [f"{row['part']}, {row['loss']} loss" for row in rows]
        with open_sheet("step", 90 + 40 * len(rows)) as sheet:
            bars = sheet.axes.barh(range(len(rows)), [row["value"] for row in rows], height=0.5, color=SERIES[0])
            for bar, row, label in zip(bars, rows, labels, strict=True):
                sheet.add_tooltip(bar, f"{label}: {row['value']:z.3f}")
            sheet.axes.bar_label(bars, fmt="%.2f", padding=3)
            sheet.axes.axvline(1, color=TEXT, lw=1)
            sheet.axes.margins(x=0.12)
            show_rows(sheet, labels)
            sheet.axes.set_xlabel("ratio to n = 1")
            sheet.heading = TITLE
            ratios = (f"{label} {row['value']:z.3f}" for label, row in zip(labels, rows, strict=True))
            return [sheet.svg(TITLE, "; ".join(ratios) + ".")]

    def caption(self) -> str:
        return "Peak memory and time of a step, divided by those of the same model with one head."
