"""The effect that a study could find: its simulated power is 80%, and a smaller effect has less."""

import numpy as np
import pytest
from scipy import stats

from studies.statistics.detectable import (
    detectable_effect,
    detectable_margin,
    detectable_share_margin,
    detectable_shares,
    detectable_text,
)
from studies.statistics.effects import LeadOfBest, WeightedMeans
from studies.statistics.forms.independent import INDEPENDENT
from studies.statistics.forms.paired import PAIRED
from studies.statistics.forms.shares import SHARES


def power_of_shares(seeds: int, control: float, treatment: float, level: float) -> float:
    """Returns the exact probability that two shares are told apart."""
    counts = np.arange(seeds + 1)
    total = 0.0
    for x in counts:
        for y in counts:
            scores = np.array([[1.0] * x + [0.0] * (seeds - x), [1.0] * y + [0.0] * (seeds - y)])
            if 2 * WeightedMeans().evidence(scores, SHARES).above(0.0) <= level:
                total += stats.binom.pmf(x, seeds, treatment) * stats.binom.pmf(y, seeds, control)
    return total


@pytest.mark.parametrize("seeds", [5, 8, 16])
def test_for_two_arms_it_is_nearly_the_effect_of_students_t_test(seeds: int) -> None:
    size = detectable_effect(WeightedMeans(), INDEPENDENT, seeds, 0.05)
    assert size is not None
    noncentrality, freedom = size * np.sqrt(seeds / 2), 2 * seeds - 2
    assert stats.nct.sf(stats.t.isf(0.025, freedom), freedom, noncentrality) == pytest.approx(0.8, abs=0.03)


def test_more_seeds_and_a_looser_level_find_smaller_effects() -> None:
    sizes = [detectable_effect(WeightedMeans(), INDEPENDENT, seeds, 0.05) or np.inf for seeds in (5, 8, 24)]
    assert sizes == sorted(sizes, reverse=True)
    strict = detectable_effect(WeightedMeans(), INDEPENDENT, 24, 0.01)
    assert strict is not None
    assert strict > sizes[-1]


def test_the_lead_of_the_best_of_several_takes_a_larger_effect_than_a_difference() -> None:
    lead, difference = (
        detectable_effect(effect, INDEPENDENT, 12, 0.05) for effect in (LeadOfBest(1, 3), WeightedMeans())
    )
    assert lead is not None
    assert difference is not None
    assert lead > difference


def test_too_few_seeds_find_nothing() -> None:
    assert detectable_effect(WeightedMeans(), PAIRED, 5, 0.05) is None
    assert detectable_margin(WeightedMeans(), PAIRED, 5, 0.05) is None
    assert detectable_text(WeightedMeans(), PAIRED, 5, 0.05) == "no effect"
    assert detectable_text(WeightedMeans(), PAIRED, 5, 0.05, equivalence=True) == "no equivalence"


def test_equal_arms_are_equivalent_within_the_margin_with_its_power() -> None:
    margin = detectable_margin(WeightedMeans(), INDEPENDENT, 12, 0.05)
    assert margin is not None
    rng = np.random.default_rng(5)
    supported = []
    for _ in range(300):
        evidence = WeightedMeans().evidence(rng.standard_normal((2, 12)), INDEPENDENT)
        supported.append(2 * max(evidence.above(-margin), evidence.below(margin)) <= 0.05)
    assert np.mean(supported) == pytest.approx(0.8, abs=0.07)


@pytest.mark.parametrize("seeds", [6, 12])
def test_shares_are_told_apart_with_their_power_and_closer_ones_with_less(seeds: int) -> None:
    shares = detectable_shares(seeds, 0.05)
    assert shares is not None
    control, treatment = shares
    assert control + treatment == pytest.approx(1.0)
    assert power_of_shares(seeds, control, treatment, 0.05) >= 0.8
    assert power_of_shares(seeds, control + 0.01, treatment - 0.01, 0.05) < 0.8


def test_the_margin_of_shares_is_the_lower_bound_of_their_interval() -> None:
    margin = detectable_share_margin(12, 0.05)
    scores = np.ones((2, 12))
    assert WeightedMeans().evidence(scores, SHARES).contrast(0.05).low == pytest.approx(-margin)
    assert 0.1 < margin < 0.4
    assert detectable_text(WeightedMeans(), SHARES, 12, 0.05, equivalence=True).endswith(f"a margin of {margin:.2f}")


def test_shares_that_exceed_a_margin_lie_further_apart() -> None:
    plain, beyond = detectable_shares(24, 0.05), detectable_shares(24, 0.05, 0.2)
    assert plain is not None
    assert beyond is not None
    gap = beyond[1] - beyond[0]
    assert gap > plain[1] - plain[0] + 0.1
    assert detectable_shares(24, 0.05, 1.0) is None
    assert "beyond the margin" in detectable_text(WeightedMeans(), INDEPENDENT, 24, 0.05, margin=0.2)
    assert detectable_text(WeightedMeans(), SHARES, 24, 0.05, margin=0.2) != detectable_text(
        WeightedMeans(), SHARES, 24, 0.05
    )


@pytest.mark.slow
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_runs_beyond_the_exact_test_tell_shares_apart_nearly_as_those_of_the_exact_test(margin: float) -> None:
    exact, many = detectable_shares(48, 0.05, margin), detectable_shares(65, 0.05, margin)
    assert exact is not None
    assert many is not None
    root = np.sqrt(48 / 65)
    assert many[1] - many[0] - margin == pytest.approx(root * (exact[1] - exact[0] - margin), abs=0.03)


def test_a_trend_over_two_levels_finds_what_a_difference_finds() -> None:
    assert detectable_text(WeightedMeans((-1.0, 1.0)), SHARES, 12, 0.05) == detectable_text(
        WeightedMeans(), SHARES, 12, 0.05
    )
