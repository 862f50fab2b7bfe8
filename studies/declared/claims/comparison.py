"""The arms that a claim compares, before any score is known: the cells that they consist of, and their effect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from studies.statistics.effects import Effect
from studies.statistics.forms.form import Scores

Arm = Mapping[str, float]
"""Cell label -> weight: an arm's score in a seed is the weighted sum of the cells' scores in that seed."""


@dataclass(frozen=True)
class Comparison:
    """The arms of a claim, and the effect that the claim is about.

    shown: labels of the two cells to show side by side, for readers.
    """

    arms: tuple[Arm, ...]
    effect: Effect
    shown: tuple[str, str]

    @classmethod
    def of_cells(cls, labels: Sequence[str], effect: Effect, shown: tuple[str, str]) -> "Comparison":
        """Makes each cell a separate arm."""
        return cls(tuple({label: 1.0} for label in labels), effect, shown)

    @property
    def cells(self) -> list[str]:
        """Labels of the cells of all arms."""
        return list(dict.fromkeys(label for arm in self.arms for label in arm))

    def scores(self, by_cell: Mapping[str, Mapping[int, float]], seeds: Sequence[int]) -> Scores:
        """Returns the scores of the arms in the order of the seeds: [A, K]."""
        return np.array(
            [[sum(weight * by_cell[label][seed] for label, weight in arm.items()) for seed in seeds]
             for arm in self.arms]
        )  # fmt: skip

    def shown_cells(self, scores_AxK: Scores) -> tuple[str, str]:
        """Returns labels of the two cells to show side by side, given the scores of the arms."""
        leaders = self.effect.leaders(scores_AxK) if scores_AxK.size else None
        return self.shown if leaders is None else (self.cells[leaders[0]], self.cells[leaders[1]])
