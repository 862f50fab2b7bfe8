"""Every claim of an index on one scale."""

from reports.drawing.tables import Table
from reports.exhibits.claim_effects import effects_figure, effects_table
from reports.exhibits.exhibit import IndexExhibit


class Scoreboard(IndexExhibit):
    """Draws one row for each claim, in standard deviations over seeds."""

    section = "scoreboard"

    def figures(self) -> list[str]:
        return [effects_figure(self.source, "scoreboard")] if self.source else []

    def caption(self) -> str:
        return (
            "Every claim of the table, by its number: the effect and its interval, divided by the standard deviation "
            "of that effect over seeds, so that effects on different measures share one scale, which is stretched near "
            "zero. Right of zero is what the claim states. A claim is supported where the whole interval is right of "
            "zero, or of its dashed margin, and contradicted where all of it is left; a claim of equivalence is "
            "supported where the whole interval lies in its shaded margin. Colour and shape show the verdict."
        )

    def table(self) -> Table:
        """Returns the effects in their own units."""
        return effects_table(self.source)
