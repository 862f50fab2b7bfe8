"""Estimates from observed scores how many seeds would have decided an inconclusive claim.

Studies with more seeds are resampled from the arms' scores with replacement (the bootstrap; Efron 1979), with
deviations from the mean widened, because the spread of a few scores understates that of the population. Each is tested
at the level at which the claim was judged, by an approximation of the permutation test that costs milliseconds.

The estimate assumes that the true effect equals the observed one. An effect observed with five seeds is itself
uncertain, and so is this estimate.
"""

from collections.abc import Callable

import numpy as np

from studies.statistics.effects import Effect
from studies.statistics.forms.form import Form, Scores

POWER = 0.8
STUDIES = 400
SEEDS_MAXIMUM = 200

PValue = Callable[[float], Scores | float]
"""Shift -> one-sided p value."""


def seeds_needed(
    scores_AxK: Scores, effect: Effect, form: Form, level: float, p_value: Callable[[PValue, PValue], Scores]
) -> int | None:
    """Estimates the seeds per arm that reach a verdict in `POWER` of studies; None above `SEEDS_MAXIMUM`.

    Args:
        scores_AxK: the observed scores of the claim's arms.
        level: the two-sided level at which the claim was judged.
        p_value: maps the p values of "above" and "below" a shift to the two-sided p value of the verdict in question.
    """

    def enough(seeds: int) -> bool:
        resampled_RxAxK = resampled(scores_AxK, seeds, form)
        p_R = p_value(
            lambda shift: effect.approximate_p(resampled_RxAxK, form, shift, 1),
            lambda shift: effect.approximate_p(resampled_RxAxK, form, shift, -1),
        )
        return bool(np.mean(np.maximum(p_R, effect.smallest_p(seeds, form)) <= level) >= POWER)

    low, high = scores_AxK.shape[1], SEEDS_MAXIMUM
    if not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def resampled(scores_AxK: Scores, seeds: int, form: Form) -> Scores:
    """Draws studies of `seeds` seeds per arm from the observed scores: [R, A, seeds]."""
    arms, observed = scores_AxK.shape
    means = scores_AxK.mean(axis=1, keepdims=True)
    widened_AxK = means + (scores_AxK - means) * np.sqrt(observed / (observed - 1))
    chosen = form.resampled_seeds(np.random.default_rng(0), STUDIES, arms, observed, seeds)
    return np.asarray(np.take_along_axis(widened_AxK[None], chosen, axis=2))
