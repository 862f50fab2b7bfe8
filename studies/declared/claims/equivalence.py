"""An equivalence: treatment and control differ by less than a margin. An interval inside +-margin supports it."""

from typing import Literal

import numpy as np
from pydantic import Field

from studies.declared.claims.claim import Grid
from studies.declared.claims.comparison import Comparison
from studies.declared.claims.difference import TwoLevels
from studies.statistics.effects import WeightedMeans
from studies.statistics.forms.form import Scores
from studies.statistics.power import PValue


class Equivalence(TwoLevels):
    """The treatment's score minus the control's is within +-margin.

    Failing to find a difference never supports an equivalence.
    """

    effect_name = "difference"
    two_arms = True
    margin_on_both_sides = True
    never_negligible = "an equivalence is supported within its margin"

    kind: Literal["equivalence"]
    margin: float = Field(gt=0, description="the effect has to lie within +-margin, in the unit of the metric")

    def compared(self, study: Grid) -> Comparison:
        treatment, control = self.pair(study, {})
        return Comparison.of_cells((treatment, control), WeightedMeans(), (treatment, control))

    def p_values(self, above: PValue, below: PValue) -> tuple[Scores, Scores]:
        """Returns the levels at which the interval just fits inside the margin, and just leaves it.

        At most one of the two verdicts is wrong, so the smaller of the two is the claim's p value.
        """
        inside = np.maximum(above(-self.margin), below(self.margin))
        outside = np.minimum(above(self.margin), below(-self.margin))
        return np.asarray(2 * inside), np.asarray(2 * outside)
