"""95% intervals of means, ratios and shares."""

import numpy as np
from scipy import stats

from generators.foundation.randomness import Floats, Integers
from generators.task import Mask
from lab.analysis.findings import Interval

NORMAL_95 = float(stats.norm.ppf(0.975))
"""Standard errors from an estimate to each end of its 95% interval."""


def student_95(values: int) -> float:
    """Returns what replaces `NORMAL_95` if the standard error comes from this number of independent values."""
    return float(stats.t.ppf(0.975, values - 1))


def ratio_of_sums(sums: Floats, counts: Floats, *, few: bool = False) -> Interval:
    """Returns the sum of sums [B] over the sum of counts [B] of B > 1 independent samples, with its interval.

    The standard error is that of the linearised ratio (Cochran 1977, section 6.3).

    Args:
        few: whether the interval is Student's instead of the normal one.
    """
    value, size = float(sums.sum() / counts.sum()), len(sums)
    error = np.sqrt(size) * np.std(sums - value * counts, ddof=1) / abs(counts.sum())
    half = float((student_95(size) if few else NORMAL_95) * error)
    return value, value - half, value + half


def t_interval(values: Floats) -> Interval:
    """Returns the mean of independent values [n] and Student's interval."""
    return ratio_of_sums(values, np.ones(len(values)), few=True)


def mean_over_samples(values: Floats | Mask, counted: Mask, sample: Integers) -> Interval:
    """Returns the mean of values [N] over counted positions, with its interval; positions of a sample may be
    correlated.
    """
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
