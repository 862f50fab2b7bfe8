"""Validation score against optimiser steps."""

from reports.drawing.tables import Table
from reports.exhibits.curve_exhibit import CurveExhibit
from reports.exhibits.measure_exhibit import drawn_note


class LearningSteps(CurveExhibit):
    """Learning curves by step."""

    against = "step"
    unit = "optimiser steps"

    def title(self) -> str:
        return "Per step"

    def caption(self) -> str:
        metric = self.study.declaration.metric.capitalize()
        ended = " A run that ended early keeps its last score in the mean." if self.has_early_ends else ""
        note = drawn_note(self.results)
        return f"{metric} on validation. Each thin line is a seed, each thick one their mean.{ended}{note}"

    def table(self) -> Table:
        """Returns the validation score at every evaluation."""
        return self.curve_table("Validation score at every evaluation", "value", "mean", ".3f")
