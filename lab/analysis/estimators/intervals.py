"""95% intervals of means, ratios and shares."""

import numpy as np
from scipy import stats

from generators.foundation.randomness import Integers
from generators.material.entropy import Floats
from generators.task import Mask

Interval = tuple[float, float, float]
"""An estimate, and where it is from and to."""


def t_interval(values: Floats) -> Interval:
    """The mean of independent values [n] and Student's interval."""
    mean = values.mean()
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(mean), float(mean - half), float(mean + half)


def t_ratio(part: Floats, whole: Floats) -> Interval:
    """mean part / mean whole of independent pairs [n], and Student's interval of the ratio linearised."""
    ratio = float(part.mean() / whole.mean())
    _, low, high = t_interval((part - ratio * whole) / abs(whole.mean()))
    return ratio, ratio + low, ratio + high


def ratio(sums: Floats, counts: Floats) -> Interval:
    """Sum of sums [B] over sum of counts [B] of B > 1 independent samples, and the normal interval of it linearised."""
    value = float(sums.sum() / counts.sum())
    half = 1.96 * np.sqrt(len(sums)) * np.std(sums - value * counts, ddof=1) / counts.sum()
    return value, float(value - half), float(value + half)


def over_samples(values: Floats | Mask, counted: Mask, sample: Integers) -> Interval:
    """The mean of values [N] over the counted positions, those of one sample being not independent."""
    sums, counts = (np.bincount(sample, each).astype(np.float64) for each in (values * counted, counted))
    return ratio(sums, counts)


def proportion(true: Mask, counted: Mask, sample: Integers) -> Interval:
    """The share of the counted positions [N] that are true: as `over_samples`, and no narrower than the exact binomial
    interval, which has a width also where all or none are."""
    value, low, high = over_samples(true, counted, sample)
    exact = stats.binomtest(int((true & counted).sum()), int(counted.sum())).proportion_ci()
    return value, max(0.0, min(low, float(exact.low))), min(1.0, max(high, float(exact.high)))


def average_precision(score: Floats, truth: Mask) -> float:
    """Of a ranking by score [N], highest first: the precision down to each of what is true, on average over these."""
    true = truth[np.argsort(-score, kind="stable")]
    return float((true.cumsum() / np.arange(1, len(true) + 1))[true].mean())
