"""A best level: the best of the named levels is better than every other level of the factor."""

from typing import Literal

from pydantic import Field

from studies.declared.claims.claim import Claim, Grid
from studies.declared.claims.comparison import Comparison
from studies.declared.levels import Level
from studies.statistics.effects import LeadOfBest


class Best(Claim):
    """The best of the named levels minus the best of the others is above zero, or above the margin."""

    effect_name = "lead of the best"
    never_negligible = "a small lead of the best level says nothing about the other levels"

    kind: Literal["best"]
    best: list[Level] = Field(min_length=1, description="levels that are claimed to include the best")

    def compared(self, study: Grid) -> Comparison:
        candidates = list(dict.fromkeys(self.label(study, {self.factor: level}) for level in self.best))
        labels = [self.label(study, {self.factor: level}) for level in study.factors[self.factor]]
        rivals = [label for label in labels if label not in candidates]
        if not rivals:
            self.refuse(study, f"best = {self.best}", f"these are all levels of {self.factor}; leave some out")
        effect = LeadOfBest(len(candidates), len(rivals))
        return Comparison.of_cells([*candidates, *rivals], effect, (candidates[0], rivals[0]))
