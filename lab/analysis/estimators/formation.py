"""When a skill formed, from the log of a run alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from generators.foundation.settings import Tree

FORMED_ABOVE = 0.1
"""Accuracy by which a run must end above the blind level for its skill to have formed."""


@dataclass(frozen=True)
class Formation:
    """When validation accuracy first reached half-way from the blind level to its final value.

    Attributes:
        step: of the first evaluation at or above half-way; after: of the one before it, or 0.
        jump: the largest fall of loss_1, in nats, from one evaluation to the next: over the interval in which half-way
            was passed, or the one before or behind it; None where it was passed before the first evaluation.
        blind, half, final: accuracies.
    """

    step: int
    after: int
    jump: float | None
    blind: float
    half: float
    final: float


def formation(lines: Sequence[Tree]) -> Formation | None:
    """When the skill formed, or None where it never did or nothing is scored.

    The blind level is the accuracy of the task's best shortcut, 0 where it has none.

    Args:
        lines: the run's metrics.jsonl.
    """
    seen = [line for line in lines if line["split"] == "validation" and "accuracy" in line]
    if not seen:
        return None
    final = seen[-1]["accuracy"]
    blind = max((value for key, value in seen[-1].items() if key.startswith("shortcut/")), default=0.0)
    if final < blind + FORMED_ABOVE:
        return None
    half = (blind + final) / 2
    first = next(place for place, line in enumerate(seen) if line["accuracy"] >= half)
    around = seen[max(0, first - 2) : first + 2]
    falls = [before["loss_1"] - after["loss_1"] for before, after in pairwise(around)]
    after = seen[first - 1]["step"] if first else 0
    jump = max(falls, default=None) if first else None  # before the first evaluation nothing was measured
    return Formation(seen[first]["step"], after, jump, blind, half, final)
