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
            "Each row is a claim of the table, by its number: its effect and interval, divided by the standard "
            "deviation of the effect over seeds. Effects on different measures therefore share one scale, which is "
            "stretched near zero. A claim is supported if its whole interval lies to the right of zero, or of its "
            "dashed margin, and contradicted if the whole interval lies to the left; a claim of equivalence is "
            "supported if the whole interval lies within its shaded margin. A claim is negligible if it is neither and "
            "its interval lies within its shaded range of negligible effects. Colour and shape show the verdict."
        )

    def table(self) -> Table:
        """Returns the effects in their own units."""
        return effects_table(self.source)
