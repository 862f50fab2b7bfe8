"""A kind of claim: one level of a factor is better than the mean of all its other levels."""

from typing import Literal

from studies import Claim, Comparison, Grid, Level, WeightedMeans


class AboveAverage(Claim):
    """The treatment's score minus the mean of the other levels' scores is above zero, or above the margin."""

    effect_name = "lead over the average"

    kind: Literal["above_average"]
    treatment: Level

    def compared(self, study: Grid) -> Comparison:
        treatment = self.label(study, {self.factor: self.treatment})
        labels = [self.label(study, {self.factor: level}) for level in study.factors[self.factor]]
        others = [label for label in labels if label != treatment]
        if not others:
            self.refuse(study, "treatment", f"{self.factor} has no other level to compare with")
        weights = (1.0, *(-1 / len(others) for _ in others))
        return Comparison.of_cells([treatment, *others], WeightedMeans(weights), (treatment, others[0]))

    def effect_text(self, treatment: str, control: str) -> str:
        return f"{treatment} minus the mean of the others"
