"""The learning rate of every optimiser step: a linear warm-up to the peak, then one of four schedules.

cosine    half a cosine from the peak to its final fraction (the paper's)
linear    a straight line to the same end
wsd       warm-up, stable, decay: the peak, then a straight line to the same end over the last fifth of the steps
constant  the peak
"""

import math
from collections.abc import Callable, Mapping

from lab.run.spec import TrainingConfig

DECAY_DIVISOR = 5
"""The decay of wsd takes the last 1/5 of all steps, rounded up, a share at which Hägele et al. 2024 (arXiv
2405.18392) find it about as good as a cosine."""

SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "cosine": lambda share: 0.5 * (1 + math.cos(math.pi * share)),
    "linear": lambda share: 1 - share,
    "wsd": lambda share: 1 - share,
    "constant": lambda share: 1.0,
}
"""Schedule -> height over the final rate, from 1 to 0, after a share of its decay from 0 to 1."""


def learning_rate(training: TrainingConfig, step: int) -> float:
    """Returns the rate of step 0, 1, ...; every schedule but `constant` ends at the last step."""
    if step < training.warmup_steps:
        return training.learning_rate * (step + 1) / training.warmup_steps
    begin = training.warmup_steps
    if training.schedule == "wsd":
        begin = max(begin, training.steps - math.ceil(training.steps / DECAY_DIVISOR))
    share = (step - begin + 1) / max(1, training.steps - begin)
    height = SCHEDULES[training.schedule](min(max(share, 0.0), 1.0))
    low = training.final_learning_rate_fraction
    return training.learning_rate * (low + (1 - low) * height)
