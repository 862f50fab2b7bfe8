"""The step at which a skill formed, from the log of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from generators.foundation.settings import Tree

FORMED_ABOVE = 0.1
"""A skill has formed if the final accuracy exceeds the blind level by this much."""


@dataclass(frozen=True)
class SkillFormation:
    """The time at which validation accuracy first reached half-way from the blind level to its final value.

    Attributes:
        step: the first evaluation at or above half-way.
        after: the evaluation before it, or 0.
        jump: the largest drop in loss_1 between successive evaluations, in nats, over the interval in which half-way
            was passed and the ones before and after it; None if it was passed before the first evaluation.
        blind, half, final: accuracies.
    """

    step: int
    after: int
    jump: float | None
    blind: float
    half: float
    final: float


def find_formation(log: Sequence[Tree]) -> SkillFormation | None:
    """Finds when the skill formed; None if it never did or nothing is scored.

    The blind level is the accuracy of the task's best shortcut, 0 without shortcuts.

    Args:
        log: the lines of the run's metrics.jsonl.
    """
    evaluations = [line for line in log if line["split"] == "validation" and "accuracy" in line]
    if not evaluations:
        return None
    last = evaluations[-1]
    final = last["accuracy"]
    blind = max((value for key, value in last.items() if key.startswith("shortcut/")), default=0.0)
    if final < blind + FORMED_ABOVE:
        return None
    half = (blind + final) / 2
    first = next(place for place, line in enumerate(evaluations) if line["accuracy"] >= half)
    around = evaluations[max(0, first - 2) : first + 2]
    falls = [before["loss_1"] - after["loss_1"] for before, after in pairwise(around)]
    after = evaluations[first - 1]["step"] if first else 0
    jump = max(falls, default=None) if first else None  # nothing was measured before the first evaluation
    return SkillFormation(evaluations[first]["step"], after, jump, blind, half, final)
