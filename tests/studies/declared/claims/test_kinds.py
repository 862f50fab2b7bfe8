"""Every kind of claim: its verdicts on scores made by hand, its interval, and the claims that are refused."""

from typing import Any

import numpy as np
import pytest

from benchmarks.simulated_studies import DIFFERENCE
from benchmarks.simulated_studies import study_of as simulated_study
from generators.foundation.errors import UserError
from generators.foundation.settings import validate
from studies.declared.checks.claims import check_claims
from studies.declared.claims.difference import Difference
from studies.declared.study import Study
from studies.declared.study_file import StudyDeclaration
from studies.judging.judge import judge
from studies.judging.judgement import Judgement

NOISE = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])
GAIN: dict[str, Any] = {"kind": "interaction", "treatment": 1, "control": 0, "over": "place", "between": ["last", 0]}
TREND: dict[str, Any] = {"kind": "trend"}


def study_of(*claims: dict[str, Any], arms: int = 2, seeds: int = 5, **more: Any) -> Study:
    return simulated_study(list(claims), arms, more.get("form", "independent"), seeds, more.get("looks"))


def interaction(gain: dict[str, Any] = GAIN) -> Study:
    """Declares a study whose only claim compares both places, so that its `where` names neither."""
    study = study_of(gain, gain)
    whole = study.declaration.claims[0].model_copy(update={"where": {}})
    return Study(**{**vars(study), "declaration": study.declaration.model_copy(update={"claims": [whole]})})


def judged(study: Study, *means: float, noise: np.ndarray = NOISE) -> Judgement:
    """Judges the first claim on cells with these means and the same noise, in a different order in each."""
    rng = np.random.default_rng(0)
    cells = zip(study.cells, means, strict=True)
    return judge(study, {cell.label: dict(enumerate(mean + rng.permutation(noise))) for cell, mean in cells})[0]


def test_an_interaction_is_a_gain_that_is_larger_at_the_level_named_first() -> None:
    judgement = judged(interaction(), 0.2, 0.3, 0.4, 0.9)
    assert judgement.verdict == "supported"
    assert judgement.contrast is not None
    assert judgement.contrast.difference == pytest.approx(0.5 - 0.1)
    assert judged(interaction(GAIN | {"between": ["first", "last"]}), 0.2, 0.3, 0.4, 0.9).verdict == "contradicted"
    assert judged(interaction(), 0.2, 0.5, 0.6, 0.9).verdict == "inconclusive", "equal gains"
    assert judged(interaction(GAIN | {"margin": 0.5}), 0.2, 0.3, 0.4, 0.9).verdict == "contradicted", "below the margin"
    assert judgement.cells == ("place=1 arm=1", "place=1 arm=0", "place=0 arm=1", "place=0 arm=0")
    assert sum(judgement.by_seed.values()) / 5 == pytest.approx(0.4)


def test_a_trend_rises_towards_the_end_that_is_called_better() -> None:
    rising = (0.1, 0.25, 0.3, 0.45)
    judgement = judged(study_of(TREND, arms=4), *rising)
    assert judgement.verdict == "supported"
    assert judgement.contrast is not None
    assert judgement.contrast.difference == pytest.approx(np.polyfit(range(4), rising, 1)[0])
    assert judgement.contrast.low > 0
    assert judged(study_of(TREND | {"better": "first"}, arms=4), *rising).verdict == "contradicted"
    assert judged(study_of(TREND | {"better": "first"}, arms=4), *rising[::-1]).verdict == "supported"
    assert judged(study_of(TREND, arms=4), 0.1, 0.3, 0.3, 0.1).verdict == "inconclusive", "up and down"


def test_the_best_level_is_above_every_other() -> None:
    best = {"kind": "best", "best": [1]}
    assert judged(study_of(best, arms=4), 0.2, 0.9, 0.7, 0.6).verdict == "supported"
    assert judged(study_of(best, arms=4), 0.2, 0.9, 0.9, 0.6).verdict == "inconclusive"
    judgement = judged(study_of(best, arms=4), 0.2, 0.7, 0.6, 0.9)
    assert judgement.verdict == "contradicted"
    assert (judgement.treatment, judgement.control) == ("place=0 arm=1", "place=0 arm=3")
    assert judgement.contrast is not None
    assert judgement.contrast.difference == pytest.approx(-0.2)
    among = {"kind": "best", "best": [1, 2]}
    assert judged(study_of(among, arms=4), 0.2, 0.5, 0.9, 0.7).verdict == "supported", "one of the levels named is"
    assert judged(study_of(among, arms=4), 0.2, 0.5, 0.7, 0.9).verdict == "contradicted"


def test_a_difference_with_a_margin_has_to_be_above_it() -> None:
    at_least = DIFFERENCE | {"margin": 0.2}
    assert judged(study_of(at_least), 0.2, 0.5).verdict == "supported"
    assert judged(study_of(at_least), 0.2, 0.4).verdict == "inconclusive", "exactly the margin"
    assert judged(study_of(at_least), 0.2, 0.3).verdict == "contradicted", "higher, but by less"


@pytest.mark.parametrize(
    ("study", "cells"),
    [
        (interaction(), 4),
        (study_of(TREND, arms=3, form="paired"), 3),
        (study_of({"kind": "best", "best": [0, 1]}, arms=3), 3),
        (study_of(DIFFERENCE | {"margin": 0.5}), 2),
    ],
)
def test_the_interval_of_every_kind_agrees_with_its_verdict(study: Study, cells: int) -> None:
    seen = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        judgement = judged(study, *rng.normal(0, 1, cells), noise=rng.normal(0, 0.5, 5))
        assert judgement.contrast is not None
        bound = judgement.claim.margin or 0.0
        expected = (
            "supported"
            if judgement.contrast.low > bound
            else "contradicted"
            if judgement.contrast.high < bound
            else None
        )
        assert judgement.verdict == (expected or "inconclusive")
        assert judgement.contrast.low <= judgement.contrast.difference <= judgement.contrast.high
        seen.add(judgement.verdict)
    assert len(seen) == 3


REFUSED = {
    "all levels the best": ([{"kind": "best", "best": [0, 1, 2]}], 3, "best = [0, 1, 2]: these are all levels of arm"),
    "an unknown best level": ([{"kind": "best", "best": [7]}], 3, "arm = 7 is not a level of that factor"),
    "a trend of one level": ([TREND], 1, "arm has one level at this scale; a trend needs at least two"),
    "gains over nothing": ([GAIN | {"over": "size"}], 2, "c0.over = 'size': no such factor"),
    "gains over the factor": ([GAIN | {"over": "arm"}], 2, "c0.over: factor names arm already; leave one out"),
    "gains over a factor of where": ([GAIN], 2, "c0.over: where.place names place already; leave one out"),
    "seven claims": ([DIFFERENCE] * 7, 2, "seeds = 5: with 7 claims the smallest p the independent test can give is 0.056, above the level of 0.05; 6 seeds would do"),
    "best of eight": ([{"kind": "best", "best": [0]}], 8, "is 0.056, above the level of 0.05; 6 seeds would do"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_claim_that_compares_nothing_or_cannot_be_decided_is_refused(name: str) -> None:
    claims, arms, sentence = REFUSED[name]
    with pytest.raises(UserError) as raised:
        check_claims(study_of(*claims, arms=arms))
    assert sentence in str(raised.value)


def test_claims_that_five_seeds_can_decide_are_accepted() -> None:
    check_claims(study_of(*[DIFFERENCE] * 6))
    check_claims(study_of({"kind": "best", "best": [0]}, arms=7))
    check_claims(study_of(TREND, arms=3, form="paired"))
    check_claims(interaction())


def test_the_seeds_are_one_of_the_looks_and_the_first_look_can_decide() -> None:
    check_claims(study_of(*[DIFFERENCE] * 3, looks=[5, 10]))
    for claims, seeds, looks, sentence in (
        (1, 6, [5, 10], "seeds = 6: not one of looks = [5, 10]"),
        (1, 5, [10, 5], "looks = [10, 5]: should be numbers of seeds, each larger than the one before"),
        (4, 10, [5, 10], "with 4 claims and 2 looks the smallest p the independent test can give is 0.032, above the level of 0.025; 6 seeds would do"),
    ):  # fmt: skip
        with pytest.raises(UserError) as raised:
            check_claims(study_of(*[DIFFERENCE] * claims, seeds=seeds, looks=looks))
        assert sentence in str(raised.value)


def test_a_look_is_judged_at_its_share_of_the_level() -> None:
    judgement = judged(study_of(DIFFERENCE, looks=[5, 10]), 0.2, 0.3)
    assert judgement.level == 0.025
    assert judgement.reason == "p = 0.00794 after correction over 1 claim, level 0.025, at the look at 5 seeds"


FILE = {"title": "t", "question": "?", "paper": "", "seeds": 5, "base": {}, "factors": {"arm": [0, 1]},
        "tuning": {"trials": 1, "search": {"rate": {"low": 1, "high": 2}}}, "scales": {"cpu": {"summary": ""}}}  # fmt: skip
CLAIM = {"name": "c", "text": "", "paper": "", "factor": "arm"}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (TREND | {"treatment": 1}, "claims.0: treatment = 1: a trend has no such key; "),
        (TREND | {"beter": "last"}, 'claims.0: beter = "last": a trend has no such key; the nearest is better '),
        ({"kind": "best"}, "claims.0: best is missing: a best needs it; its own keys are best, margin"),
        (GAIN | {"between": [0]}, "claims.0: between = [0]: should have at least 2 items"),
        ({"kind": "tend"}, "claims.0: kind = 'tend': no such kind of claim; the nearest is trend "),
        ({}, "claims.0: kind is missing; should be one of difference, equivalence, interaction, trend, best"),
        (DIFFERENCE | {"margin": -1}, "claims.0: margin = -1: should be greater than 0"),
    ],
)
def test_an_unknown_or_missing_key_is_one_sentence(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        validate(StudyDeclaration, FILE | {"claims": [CLAIM | keys]}, "x.toml")
    assert str(raised.value).startswith(f"x.toml: {sentence}")
    assert "\n" not in str(raised.value)


def test_a_stored_claim_with_every_key_of_every_kind_is_read() -> None:
    """Earlier versions stored the keys of other kinds as null."""
    unused = dict.fromkeys(("margin", "over", "between", "better", "best", "metric", "split"))
    claim = validate(StudyDeclaration, FILE | {"claims": [CLAIM | DIFFERENCE | unused]}, "x.toml").claims[0]
    assert type(claim) is Difference
    assert (claim.treatment, claim.control, claim.margin) == (1, 0, None)


def test_a_claim_is_stored_with_the_keys_of_its_kind() -> None:
    declaration = validate(StudyDeclaration, FILE | {"claims": [CLAIM | DIFFERENCE]}, "x.toml")
    stored = declaration.model_dump(mode="json")
    assert {"treatment", "control"} < stored["claims"][0].keys()
    assert "best" not in stored["claims"][0]
    assert validate(StudyDeclaration, stored, "x.toml") == declaration
