"""Estimates from observed scores how many seeds would have decided an inconclusive claim.

Studies with more seeds are drawn on the basis of the observed scores (`Form.further_scores`). Each is tested at the
level at which the claim was judged, by an approximation of the permutation test that costs milliseconds.

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
        p_R = approximate_p(resampled(scores_AxK, seeds, form), effect, form, p_value)
        return bool(np.mean(p_R <= level) >= POWER)

    low, high = scores_AxK.shape[1], SEEDS_MAXIMUM
    if not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def chance_of_decision(
    scores_AxK: Scores,
    further: int,
    effect: Effect,
    form: Form,
    level: float,
    p_value: Callable[[PValue, PValue], Scores],
) -> float:
    """Estimates the probability that a number of further seeds per arm decide a claim.

    The observed scores stay as they are, and further ones are drawn as `Form.further_scores` says.

    Args:
        level: two-sided, at which the claim will be judged.
        p_value: maps the p values of "above" and "below" a shift to that of any verdict.
    """
    observed_RxAxK = np.broadcast_to(scores_AxK, (STUDIES, *scores_AxK.shape))
    drawn = form.further_scores(np.random.default_rng(0), scores_AxK, STUDIES, further)
    all_RxAxK = np.concatenate([observed_RxAxK, drawn], axis=2)
    return float(np.mean(approximate_p(all_RxAxK, effect, form, p_value) <= level))


def approximate_p(
    scores_RxAxK: Scores, effect: Effect, form: Form, p_value: Callable[[PValue, PValue], Scores]
) -> Scores:
    """Approximates the p values [R] of a verdict, none smaller than the permutation test can give."""
    smallest = effect.smallest_p(scores_RxAxK.shape[2], form)

    def one_sided(side: int) -> PValue:
        return lambda shift: np.maximum(effect.approximate_p(scores_RxAxK, form, shift, side), smallest / 2)

    return np.maximum(p_value(one_sided(1), one_sided(-1)), smallest)


def resampled(scores_AxK: Scores, seeds: int, form: Form) -> Scores:
    """Draws studies of `seeds` seeds per arm from the observed scores: [R, A, seeds]."""
    return form.further_scores(np.random.default_rng(0), scores_AxK, STUDIES, seeds)
