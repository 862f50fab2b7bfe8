"""Validation score against optimiser steps."""

from reports.drawing.tables import Table
from reports.exhibits.study.curve_exhibit import CurveExhibit
from reports.exhibits.study.measure_exhibit import drawn_note


class LearningSteps(CurveExhibit):
    """Learning curves by step."""

    against = "step"
    unit = "optimiser steps"

    def title(self) -> str:
        return "Per step"

    def caption(self) -> str:
        metric = self.study.declaration.metric.capitalize()
        return f"{metric} on validation. Each thin line is a seed, each thick one their mean.{drawn_note(self.results)}"

    def table(self) -> Table:
        """Returns the validation score at every evaluation."""
        return self.curve_table("Validation score at every evaluation", "value", "mean", ".3f")
