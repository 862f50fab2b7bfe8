"""The estimate of seeds needed: against theory where scores are normal, and its p values against the exact ones."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.verdicts import DIFFERENCE, declared, exact_power
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.statistics.forms.table import FORMS

QUANTILES = stats.norm.ppf((np.arange(8) + 0.5) / 8)
NORMAL = QUANTILES / QUANTILES.std(ddof=1)


def judged(shift: float, form: str = "independent", **claim: object) -> Judgement:
    """Eight seeds per arm, as normal as eight can be, of unit variance; unrelated by seed."""
    study = declared([DIFFERENCE | claim], 2, form, 8, None)
    control, treatment = (NORMAL[np.random.default_rng(seed).permutation(8)] for seed in (0, 3))
    return judge(
        study, {"place=0 arm=0": dict(enumerate(control)), "place=0 arm=1": dict(enumerate(treatment + shift))}
    )[0]


@pytest.mark.parametrize("shift", [0.7, 0.9, -0.9])
def test_the_seeds_said_are_those_of_normal_theory(shift: float) -> None:
    found = judged(shift)
    theory = next(k for k in range(5, 200) if exact_power(abs(shift), k) >= 0.8)
    assert found.verdict == "inconclusive"
    assert found.seeds_needed == pytest.approx(theory, rel=0.2)
    assert found.seeds_needed_text.startswith(
        f"about {found.seeds_needed - 8} more seeds per arm would decide it (80% power at "
    )


def test_an_effect_of_nothing_is_out_of_reach_and_a_decided_claim_needs_nothing() -> None:
    assert judged(0.01).seeds_needed is None
    assert judged(0.01).seeds_needed_text.startswith("even 200 seeds per arm would not decide it")
    assert judged(5.0).verdict == "supported"
    assert judged(5.0).seeds_needed_text == ""


def test_an_equivalence_takes_fewer_seeds_the_wider_its_margin() -> None:
    needed = [judged(0.0, kind="equivalence", margin=margin).seeds_needed for margin in (0.8, 1.0)]
    assert needed[0] is not None
    assert needed[1] is not None
    assert 8 < needed[1] < needed[0]


@pytest.mark.parametrize("form", ["independent", "paired"])
@pytest.mark.parametrize("kind", [DIFFERENCE, {"kind": "trend"}, {"kind": "best", "best": [0, 1]}])
def test_its_p_values_are_near_the_exact_ones(form: str, kind: dict[str, object]) -> None:
    study = declared([kind], 3, form, 8, None)
    arms = study.declaration.claims[0].comparison(study)
    for seed in range(5):
        scores = np.random.default_rng(seed).normal(size=(len(arms.arms), 8)) + 0.3 * np.arange(len(arms.arms))[:, None]
        exact = arms.effect.evidence(scores, FORMS[form])
        for shift in (-0.2, 0.5):
            above, below = (
                float(arms.effect.approximate_p(scores[None], FORMS[form], shift, side)[0]) for side in (1, -1)
            )
            assert above == pytest.approx(exact.above(shift), abs=0.05)
            assert below == pytest.approx(exact.below(shift), abs=0.05)
