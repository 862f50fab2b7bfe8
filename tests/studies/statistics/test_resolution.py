"""The effect that a study finds with 80% power: the test finds it that often in scores with the same scatter."""

import numpy as np
import pytest

from studies.statistics.detectable import detectable_effect, detectable_shares
from studies.statistics.effects import Effect, LeadOfBest, WeightedMeans
from studies.statistics.forms.form import Form, Scores
from studies.statistics.forms.independent import INDEPENDENT
from studies.statistics.forms.paired import PAIRED
from studies.statistics.forms.shares import SHARES
from studies.statistics.resolution import resolution

TREND = WeightedMeans((-1.0, 0.0, 1.0))


def normal(arms: int, seeds: int, shared: float = 0.0, seed: int = 0) -> Scores:
    """Returns scores of variance 1, of which a part is that of the seed, centred so that their scatter is exact."""
    rng = np.random.default_rng(seed)
    scores_AxK = np.sqrt(1 - shared) * rng.standard_normal((arms, seeds)) + np.sqrt(shared) * rng.standard_normal(seeds)
    return np.asarray((scores_AxK - scores_AxK.mean(axis=1, keepdims=True)) / scores_AxK.std(axis=1, keepdims=True))


@pytest.mark.parametrize("form", [INDEPENDENT, PAIRED])
@pytest.mark.parametrize(("effect", "arms"), [(WeightedMeans(), 2), (TREND, 3), (LeadOfBest(1, 2), 3)])
def test_with_normal_scores_it_is_the_effect_of_the_plan(form: Form, effect: Effect, arms: int) -> None:
    planned = detectable_effect(effect, form, 24, 0.05)
    assert resolution(normal(arms, 24), effect, form, 0.05) == pytest.approx(planned, rel=0.25)


def test_the_permutation_test_finds_it_in_four_of_five_studies() -> None:
    observed = normal(2, 12) * [[0.03], [0.06]]
    size = resolution(observed, WeightedMeans(), INDEPENDENT, 0.05)
    assert size is not None
    rng, supported = np.random.default_rng(1), []
    for _ in range(200):
        scores = rng.standard_normal((2, 12)) * [[0.03], [0.06]] + [[size], [0.0]]
        supported.append(2 * WeightedMeans().evidence(scores, INDEPENDENT).above(0.0) <= 0.05)
    assert np.mean(supported) == pytest.approx(0.8, abs=0.1)


def test_it_has_the_unit_of_the_scores_and_does_not_depend_on_the_effect_that_was_observed() -> None:
    scores = normal(2, 12)
    size = resolution(scores, WeightedMeans(), INDEPENDENT, 0.05)
    assert size is not None
    assert resolution(100 * scores + [[300.0], [-5.0]], WeightedMeans(), INDEPENDENT, 0.05) == pytest.approx(100 * size)


def test_a_pair_of_arms_that_vary_together_finds_less() -> None:
    together, apart = (resolution(normal(2, 24, shared), WeightedMeans(), PAIRED, 0.05) for shared in (0.9, 0.0))
    assert together is not None
    assert apart is not None
    assert together < 0.6 * apart


def test_an_equivalence_has_the_margin_that_equal_arms_meet() -> None:
    margin = resolution(normal(2, 24), WeightedMeans(), INDEPENDENT, 0.05, equivalence=True)
    assert margin is not None
    rng, inside = np.random.default_rng(2), []
    for _ in range(200):
        evidence = WeightedMeans().evidence(rng.standard_normal((2, 24)), INDEPENDENT)
        inside.append(2 * max(evidence.above(-margin), evidence.below(margin)) <= 0.05)
    assert np.mean(inside) == pytest.approx(0.8, abs=0.1)


def test_of_two_shares_it_is_the_difference_that_the_exact_test_finds() -> None:
    shares = detectable_shares(12, 0.05)
    assert shares is not None
    scores = np.array([[1.0] * 12, [0.0] * 12])
    assert resolution(scores, WeightedMeans(), SHARES, 0.05) == pytest.approx(shares[1] - shares[0])


def test_with_a_margin_the_difference_of_two_shares_is_counted_from_the_margin() -> None:
    margin = 0.2
    shares = detectable_shares(16, 0.05, margin)
    assert shares is not None
    scores = np.array([[1.0] * 16, [0.0] * 16])
    size = resolution(scores, WeightedMeans(), SHARES, 0.05, margin=margin)
    assert size == pytest.approx(shares[1] - shares[0] - margin)


def test_nothing_is_found_with_too_few_seeds_or_without_scatter() -> None:
    assert resolution(normal(2, 5), WeightedMeans(), PAIRED, 0.05) is None
    assert resolution(np.ones((2, 12)), WeightedMeans(), INDEPENDENT, 0.05) is None
