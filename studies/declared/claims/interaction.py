"""An interaction: the treatment gains more at one level of a second factor than at another."""

from typing import Literal, Self

from pydantic import Field

from studies.declared.claims.claim import Grid
from studies.declared.claims.comparison import Comparison
from studies.declared.claims.difference import TwoLevels
from studies.declared.levels import Level, known_level, short
from studies.statistics.effects import WeightedMeans


class Interaction(TwoLevels):
    """The gain at the first level of `between` minus the gain at the second is above zero, or above the margin.

    A gain is the treatment's score minus the control's in one seed; the gains at either level are the two arms.
    """

    effect_name = "difference of gains"

    kind: Literal["interaction"]
    over: str = Field(description="the second factor")
    between: list[Level] = Field(
        min_length=2, max_length=2, description="the level with the larger gain, then the other"
    )

    def factors_named(self) -> list[tuple[str, str]]:
        return [*super().factors_named(), ("over", self.over)]

    def compared(self, study: Grid) -> Comparison:
        pairs = [self.pair(study, {self.over: level}) for level in self.between]
        if pairs[0] == pairs[1]:
            self.refuse(study, f"between = {self.between}", f"both are the same level of {self.over}")
        gains = tuple({treatment: 1.0, control: -1.0} for treatment, control in pairs)
        return Comparison(gains, WeightedMeans(), pairs[0])

    def with_levels_of(self, study: Grid) -> Self:
        return self.model_copy(
            update={"between": [known_level(level, study.factors[self.over]) for level in self.between]}
        )

    def effect_text(self, treatment: str, control: str) -> str:
        larger, smaller = (f"{short(self.over)}={level}" for level in self.between)
        return f"gain at {larger} minus gain at {smaller}"
