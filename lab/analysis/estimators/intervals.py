"""95% intervals of means, ratios and shares."""

import numpy as np
from scipy import stats

from generators.foundation.randomness import Integers
from generators.material.entropy import Floats
from generators.task import Mask
from lab.analysis.findings import Interval


def t_interval(values: Floats) -> Interval:
    """Returns the mean of independent values [n] and Student's interval."""
    mean = values.mean()
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(mean), float(mean - half), float(mean + half)


def t_ratio(part: Floats, whole: Floats) -> Interval:
    """Returns mean(part) / mean(whole) of independent pairs [n], with Student's t interval of the linearised ratio."""
    ratio = float(part.mean() / whole.mean())
    _, low, high = t_interval((part - ratio * whole) / abs(whole.mean()))
    return ratio, ratio + low, ratio + high


def ratio_of_sums(sums: Floats, counts: Floats) -> Interval:
    """Returns the sum of sums [B] over the sum of counts [B] of B > 1 independent samples, and the normal interval of
    the linearised ratio."""
    value = float(sums.sum() / counts.sum())
    half = 1.96 * np.sqrt(len(sums)) * np.std(sums - value * counts, ddof=1) / counts.sum()
    return value, float(value - half), float(value + half)


def mean_over_samples(values: Floats | Mask, counted: Mask, sample: Integers) -> Interval:
    """Returns the mean of values [N] over counted positions, with its interval; positions of a sample may correlate."""
    sums, counts = (np.bincount(sample, weights).astype(np.float64) for weights in (values * counted, counted))
    return ratio_of_sums(sums, counts)


def share_over_samples(true: Mask, counted: Mask, sample: Integers) -> Interval:
    """Returns the share of the counted positions [N] that are true.

    The interval is that of `mean_over_samples`, but no narrower than the exact binomial one, which has a width even if
    all or none are true.
    """
    value, low, high = mean_over_samples(true, counted, sample)
    exact = stats.binomtest(int((true & counted).sum()), int(counted.sum())).proportion_ci()
    return value, max(0.0, min(low, float(exact.low))), min(1.0, max(high, float(exact.high)))


def average_precision(score: Floats, truth: Mask) -> float:
    """Returns the average precision of a ranking by score [N]: the mean, over true elements, of the precision among
    those ranked no lower."""
    true = truth[np.argsort(-score, kind="stable")]
    return float((true.cumsum() / np.arange(1, len(true) + 1))[true].mean())
