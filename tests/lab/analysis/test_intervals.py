"""Intervals cover the truth 95 times in 100, and the exact ones have their textbook ends."""

from collections.abc import Callable

import numpy as np
import pytest

from lab.analysis.estimators.intervals import average_precision, ratio_of_sums, share_over_samples, t_ratio
from lab.analysis.findings import Interval


def coverage(draw_interval: Callable[[np.random.Generator], Interval], truth: float) -> float:
    generator = np.random.default_rng(0)
    ends = [draw_interval(generator)[1:] for _ in range(1000)]
    return float(np.mean([low <= truth <= high for low, high in ends]))


def test_the_interval_of_a_share_of_a_sum_covers_it() -> None:
    def draw(generator: np.random.Generator) -> Interval:
        part, rest = generator.normal(1, 0.5, 8), generator.normal(3, 0.5, 8)
        return t_ratio(part, part + rest)

    assert coverage(draw, 1 / 4) == pytest.approx(0.95, abs=0.03)


def test_the_interval_of_a_ratio_of_sums_covers_it() -> None:
    def draw(generator: np.random.Generator) -> Interval:
        counts = generator.integers(1, 6, 200)
        return ratio_of_sums(counts * 2.0 + generator.normal(0, 1, 200), counts.astype(float))

    assert coverage(draw, 2.0) == pytest.approx(0.95, abs=0.03)


def test_a_share_of_all_has_the_width_of_clopper_and_pearson() -> None:
    every = np.ones(30, bool)
    value, low, high = share_over_samples(every, every, np.arange(30) // 3)
    assert (value, high) == (1, 1)
    assert low == pytest.approx(0.025 ** (1 / 30))


def test_average_precision_is_that_of_the_ranking() -> None:
    truth = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 3.0, 2.0, 1.0]), truth) == pytest.approx((1 + 2 / 3) / 2)
