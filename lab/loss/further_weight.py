"""A factor on the weight of every loss but that of the next token, which changes during training.

Recipes for multi-token prediction often lower the weight of the further losses, from 0.3 to 0.1 in DeepSeek-V3
(arXiv 2412.19437). For example, the table

    further_weight = { shape = "linear", first = 0.3, last = 0.1, step = 1000 }

multiplies the weights by 0.3 at the first step, by 0.2 at step 500 and by 0.1 from step 1000 on. With
`shape = "step"` the factor is 0.3 up to step 999.
"""

from typing import Literal

from pydantic import Field

from generators.foundation.settings import Settings


class FurtherWeight(Settings):
    """Settings of the factor. Steps are optimiser steps, counted from 0."""

    shape: Literal["linear", "step"] = Field(
        default="linear", description="linear: the factor changes at every step up to `step`; step: it changes at once"
    )
    first: float = Field(ge=0, description="the factor at the first step")
    last: float = Field(ge=0, description="the factor from `step` on")
    step: int = Field(ge=1, description="the first step with the factor `last`")

    def at(self, step: int | None) -> float:
        """Returns the factor at an optimiser step; evaluation (None) has that of the first step."""
        if step is None or (self.shape == "step" and step < self.step):
            return self.first
        done = min(1.0, step / self.step)
        return (1 - done) * self.first + done * self.last
