"""A difference: the treatment is better than the control, or better by more than a margin."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from studies.declared.claims.claim import Claim, Grid
from studies.declared.claims.comparison import Comparison
from studies.declared.levels import Level
from studies.statistics.effects import WeightedMeans


class TwoLevels(Claim):
    """A claim that compares two levels of its factor."""

    treatment: Level = Field(description="the level that is claimed to be better, or equal")
    control: Level = Field(description="the level that it is compared with")

    def pair(self, study: Grid, levels: Mapping[str, Level]) -> tuple[str, str]:
        """Returns labels of the treatment's and the control's cell at the levels of other factors.

        Raises:
            UserError: they are the same cell.
        """
        treatment, control = (
            self.label(study, {self.factor: level, **levels}) for level in (self.treatment, self.control)
        )
        if treatment == control:
            self.refuse(study, "", f"treatment and control are the same cell, {control}")
        return treatment, control


class Difference(TwoLevels):
    """The treatment's score minus the control's is above zero, or above the margin."""

    effect_name = "difference"
    two_arms = True

    kind: Literal["difference"]

    def compared(self, study: Grid) -> Comparison:
        treatment, control = self.pair(study, {})
        return Comparison.of_cells((treatment, control), WeightedMeans(), (treatment, control))
