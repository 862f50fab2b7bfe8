"""Exact tests against scipy and by hand; error rates and coverage by simulation with fixed generators."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from studies.statistics.effects import PAIR, LeadOfBest, WeightedMeans
from studies.statistics.exact import Evidence, holm, mean_interval
from studies.statistics.forms.form import Form, Scores, ShiftTest
from studies.statistics.forms.independent import INDEPENDENT
from studies.statistics.forms.paired import PAIRED


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def two_arms(treatment: Scores, control: Scores, form: Form) -> Evidence:
    return WeightedMeans().evidence(np.stack([treatment, control]), form)


def weighted_sum(scores: Scores, weights: Scores, form: Form) -> Evidence:
    return WeightedMeans(tuple(weights)).evidence(scores, form)


def lead_of_best(scores: Scores, candidates: int) -> Evidence:
    return LeadOfBest(candidates, len(scores) - candidates).evidence(scores, INDEPENDENT)


def p_two_sided(evidence: Evidence) -> float:
    return min(1.0, 2 * min(evidence.above(0.0), evidence.below(0.0)))


@pytest.mark.parametrize("alternative", ["greater", "less"])
@pytest.mark.parametrize("size", [3, 5])
def test_independent_p_values_are_those_of_scipys_exact_permutation_test(alternative: str, size: int) -> None:
    for seed in range(10):
        a, b = rng(seed).normal(0.5, 1, size), rng(seed + 100).normal(0, 1, size)
        expected = stats.permutation_test(
            (a, b), lambda x, y: x.mean() - y.mean(), alternative=alternative, n_resamples=np.inf
        ).pvalue
        evidence = two_arms(a, b, INDEPENDENT)
        assert (evidence.above(0.0) if alternative == "greater" else evidence.below(0.0)) == pytest.approx(expected)


@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_paired_p_values_are_those_of_scipys_exact_sign_flips(alternative: str) -> None:
    for seed in range(10):
        a, b = rng(seed).normal(0.5, 1, 6), rng(seed + 100).normal(0, 1, 6)
        expected = stats.permutation_test(
            (a - b,), np.mean, permutation_type="samples", alternative=alternative, n_resamples=np.inf
        ).pvalue
        evidence = two_arms(a, b, PAIRED)
        assert (evidence.above(0.0) if alternative == "greater" else evidence.below(0.0)) == pytest.approx(expected)


def test_a_shift_is_tested_as_scipy_would_test_the_shifted_scores() -> None:
    a, b = rng(1).normal(0.5, 1, 5), rng(2).normal(0, 1, 5)
    shifts = INDEPENDENT.typical_values(np.stack([a, b]), PAIR)
    for shift in (-1.0, 0.2, 0.9):
        expected = stats.permutation_test(
            (a - shift, b), lambda x, y: x.mean() - y.mean(), alternative="greater", n_resamples=np.inf
        ).pvalue
        assert ShiftTest(shifts).above(shift) == pytest.approx(expected)


def test_the_smallest_p_is_what_separated_arms_give() -> None:
    a, b = np.arange(5) + 10.0, np.arange(5.0)
    assert p_two_sided(two_arms(a, b, INDEPENDENT)) == pytest.approx(INDEPENDENT.smallest_p(2, 5))
    assert INDEPENDENT.smallest_p(2, 5) == pytest.approx(2 / 252)
    assert INDEPENDENT.smallest_p(2, 5) * 6 < 0.05
    assert PAIRED.smallest_p(2, 5) == pytest.approx(2 / 32)


@pytest.mark.parametrize("form", [INDEPENDENT, PAIRED])
def test_the_interval_excludes_zero_exactly_when_the_test_rejects(form: Form) -> None:
    rejected = 0
    for seed in range(200):
        a, b = rng(seed).normal(0.8, 1, 6), rng(seed + 1000).normal(0, 1, 6)
        evidence = two_arms(a, b, form)
        interval = evidence.contrast(0.05)
        excludes = interval.low > 0 or interval.high < 0
        assert excludes == (p_two_sided(evidence) <= 0.05)
        rejected += excludes
    assert 10 < rejected < 190


@pytest.mark.parametrize("level", [0.29, 0.07, 0.3, 0.015])
def test_a_shift_is_outside_the_interval_exactly_where_its_p_value_is_at_most_the_level(level: float) -> None:
    """The p values are hundredths, some of which equal the level though no binary fraction does."""
    shifts = np.arange(1.0, 100.0)
    low, high = ShiftTest(shifts).bounds(level)
    for shift in np.arange(0.5, 100.0):
        assert (shift < low) == (round(100 * ShiftTest(shifts).above(shift)) <= 100 * level + 1e-9)
        assert (shift > high) == (round(100 * ShiftTest(shifts).below(shift)) <= 100 * level + 1e-9)


def test_too_few_seeds_give_an_unbounded_interval() -> None:
    interval = two_arms(np.array([1.0, 2.0]), np.array([0.0, 0.1]), INDEPENDENT).contrast(0.05)
    assert interval.low == -np.inf
    assert interval.high == np.inf


def test_five_pairs_reach_no_bounded_interval_at_005() -> None:
    assert two_arms(np.ones(5) + np.arange(5), np.zeros(5), PAIRED).contrast(0.05).low == -np.inf


SOURCES = {
    "normal": lambda r, shared: r.normal(size=5) + shared,
    "skewed": lambda r, shared: np.exp(r.normal(size=5)) + shared,
    "bimodal": lambda r, shared: np.where(r.random(5) < 0.5, 0.25, 1.0) + 0.01 * r.normal(size=5) + 0.1 * shared,
}


@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_equal_arms_are_found_different_no_more_often_than_the_level(source: str, correlated: bool) -> None:
    generator, draw = rng(7), SOURCES[source]
    studies, false = 1000, 0
    for _ in range(studies):
        shared = generator.normal(size=5) if correlated else np.zeros(5)
        false += p_two_sided(two_arms(draw(generator, shared), draw(generator, shared), INDEPENDENT)) <= 0.05
    assert false / studies <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)


@pytest.mark.parametrize("form", [INDEPENDENT, PAIRED])
def test_intervals_cover_the_true_shift(form: Form) -> None:
    generator, size = rng(3), 5 if form == INDEPENDENT else 7
    covered = 0
    for _ in range(1000):
        interval = two_arms(generator.normal(0.7, 1, size), generator.normal(0, 1, size), form).contrast(0.05)
        covered += interval.low <= 0.7 <= interval.high
    assert 0.93 <= covered / 1000 <= 0.975


def test_many_seeds_are_sampled_and_agree_with_normal_theory() -> None:
    a, b = rng(4).normal(0.3, 1, 40), rng(5).normal(0, 1, 40)
    evidence = two_arms(a, b, INDEPENDENT)
    interval = evidence.contrast(0.05)
    assert p_two_sided(evidence) == pytest.approx(stats.ttest_ind(a, b).pvalue, abs=0.02)
    assert (interval.low, interval.high) == pytest.approx(stats.ttest_ind(a, b).confidence_interval(0.95), abs=0.05)


def test_many_pairs_and_many_levels_are_sampled_within_seeds() -> None:
    pairs = np.stack([rng(4).normal(0.3, 1, 30), rng(5).normal(0, 1, 30)])
    interval = weighted_sum(pairs, PAIR, PAIRED).contrast(0.05)
    assert (interval.low, interval.high) == pytest.approx(stats.ttest_rel(*pairs).confidence_interval(0.95), abs=0.05)
    levels = rng(6).normal(size=(9, 5)) + 0.1 * np.arange(9)[:, None]
    slope = np.arange(9) - 4.0
    p = stats.linregress(np.tile(slope, 5), (levels - levels.mean(axis=0)).T.ravel(), alternative="greater").pvalue
    assert weighted_sum(levels, slope / (slope @ slope), PAIRED).above(0.0) == pytest.approx(p, abs=0.02)


def test_typical_values_by_hand() -> None:
    scores = np.array([[3.0, 5.0], [1.0, 0.0]])
    values = INDEPENDENT.typical_values(scores, PAIR)
    assert values == pytest.approx([2.0, 3.0, 3.5, 4.0, 5.0])
    assert PAIRED.typical_values(scores, PAIR) == pytest.approx([2.0, 3.5, 5.0])
    assert ShiftTest(values).below(5.0) == pytest.approx(2 / 6)


def test_a_slope_is_tested_as_scipy_would_test_it() -> None:
    """Within seeds: every order of three levels in each of three seeds. Across seeds: drawn, so within their error."""
    slope = np.array([-0.5, 0.0, 0.5])
    for seed in range(4):
        scores = rng(seed).normal(size=(3, 4)) + 0.4 * np.arange(3)[:, None]
        orders = list(permutations(range(3)))
        effects = [
            slope @ np.stack([scores[list(order), k] for k, order in enumerate(chosen)], axis=1).mean(axis=1)
            for chosen in product(orders, repeat=4)
        ]
        observed = slope @ scores.mean(axis=1)
        within = weighted_sum(scores, slope, PAIRED)
        assert within.effect == pytest.approx(np.polyfit(np.tile(np.arange(3), 4), scores.T.ravel(), 1)[0])
        assert within.above(0.0) == pytest.approx(np.mean(np.array(effects) >= observed - 1e-9))
        if seed > 1:
            continue
        expected = stats.permutation_test(
            (scores.ravel(), np.repeat(np.arange(3.0), 4)),
            lambda x, y: np.corrcoef(x, y)[0, 1],
            permutation_type="pairings",
            alternative="greater",
            n_resamples=2000,
            rng=rng(9),
        ).pvalue
        assert weighted_sum(scores, slope, INDEPENDENT).above(0.0) == pytest.approx(expected, abs=0.04)


def test_a_slope_of_two_levels_is_a_difference() -> None:
    scores = rng(3).normal(size=(2, 6))
    for form in (INDEPENDENT, PAIRED):
        assert form.typical_values(scores, PAIR) == pytest.approx(form.typical_values(scores, 3 * PAIR) / 3)


def test_the_best_of_two_arms_is_decided_as_their_difference_is() -> None:
    scores = rng(3).normal(size=(2, 6))
    assert lead_of_best(scores, 1).contrast(0.05) == two_arms(*scores, INDEPENDENT).contrast(0.05)


def test_a_best_arm_has_to_be_above_each_other() -> None:
    low, high = np.arange(5.0), np.arange(5.0) + 10
    assert lead_of_best(np.stack([high, low, low + 1]), 1).above(0.0) == pytest.approx(1 / 252)
    assert lead_of_best(np.stack([high, high + 0.5, low]), 1).above(0.0) > 0.3
    assert lead_of_best(np.stack([low, high, low + 1]), 1).below(0.0) == pytest.approx(2 / 252), "two others"
    assert lead_of_best(np.stack([high, high + 0.5, low]), 2).above(0.0) == pytest.approx(2 / 252), "two named"


def test_the_interval_of_a_mean_is_students_and_unknown_without_scatter() -> None:
    scores = rng(1).normal(size=5)
    low, high = mean_interval(scores, 0.05)
    assert (low, high) == pytest.approx(stats.ttest_1samp(scores, 0.0).confidence_interval(0.95))
    for without_scatter in (np.ones(5), np.ones(1), np.array([0.3, 0.1 + 0.2, 0.3])):
        assert np.isnan(mean_interval(without_scatter, 0.05)).all()


@pytest.mark.slow
def test_holm_is_that_of_statsmodels() -> None:
    for seed in range(4):
        p_values = np.round(rng(seed).random(6) ** 3, 2)
        corrected, ranks = holm(p_values)
        assert corrected == pytest.approx(multipletests(p_values, method="holm")[1])
        assert (np.sort(p_values)[ranks] == p_values).all()
