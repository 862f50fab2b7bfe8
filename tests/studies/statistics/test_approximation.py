"""Approximate p values are those of textbook tests, paired studies are resampled by seed, and every draw repeats."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.api import OLS

from benchmarks.simulated_studies import DIFFERENCE, study_of
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.statistics.effects import WeightedMeans
from studies.statistics.forms import independent, paired
from studies.statistics.forms.form import ENUMERATED_MAXIMUM, Form, Scores
from studies.statistics.forms.independent import INDEPENDENT
from studies.statistics.forms.paired import PAIRED
from studies.statistics.power import resampled, seeds_needed

SHIFTS = (-0.3, 0.0, 0.8)
SLOPE = (-0.5, 0.0, 0.5)
QUANTILES = stats.norm.ppf((np.arange(8) + 0.5) / 8)
NORMAL = QUANTILES / QUANTILES.std(ddof=1)
"""Eight scores with mean 0 and standard deviation 1."""


def approximate_p(scores_AxK: Scores, weights: tuple[float, ...], form: Form, shift: float) -> float:
    return float(WeightedMeans(weights).approximate_p(scores_AxK[None], form, shift, 1)[0])


@pytest.mark.parametrize("shift", SHIFTS)
def test_approximate_p_values_of_two_arms_are_those_of_students_two_sample_and_paired_tests(shift: float) -> None:
    for seed in range(5):
        a, b = np.random.default_rng(seed).normal(size=(2, 5))
        pair = np.stack([a, b])
        two_sample = stats.ttest_ind(a - shift, b, alternative="greater").pvalue
        by_seed = stats.ttest_rel(a - shift, b, alternative="greater").pvalue
        assert approximate_p(pair, (1.0, -1.0), INDEPENDENT, shift) == pytest.approx(two_sample, rel=1e-9)
        assert approximate_p(pair, (1.0, -1.0), PAIRED, shift) == pytest.approx(by_seed, rel=1e-9)


@pytest.mark.parametrize("shift", SHIFTS)
def test_approximate_p_values_of_a_slope_are_those_of_least_squares_without_and_with_a_mean_for_each_seed(
    shift: float,
) -> None:
    for seed in range(5):
        scores = np.random.default_rng(seed).normal(size=(3, 4)) + 0.4 * np.arange(3)[:, None]
        levels, seeds = (np.repeat(np.arange(3.0), 4), np.tile(np.arange(4), 3))
        for form, means in ((INDEPENDENT, np.ones((12, 1))), (PAIRED, np.eye(4)[seeds])):
            fit = OLS(scores.ravel(), np.column_stack([levels, means])).fit()
            expected = stats.t.sf((fit.params[0] - shift) / fit.bse[0], fit.df_resid)
            assert approximate_p(scores, SLOPE, form, shift) == pytest.approx(expected, rel=1e-9)


def judged(form: str, control: Scores, treatment: Scores) -> Judgement:
    """Judges one claim that the treatment is better."""
    study = study_of([DIFFERENCE], 2, form, len(control), None)
    cells = {"place=0 arm=0": control, "place=0 arm=1": treatment}
    return judge(study, {label: dict(enumerate(map(float, scores))) for label, scores in cells.items()})[0]


def power_of_paired_t_test(shift: float, seeds: int) -> float:
    """Returns the power of the two-sided paired t test at 0.05, for a shift in standard deviations of differences."""
    bound = stats.t.isf(0.025, seeds - 1)
    return float(stats.nct.sf(bound, seeds - 1, shift * np.sqrt(seeds)))


@pytest.mark.parametrize("shift", [0.6, 0.7])
def test_paired_arms_that_share_their_seeds_need_as_many_as_their_differences(shift: float) -> None:
    """The seeds move both arms by nine times as much as they move their difference."""
    control, differences = 9 * NORMAL, NORMAL[[3, 0, 6, 1, 7, 4, 2, 5]] + shift
    judgement = judged("paired", control, control + differences)
    theory = next(seeds for seeds in range(5, 200) if power_of_paired_t_test(shift, seeds) >= 0.8)
    assert judgement.verdict == "inconclusive"
    assert judgement.seeds_needed == pytest.approx(theory, rel=0.2)
    assert judged("independent", control, control + differences).seeds_needed is None


@pytest.mark.parametrize("form", [INDEPENDENT, PAIRED])
def test_resampled_studies_have_the_mean_and_the_unbiased_spread_of_the_observed_scores(form: Form) -> None:
    scores_AxK = np.random.default_rng(2).normal(size=(3, 5)) * np.array([[1.0], [2.0], [0.5]])
    resampled_RxAxK = resampled(scores_AxK, 1000, form)
    assert resampled_RxAxK.mean(axis=(0, 2)) == pytest.approx(scores_AxK.mean(axis=1), abs=0.02)
    assert resampled_RxAxK.std(axis=(0, 2)) == pytest.approx(scores_AxK.std(axis=1, ddof=1), rel=0.01)


def test_an_effect_beyond_doubt_needs_as_many_seeds_as_give_so_small_a_p_value() -> None:
    """Two arms of k pairs have p values of 2 / 2^k at least: 2/128 is the first below 0.025, at seven pairs."""
    scores_AxK = np.array([np.arange(5.0) + 100, np.arange(5.0)[::-1]])
    seeds = seeds_needed(scores_AxK, WeightedMeans(), PAIRED, 0.025, lambda above, below: 2 * np.asarray(above(0.0)))
    assert seeds == 7


def test_looks_that_share_a_level_need_as_many_seeds_as_one_look_at_their_share_of_it() -> None:
    control, treatment = NORMAL, NORMAL[[3, 0, 6, 1, 7, 4, 2, 5]] + 0.7

    def needed(level: float, looks: list[int] | None) -> int:
        study = study_of([DIFFERENCE], 2, "independent", 8, looks)
        study = replace(study, declaration=study.declaration.model_copy(update={"level": level}))
        cells = {"place=0 arm=0": control, "place=0 arm=1": treatment}
        judgement = judge(study, {label: dict(enumerate(map(float, scores))) for label, scores in cells.items()})[0]
        assert judgement.seeds_needed is not None
        return judgement.seeds_needed

    assert needed(0.05, [8, 16]) == needed(0.025, None) > needed(0.05, None)


@pytest.mark.parametrize(("form", "seeds"), [(INDEPENDENT, 12), (PAIRED, 20)])
def test_a_study_with_too_many_exchanges_to_enumerate_has_the_same_verdict_to_the_last_digit_again(
    form: Form, seeds: int
) -> None:
    """Judges as two processes would: neither knows the exchanges that the other drew."""
    assert form.exchanges(2, seeds) > ENUMERATED_MAXIMUM
    control, treatment = np.random.default_rng(5).normal(size=(2, seeds)) + np.array([[0.0], [0.8]])
    records = []
    for _ in range(2):
        independent._rearranged_weights.cache_clear()
        paired._drawn_weights.cache_clear()
        records.append(judged(form.name, control, treatment).record())
    assert records[0] == records[1]
    assert records[0].interval is not None
