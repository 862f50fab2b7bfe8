"""Intervals cover the truth 95 times in 100, and their ends are those of statsmodels, scipy and the textbook."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from statsmodels.api import OLS, WLS

from generators.foundation.randomness import Floats, Integers
from lab.analysis.estimators.entropies import WeightedContexts
from lab.analysis.estimators.intervals import (
    average_precision,
    mean_over_samples,
    ratio_of_sums,
    share_over_samples,
    t_interval,
)
from lab.analysis.findings import Interval


def coverage(draw_interval: Callable[[np.random.Generator], Interval], truth: float) -> float:
    generator = np.random.default_rng(0)
    ends = [draw_interval(generator)[1:] for _ in range(1000)]
    return float(np.mean([low <= truth <= high for low, high in ends]))


def test_the_interval_of_a_share_of_a_sum_covers_it() -> None:
    def draw(generator: np.random.Generator) -> Interval:
        part, rest = generator.normal(1, 0.5, 8), generator.normal(3, 0.5, 8)
        return ratio_of_sums(part, part + rest, few=True)

    assert coverage(draw, 1 / 4) == pytest.approx(0.95, abs=0.03)


def test_the_interval_of_a_ratio_of_sums_covers_it() -> None:
    def draw(generator: np.random.Generator) -> Interval:
        counts = generator.integers(1, 6, 200)
        return ratio_of_sums(counts * 2.0 + generator.normal(0, 1, 200), counts.astype(float))

    assert coverage(draw, 2.0) == pytest.approx(0.95, abs=0.03)


def draw_interval(random: np.random.Generator, samples: int) -> Interval:
    """Draws samples of 1 to 12 positions with mean 0; positions of a sample share most of their value."""
    counts = random.integers(1, 13, samples)
    sample = np.arange(samples).repeat(counts)
    values = random.normal(size=samples)[sample] + 0.3 * random.normal(size=len(sample))
    return mean_over_samples(values, np.ones(len(values), bool), sample)


def test_intervals_cover_the_truth_although_positions_of_a_sample_depend_on_each_other() -> None:
    random = np.random.default_rng(1)
    covered = [low <= 0 <= high for _, low, high in (draw_interval(random, 100) for _ in range(600))]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_intervals_shrink_with_the_square_root_of_samples() -> None:
    random = np.random.default_rng(0)

    def width(samples: int) -> float:
        return float(np.mean([high - low for _, low, high in (draw_interval(random, samples) for _ in range(20))]))

    assert width(50) / width(800) == pytest.approx(4, rel=0.15)


def clustered_data(seed: int) -> tuple[Floats, Floats, Integers]:
    """Draws values, weights and samples [N] of 12 samples with 1 to 5 values each."""
    random = np.random.default_rng(seed)
    sample = np.arange(12).repeat(random.integers(1, 6, 12))
    values = random.normal(3, 1, 12)[sample] + 0.3 * random.normal(size=len(sample))
    return values, random.uniform(0.5, 2, len(sample)), sample


@pytest.mark.parametrize("seed", range(3))
def test_standard_errors_over_samples_are_the_cluster_robust_ones_of_statsmodels(seed: int) -> None:
    values, weights, sample = clustered_data(seed)
    ones = np.ones(len(values))
    clusters = {"cov_type": "cluster", "cov_kwds": {"groups": sample}}
    fit = OLS(values, ones).fit(**clusters)
    value, low, high = mean_over_samples(values, ones > 0, sample)
    half = stats.norm.ppf(0.975) * fit.bse[0]
    assert (value, low, high) == pytest.approx((fit.params[0], fit.params[0] - half, fit.params[0] + half))
    weighted = WLS(values, ones, weights).fit(**clusters)
    mean = WeightedContexts(sample, weights).mean(values)
    half = stats.t.ppf(0.975, 12 - 1) * weighted.bse[0]
    ends = (weighted.params[0] - half, weighted.params[0] + half)
    assert (mean.value, mean.low, mean.high) == pytest.approx((weighted.params[0], *ends))


def test_the_interval_of_a_mean_is_students() -> None:
    values, _, _ = clustered_data(0)
    value, low, high = t_interval(values)
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx(stats.ttest_1samp(values, 0.0).confidence_interval(0.95))


def test_the_interval_of_a_ratio_of_negative_sums_is_that_of_the_positive_ones() -> None:
    values, weights, _ = clustered_data(1)
    assert ratio_of_sums(-values, -weights, few=True) == pytest.approx(ratio_of_sums(values, weights, few=True))


def test_a_share_of_all_has_the_width_of_clopper_and_pearson() -> None:
    every = np.ones(30, bool)
    value, low, high = share_over_samples(every, every, np.arange(30) // 3)
    assert (value, high) == (1, 1)
    assert low == pytest.approx(0.025 ** (1 / 30))


def test_average_precision_is_that_of_the_ranking() -> None:
    truth = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), truth) == pytest.approx((1 + 2 / 3) / 2)
