"""Figure of `items`: the same held-out items posed as generation and as choice, with chance."""

from reports.drawing.marks import EstimateRow, draw_estimates, share_limits
from reports.drawing.sheet import open_sheet
from reports.exhibits.exhibit import AnalysisExhibit

SCORE_NAMES = {"exact_match": "exact match", "rouge_l": "ROUGE-L F1"}
TITLE = "Items generated and chosen"


class ItemsFigure(AnalysisExhibit):
    """Draws one line for each score."""

    section = "items"

    def figures(self) -> list[str]:
        estimates = [
            EstimateRow(
                f"{row['part']}: {SCORE_NAMES.get(row['quantity'], row['quantity'])}",
                row["value"],
                row["low"],
                row["high"],
                row.get("chance") or None,
            )
            for row in self.source
        ]
        chance = next(estimate.reference for estimate in estimates if estimate.reference is not None)
        with open_sheet("items", 120 + 36 * len(estimates)) as sheet:
            draw_estimates(sheet, estimates, reference="chance", marker="|")
            sheet.axes.set(xlabel="share of items, or F1", xlim=share_limits(sheet))
            sheet.heading = TITLE
            scores = "; ".join(f"{estimate.label} {estimate.value:z.3f}" for estimate in estimates)
            return [sheet.svg(TITLE, f"{scores}; chance {chance:z.3f}.")]

    def caption(self) -> str:
        return "Dots are means over items with 95% intervals."
