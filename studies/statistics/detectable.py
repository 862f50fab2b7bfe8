"""The smallest effect that a study would find with 80% power, before anything has run.

Scores are assumed to be normal, and the answer is in units of their standard deviation over seeds. For shares, the
answer is the difference between two shares on either side of 1/2, where the most runs are needed to tell shares apart.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from studies.statistics.effects import Effect, LeadOfBest, WeightedMeans
from studies.statistics.forms.form import TOLERANCE, Form, Scores
from studies.statistics.forms.share_test import EXACT_MAXIMUM, SHIFTS, SharesTest, exact_p_values
from studies.statistics.forms.shares import TWO_ARMS, Shares
from studies.statistics.power import POWER

STUDIES = 2000
LARGEST = 64.0
"""The largest effect that is considered, in standard deviations over seeds."""
STEPS = 14
"""Bisections of the range of effects."""


def detectable_effect(effect: Effect, form: Form, seeds: int, level: float) -> float | None:
    """Returns the smallest effect that is found with 80% power, in standard deviations over seeds.

    Args:
        seeds: per arm.
        level: two-sided, at which the claim is judged in the worst case.

    Returns:
        None if no effect is, because there are too few seeds; or if the effect is of a kind of another package, which
        does not say what makes it larger.
    """
    direction_A = direction_of(effect)
    if direction_A is None or effect.smallest_p(seeds, form) > level:
        return None
    noise_RxAxK = _noise(len(direction_A), seeds)

    def p_values(size: float) -> Scores:
        return 2 * effect.approximate_p(noise_RxAxK + size * direction_A[:, None], form, 0.0, 1)

    return smallest_enough(lambda size: bool(np.mean(p_values(size) <= level) >= POWER))


def detectable_margin(effect: Effect, form: Form, seeds: int, level: float) -> float | None:
    """Returns the smallest margin within which equal arms are found equivalent with 80% power.

    The arguments and the unit are those of `detectable_effect`. None if no margin is.
    """
    direction_A = direction_of(effect)
    if direction_A is None or effect.smallest_p(seeds, form) > level:
        return None
    noise_RxAxK = _noise(len(direction_A), seeds)

    def p_values(margin: float) -> Scores:
        sides = (effect.approximate_p(noise_RxAxK, form, -side * margin, side) for side in (1, -1))
        return 2 * np.maximum(*sides)

    return smallest_enough(lambda margin: bool(np.mean(p_values(margin) <= level) >= POWER))


def _noise(arms: int, seeds: int) -> Scores:
    return np.random.default_rng(0).standard_normal((STUDIES, arms, seeds))


def smallest_enough(is_enough: Callable[[float], bool]) -> float | None:
    """Returns the smallest size that is enough, by bisection; None if not even the largest is."""
    low, high = 0.0, LARGEST
    if not is_enough(high):
        return None
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def direction_of(effect: Effect) -> Scores | None:
    """Returns the means of the arms [A] that give an effect of 1 while the arms differ as little as possible."""
    if isinstance(effect, WeightedMeans):
        weights_A = np.array(effect.weights)
        return np.asarray(weights_A / (weights_A @ weights_A))
    if isinstance(effect, LeadOfBest):
        return np.array([1.0] + [0.0] * (effect.candidates + effect.rivals - 1))
    return None


def detectable_shares(seeds: int, level: float, margin: float = 0.0) -> tuple[float, float] | None:
    """Returns two shares, at equal distances from 1/2, that are told apart with 80% power; None if there are none.

    Args:
        seeds: runs of each arm.
        level: two-sided, at which the claim is judged in the worst case.
        margin: the difference that is to be exceeded.
    """
    power = _exact_power(seeds, level, margin) if seeds <= EXACT_MAXIMUM else _normal_power(seeds, level, margin)
    controls = np.linspace(0.5, 0.0, 101)
    return next(((float(control), float(1 - control)) for control in controls if power(control) >= POWER), None)


def _exact_power(seeds: int, level: float, margin: float) -> Callable[[float], float]:
    counts = np.arange(seeds + 1)
    shift = min(int(np.searchsorted(SHIFTS, margin - TOLERANCE)), len(SHIFTS) - 1)
    rejected_XxY = 2 * np.maximum.accumulate(exact_p_values(seeds), axis=0)[shift] <= level

    def power(control: float) -> float:
        shares = stats.binom.pmf(counts, seeds, 1 - control), stats.binom.pmf(counts, seeds, control)
        return float(np.outer(*shares)[rejected_XxY].sum())

    return power


def _normal_power(seeds: int, level: float, margin: float) -> Callable[[float], float]:
    """Returns the power of the score statistic, taken to be normal (Farrington & Manning 1990)."""

    def power(control: float) -> float:
        difference = 1 - 2 * control
        null, true = (np.sqrt((1 - size**2) / 2 / seeds) for size in (min(margin, 1.0), difference))
        return float(stats.norm.cdf((difference - margin - stats.norm.isf(level / 2) * null) / max(true, TOLERANCE)))

    return power


def detectable_share_margin(seeds: int, level: float) -> float:
    """Returns the smallest margin within which two arms are found equivalent if all their runs solve the task."""
    return -SharesTest(seeds, seeds, seeds).bounds(level / 2)[0]


def detectable_text(
    effect: Effect, form: Form, seeds: int, level: float, *, margin: float = 0.0, equivalence: bool = False
) -> str:
    """Returns in words what a claim could find with 80% power, or that it could find nothing.

    Args:
        margin: what the effect has to exceed, unless the claim is an equivalence.
        equivalence: whether the claim is that the effect lies within a margin.
    """
    if isinstance(form, Shares) and isinstance(effect, WeightedMeans) and effect.weights in TWO_ARMS:
        if equivalence:
            margin = detectable_share_margin(seeds, level)
            return f"that all runs of both arms solve the task, within a margin of {margin:z.2f}"
        shares = detectable_shares(seeds, level, margin)
        return f"shares of {shares[0]:z.2f} and {shares[1]:z.2f}" if shares else "no difference of shares"
    if equivalence:
        size = detectable_margin(effect, form, seeds, level)
        return (
            f"equal arms, within a margin of {size:z.1f} standard deviations over seeds" if size else "no equivalence"
        )
    size = detectable_effect(effect, form, seeds, level)
    beyond = " beyond the margin" if margin else ""
    return f"an effect of {size:z.1f} standard deviations over seeds{beyond}" if size else "no effect"
