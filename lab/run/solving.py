"""When a run has solved its task: its validation score has reached a threshold in several evaluations in a row."""

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
from pydantic import Field

from generators.foundation.settings import Settings, Tree
from generators.task import Task

SolvingMetric = Literal["accuracy", "exact"]
SOLVING_METRICS: tuple[SolvingMetric, ...] = get_args(SolvingMetric)
SAMPLES_READ = 8
"""Samples of a split that show whether a task scores tokens."""


def scores_tokens(task: Task, split: str = "validation") -> bool:
    """Tells whether a task scores tokens of a split, so that its runs have an accuracy there."""
    return bool(task.batch(split, np.arange(min(SAMPLES_READ, task.splits[split] or SAMPLES_READ))).scored.any())


class Solved(Settings):
    """A threshold of a metric, and the evaluations in a row that have to reach it."""

    metric: SolvingMetric = Field(default="exact", description="the metric on validation")
    at: float = Field(gt=0, le=1, description="the value that the metric has to reach")
    evaluations: int = Field(default=2, ge=1, description="evaluations in a row that have to reach it")

    def first_step(self, lines: Iterable[Tree]) -> int | None:
        """Returns the step at which a run solved its task; None if it did not.

        Args:
            lines: the logged metrics of the run, in order.

        Returns:
            The last step of the first `evaluations` evaluations in a row that reach the threshold, so that a run that
            stops there has the same step as one that goes on.
        """
        row = 0
        for line in lines:
            if line["split"] == "validation":
                row = row + 1 if line[self.metric] >= self.at else 0
                if row == self.evaluations:
                    return int(line["step"])
        return None
