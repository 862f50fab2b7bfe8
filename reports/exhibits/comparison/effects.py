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
            "Claims of one name stand one below the other: the effect and its interval, divided by the standard "
            "deviation of that effect over the seeds of its own study; the scale is stretched near zero. Right of zero "
            "is what the claim states. Where the two differ in size, check the table, which has the effects in their "
            "own units. Colour and shape show the verdict."
        )

    def table(self) -> Table:
        """Returns the effects in their own units."""
        return effects_table(self.source.lines)
