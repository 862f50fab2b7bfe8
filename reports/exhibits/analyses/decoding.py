"""Draws the figure of the analysis `decoding`: tokens per forward pass by draft length k (k = 1 drafts nothing)."""

from lab.analysis.analysis import Row
from reports.drawing.palette import MUTED, PAPER, SERIES, TEXT
from reports.drawing.sheet import open_sheet
from reports.exhibits.exhibit import AnalysisExhibit

TITLE = "Tokens per forward pass by tokens drafted"


class DecodingFigure(AnalysisExhibit):
    """Draws the run, the paper if it has as many heads, and the two extremes of acceptance."""

    section = "decoding"

    def figures(self) -> list[str]:
        rows = [row for row in self.source if row["quantity"] == "tokens a forward"]
        paper = [row for row in rows if row.get("paper")]
        most = max(2, *(row["draft"] for row in rows))
        with open_sheet("decoding", 330) as sheet:
            axes = sheet.axes
            for label, ends, dash in (("all accepted", (1, most), "--"), ("none accepted", (1, 1), ":")):
                axes.plot([1, most], ends, color=MUTED, ls=dash, lw=1.3)
                sheet.add_legend(label, color=MUTED, ls=dash, lw=1.3)
            axes.plot([row["draft"] for row in rows], [row["value"] for row in rows], color=SERIES[0], lw=2.2)
            for row in rows:
                low, high = (row["value"] if row.get(end) is None else row[end] for end in ("low", "high"))
                axes.plot([row["draft"]] * 2, [low, high], color=SERIES[0], lw=2.2, solid_capstyle="butt")
                sheet.mark(row["draft"], row["value"], "o", _description(row), color=SERIES[0], ms=7, mec=PAPER)
            sheet.add_legend("this run, 95% interval", color=SERIES[0], marker="o", ms=7, lw=2.2, mec=PAPER)
            for row in paper:
                text = f"paper, k = {row['draft']}: {row['paper']}"
                sheet.mark(row["draft"], row["paper"], "s", text, color=TEXT, mfc="none", ms=9, mew=1.4)
                sheet.add_legend("paper, 7B", color=TEXT, mfc="none", marker="s", ms=9, mew=1.4, ls="none")
            axes.set(xlabel="tokens drafted, k", ylabel="tokens per forward pass")
            axes.set_xticks(range(1, most + 1))
            sheet.heading = TITLE
            return [sheet.svg(TITLE, "; ".join(map(_description, rows)) + ".")]

    def caption(self) -> str:
        return "Bars are 95% intervals over prompts."


def _description(row: Row) -> str:
    return f"k = {row['draft']}: {row['value']:z.3f}" + (f", paper {row['paper']}" if row.get("paper") else "")
