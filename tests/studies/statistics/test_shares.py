"""The exact test of two shares against scipy's, its validity for every pair of shares, and intervals that agree."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from studies.statistics.effects import LeadOfBest, WeightedMeans
from studies.statistics.exact import mean_interval, share_interval
from studies.statistics.forms.independent import INDEPENDENT
from studies.statistics.forms.share_test import SHIFTS, SharesTest, exact_p_values, p_values
from studies.statistics.forms.shares import SHARES


def ones(solved: int, runs: int) -> np.ndarray:
    return np.array([1.0] * solved + [0.0] * (runs - solved))


@pytest.mark.parametrize(("runs", "treatment", "control"), [(5, 5, 0), (5, 4, 0), (6, 6, 1), (12, 9, 3), (24, 24, 17)])
def test_without_a_shift_it_is_barnards_test(runs: int, treatment: int, control: int) -> None:
    table = [[treatment, control], [runs - treatment, runs - control]]
    expected = min(stats.barnard_exact(table, alternative=side).pvalue for side in ("less", "greater"))
    test = SharesTest(treatment, control, runs)
    assert test.above(0.0) == pytest.approx(expected, rel=1e-3)
    assert SharesTest(control, treatment, runs).below(0.0) == pytest.approx(test.above(0.0))
    assert test.below(0.0) > 0.5


def test_five_of_five_against_none_by_hand() -> None:
    """Two shares of 1/2 give this result with probability 1/1,024; no other equal shares make it more likely."""
    assert SharesTest(5, 0, 5).above(0.0) == pytest.approx(2.0**-10)
    assert SHARES.smallest_p(2, 5) == pytest.approx(2 * 2.0**-10)
    evidence = WeightedMeans().evidence(np.stack([ones(5, 5), ones(0, 5)]), SHARES)
    assert evidence.contrast(0.05).high == 1.0
    assert evidence.contrast(0.05).low == pytest.approx(0.38)


@pytest.mark.parametrize("runs", [5, 8])
@pytest.mark.parametrize("shift", [-0.4, 0.0, 0.3])
def test_it_rejects_at_most_at_its_level_whatever_the_shares(runs: int, shift: float) -> None:
    """If two shares differ by at most the shift, a p value of at most 5% has a probability of at most 5%."""
    counts = np.arange(runs + 1)
    rejected = np.array([[SharesTest(x, y, runs).above(shift) <= 0.05 for y in counts] for x in counts])
    assert rejected.any()
    for control, less in product(np.linspace(0, 1, 57), (0.0, 0.1)):
        treatment = control + shift - less
        if 0 <= treatment <= 1:
            shares = stats.binom.pmf(counts, runs, treatment), stats.binom.pmf(counts, runs, control)
            assert np.outer(*shares)[rejected].sum() <= 0.05 + 2e-4


@pytest.mark.parametrize("runs", [5, 12])
@pytest.mark.parametrize(("treatment", "control"), [(0.9, 0.1), (0.5, 0.5), (0.97, 0.7), (1.0, 0.2)])
def test_its_interval_covers_the_difference(runs: int, treatment: float, control: float) -> None:
    counts, covered = np.arange(runs + 1), 0.0
    for x, y in product(counts, counts):
        low, high = SharesTest(x, y, runs).bounds(0.025)
        probability = stats.binom.pmf(x, runs, treatment) * stats.binom.pmf(y, runs, control)
        covered += probability * (low - 1e-9 <= treatment - control <= high + 1e-9)
    assert covered >= 0.95


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_verdict_and_interval_agree(level: float) -> None:
    for x, y in product(range(7), range(7)):
        test = SharesTest(x, y, 6)
        low, high = test.bounds(level)
        assert -1.0 <= low <= (x - y) / 6 + 1e-9
        assert (x - y) / 6 - 1e-9 <= high <= 1.0
        for shift in SHIFTS[20:-20:20]:
            assert (test.above(shift) <= level + 1e-12) == (shift <= low)
            assert (test.below(shift) <= level + 1e-12) == (shift >= high)


def test_p_values_rise_with_the_shift_where_those_of_single_shifts_do_not() -> None:
    falls = np.diff(exact_p_values(6), axis=0).min(axis=0)
    assert falls.min() < -0.01
    for x, y in product(range(7), range(7)):
        assert np.diff(p_values(x, y, 6)).min() >= 0.0
        assert (p_values(x, y, 6) >= exact_p_values(6)[:, x, y]).all()


@pytest.mark.slow
def test_p_values_of_many_runs_come_from_the_score_statistic() -> None:
    """For 65 runs the normal approximation stands in for the exact test; for 64 both are close."""
    exact, approximate = SharesTest(40, 30, 64).above(0.0), SharesTest(41, 31, 65).above(0.0)
    assert exact == pytest.approx(approximate, abs=0.01)
    assert exact_p_values.cache_info().currsize > 0


def test_the_best_of_several_arms_is_tested_pair_by_pair_and_a_trend_exchanges_scores() -> None:
    scores = np.stack([ones(8, 8), ones(1, 8), ones(0, 8)])
    lead = LeadOfBest(1, 2).evidence(scores, SHARES)
    assert lead.above(0.0) == pytest.approx(SharesTest(8, 1, 8).above(0.0))
    slope = WeightedMeans((1.0, 0.0, -1.0))
    assert slope.evidence(scores, SHARES).above(0.0) == slope.evidence(scores, INDEPENDENT).above(0.0)


def test_further_runs_are_drawn_as_if_half_a_run_more_had_ended_either_way() -> None:
    """Five of five do not show that every further run solves its task: the share drawn is 5.5 of 6."""
    scores = np.stack([ones(5, 5), ones(0, 5), ones(2, 5)])
    drawn = SHARES.further_scores(np.random.default_rng(0), scores, 400, 50)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert drawn.mean(axis=(0, 2)) == pytest.approx([5.5 / 6, 0.5 / 6, 2.5 / 6], abs=0.015)


def test_the_interval_of_a_share_is_clopper_and_pearsons() -> None:
    low, high = share_interval(ones(3, 8), 0.05)
    assert (low, high) == pytest.approx((stats.beta.ppf(0.025, 3, 6), stats.beta.ppf(0.975, 4, 5)))
    assert share_interval(ones(5, 5), 0.05) == pytest.approx((0.025**0.2, 1.0))


def test_the_interval_of_a_bounded_mean_stays_within_the_bounds_and_is_students_far_from_them() -> None:
    near = np.array([0.99, 1.0, 1.0, 0.9, 0.6])
    low, high = mean_interval(near, 0.05, (0.0, 1.0))
    assert 0.0 < low < near.mean() < high < 1.0
    assert mean_interval(near, 0.05)[1] > 1.0
    tight = 0.5 + 1e-3 * np.array([-1.0, 0.0, 1.0, 2.0, -2.0])
    assert mean_interval(tight, 0.05, (0.0, 1.0)) == pytest.approx(mean_interval(tight, 0.05), abs=1e-5)
    assert mean_interval(2 * near - 1, 0.05, (-1.0, 1.0)) == pytest.approx((2 * low - 1, 2 * high - 1))


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_verdict_and_interval_agree_between_the_tested_shifts(level: float) -> None:
    for x, y, margin in product(range(9), range(9), (0.003, 0.1234, 0.302, 0.4999)):
        test = SharesTest(x, y, 8)
        low, high = test.bounds(level)
        assert (test.above(margin) <= level + 1e-12) == (margin <= low + 1e-12)
        assert (test.below(margin) <= level + 1e-12) == (margin >= high - 1e-12)


def test_no_result_rules_out_a_difference_that_no_shares_can_exceed() -> None:
    assert SharesTest(8, 0, 8).above(1.0) == SharesTest(8, 0, 8).above(1.5) == 1.0


def test_a_trend_over_two_levels_is_the_difference_between_them() -> None:
    scores = np.stack([ones(0, 5), ones(5, 5)])
    trend, difference = WeightedMeans((-1.0, 1.0)), WeightedMeans()
    evidence = trend.evidence(scores, SHARES)
    assert evidence.effect == 1.0
    assert 2 * evidence.above(0.0) == pytest.approx(trend.smallest_p(5, SHARES))
    assert evidence.contrast(0.05) == difference.evidence(scores[::-1], SHARES).contrast(0.05)
