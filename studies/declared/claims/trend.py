"""A trend: the score rises towards one end of the factor's levels, in the order in which they are listed."""

from typing import Literal

import numpy as np
from pydantic import Field

from studies.declared.claims.claim import Claim, Grid
from studies.declared.claims.comparison import Comparison
from studies.statistics.effects import WeightedMeans


class Trend(Claim):
    """The least-squares slope over the ranks 0, 1, 2, ... of the levels is above zero, or above the margin."""

    effect_name = "slope per level"

    kind: Literal["trend"]
    better: Literal["first", "last"] | None = Field(
        default=None, description="the end of the levels towards which the score rises; the last if absent"
    )

    def compared(self, study: Grid) -> Comparison:
        labels = [self.label(study, {self.factor: level}) for level in study.factors[self.factor]]
        if len(labels) < 2:
            self.refuse(study, "", f"{self.factor} has one level at this scale; a trend needs at least two")
        if self.better == "first":
            labels.reverse()
        ranks = np.arange(len(labels)) - (len(labels) - 1) / 2
        weights = tuple(float(weight) for weight in ranks / (ranks @ ranks))
        return Comparison.of_cells(labels, WeightedMeans(weights), (labels[-1], labels[0]))

    def effect_text(self, treatment: str, control: str) -> str:
        return f"slope per level, from {control} to {treatment}"
