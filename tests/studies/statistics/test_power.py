"""The estimate of seeds needed: against theory where scores are normal, and its p values against the exact ones."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.simulated_studies import DIFFERENCE, power_of_t_test, study_of
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.statistics.forms.form import Form
from studies.statistics.forms.independent import INDEPENDENT
from studies.statistics.forms.paired import PAIRED
from studies.statistics.power import POWER, approximate_p, resampled

QUANTILES = stats.norm.ppf((np.arange(8) + 0.5) / 8)
NORMAL = QUANTILES / QUANTILES.std(ddof=1)


def judged(shift: float, **claim: object) -> Judgement:
    """Judges two arms of eight seeds each: normal quantiles of unit variance, in unrelated orders, shifted apart."""
    study = study_of([DIFFERENCE | claim], 2, "independent", 8, None)
    control, treatment = (NORMAL[np.random.default_rng(seed).permutation(8)] for seed in (0, 3))
    return judge(
        study, {"place=0 arm=0": dict(enumerate(control)), "place=0 arm=1": dict(enumerate(treatment + shift))}
    )[0]


@pytest.mark.parametrize("shift", [0.7, 0.9, -0.9])
def test_the_seeds_needed_are_those_of_normal_theory(shift: float) -> None:
    judgement = judged(shift)
    theory = next(seeds for seeds in range(5, 200) if power_of_t_test(abs(shift), seeds) >= 0.8)
    assert judgement.verdict == "inconclusive"
    assert judgement.seeds_needed == pytest.approx(theory, rel=0.2)
    assert judgement.seeds_needed_text.startswith(
        f"about {judgement.seeds_needed - 8} more seeds per arm would decide it (80% power at "
    )


def power_at(judgement: Judgement, seeds: int) -> float:
    """Returns the share of studies of so many seeds, drawn from the scores, that decide the claim as it leans."""
    test, level = judgement.test, judgement.level
    assert test is not None
    assert level is not None
    drawn_RxAxK = resampled(test.scores_AxK, seeds, test.form)
    p_R = approximate_p(drawn_RxAxK, test.comparison.effect, test.form, test.p_decided(level, [test.leaning]))
    return float(np.mean(p_R <= level))


@pytest.mark.parametrize("shift", [0.64, 0.7, 0.8, -0.9])
def test_the_seeds_needed_are_the_smallest_number_with_a_power_of_80_percent(shift: float) -> None:
    """With a shift of 0.8 the power is exactly 80%, which is enough."""
    judgement = judged(shift)
    assert judgement.seeds_needed is not None
    fewer, enough = (power_at(judgement, judgement.seeds_needed - less) for less in (1, 0))
    assert fewer < POWER <= enough


def test_a_tiny_effect_is_out_of_reach_and_a_decided_claim_needs_no_more_seeds() -> None:
    assert judged(0.01).seeds_needed is None
    assert judged(0.01).seeds_needed_text.startswith("even 200 seeds per arm would not decide it")
    assert judged(5.0).verdict == "supported"
    assert judged(5.0).seeds_needed_text == ""


def test_an_equivalence_takes_fewer_seeds_the_wider_its_margin() -> None:
    narrow, wide = (judged(0.0, kind="equivalence", margin=margin).seeds_needed for margin in (0.8, 1.0))
    assert narrow is not None
    assert wide is not None
    assert 8 < wide < narrow


@pytest.mark.parametrize("form", [INDEPENDENT, PAIRED])
@pytest.mark.parametrize("claim", [DIFFERENCE, {"kind": "trend"}, {"kind": "best", "best": [0, 1]}])
def test_approximate_p_values_are_near_the_exact_ones(form: Form, claim: dict[str, object]) -> None:
    study = study_of([claim], 3, form.name, 8, None)
    comparison = study.declaration.claims[0].comparison(study)
    shifts_A = 0.3 * np.arange(len(comparison.arms))
    for seed in range(5):
        scores_AxK = np.random.default_rng(seed).normal(size=(len(shifts_A), 8)) + shifts_A[:, None]
        exact = comparison.effect.evidence(scores_AxK, form)
        for shift in (-0.2, 0.5):
            above, below = (
                float(comparison.effect.approximate_p(scores_AxK[None], form, shift, side)[0]) for side in (1, -1)
            )
            assert above == pytest.approx(exact.above(shift), abs=0.05)
            assert below == pytest.approx(exact.below(shift), abs=0.05)
