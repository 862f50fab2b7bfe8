"""The claims of two studies on one scale."""

from reports.drawing.tables import Table
from reports.exhibits.claim_effects import effects_figure, effects_table
from reports.exhibits.exhibit import ComparisonExhibit


class ComparedEffects(ComparisonExhibit):
    """Draws one row for each claim of either study, with claims of the same name next to each other."""

    section = "claims"

    def figures(self) -> list[str]:
        return [effects_figure(self.source.lines, "scoreboard")]

    def caption(self) -> str:
        return (
            "Claims of the same name are next to each other. Each row shows an effect and its interval, divided by the "
            "standard deviation of the effect over the seeds of its own study; the scale is stretched near zero. "
            "Effects to the right of zero agree with the claim. If two effects differ in size, check the table, which "
            "has them in their own units. Colour and shape show the verdict."
        )

    def table(self) -> Table:
        """Returns the effects in their own units."""
        return effects_table(self.source.lines)
