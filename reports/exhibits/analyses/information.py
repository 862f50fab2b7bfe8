"""Figure of `information`: entropies and mutual information of the next two tokens, in the source and in the model."""

from lab.analysis.analysis import Row
from lab.analysis.estimators.entropies import TERMS
from reports.drawing.marks import show_rows
from reports.drawing.palette import PAPER, SERIES, TEXT
from reports.drawing.sheet import open_sheet
from reports.exhibits.exhibit import AnalysisExhibit

DISTRIBUTIONS = {
    "closed form": (TEXT, "|", "source, closed form"),
    "source": (SERIES[2], "s", "source, at these contexts"),
    "model": (SERIES[0], "o", "model"),
    "relative": (SERIES[3], "D", "cross-entropy of model on source"),
    "estimate": (SERIES[1], "^", "source as estimated by the model"),
}
"""Distribution that a row describes -> colour, marker and name."""
TITLE = "Information that the next two tokens share"


class InformationFigure(AnalysisExhibit):
    """Draws one line for each term and one mark for each distribution."""

    section = "information"

    def figures(self) -> list[str]:
        rows = {(row["of"], row["quantity"]): row for row in self.source if row["where"] == "all"}
        shown = [name for name in DISTRIBUTIONS if (name, TERMS[0]) in rows]
        with open_sheet("information", 400) as sheet:
            for index, distribution in enumerate(shown):
                colour, marker, label = DISTRIBUTIONS[distribution]
                for place, term in enumerate(TERMS):
                    row, y = rows[distribution, term], place + (index - (len(shown) - 1) / 2) * 0.15
                    if row["low"] is not None:
                        sheet.axes.plot([row["low"], row["high"]], [y, y], color=colour, lw=1.8, solid_capstyle="butt")
                    text, edge = f"{label}, {term}: {row['value']:z.3f}", {} if marker == "|" else {"mec": PAPER}
                    sheet.mark(row["value"], y, marker, text, color=colour, ms=9 if marker == "|" else 7, **edge)
                    sheet.add_legend(label, color=colour, marker=marker, ms=8, lw=1.8, **edge)
            show_rows(sheet, TERMS)
            sheet.axes.set_xlabel("nats, with 95% intervals")
            sheet.heading = TITLE
            return [sheet.svg(TITLE, _description(rows, shown))]

    def caption(self) -> str:
        return "X is the next token, Y the one after it. Bars are 95% intervals over test samples."


def _description(rows: dict[tuple[str, str], Row], shown: list[str]) -> str:
    lines = (
        f"{DISTRIBUTIONS[name][2]}: " + ", ".join(f"{term} {rows[name, term]['value']:z.3f}" for term in TERMS)
        for name in shown
    )
    return "Entropies and information in nats. " + "; ".join(lines) + "."
