"""What each kind of claim concludes from scores made by hand, that its interval agrees, and what is refused."""

from typing import Any

import numpy as np
import pytest

from benchmarks.verdicts import DIFFERENCE, declared
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
    return declared(list(claims), arms, more.get("form", "independent"), seeds, more.get("looks"))


def interaction(gain: dict[str, Any] = GAIN) -> Study:
    """Of two places: the claim is about both, so it says of neither where it holds."""
    study = study_of(gain, gain)
    whole = study.declaration.claims[0].model_copy(update={"where": {}})
    return Study(**{**vars(study), "declaration": study.declaration.model_copy(update={"claims": [whole]})})


def judged(study: Study, *means: float, noise: np.ndarray = NOISE) -> Judgement:
    """Cells with these means and the same noise, in another order in each."""
    rng = np.random.default_rng(0)
    cells = zip(study.cells, means, strict=True)
    return judge(study, {cell.label: dict(enumerate(mean + rng.permutation(noise))) for cell, mean in cells})[0]


def test_a_gain_that_is_larger_at_the_level_named_first_is_an_interaction() -> None:
    found = judged(interaction(), 0.2, 0.3, 0.4, 0.9)
    assert found.verdict == "supported"
    assert found.contrast is not None
    assert found.contrast.difference == pytest.approx(0.5 - 0.1)
    assert judged(interaction(GAIN | {"between": ["first", "last"]}), 0.2, 0.3, 0.4, 0.9).verdict == "contradicted"
    assert judged(interaction(), 0.2, 0.5, 0.6, 0.9).verdict == "inconclusive", "equal gains"
    assert judged(interaction(GAIN | {"margin": 0.5}), 0.2, 0.3, 0.4, 0.9).verdict == "contradicted", "below the margin"
    assert found.cells == ("place=1 arm=1", "place=1 arm=0", "place=0 arm=1", "place=0 arm=0")
    assert sum(found.by_seed.values()) / 5 == pytest.approx(0.4)


def test_a_trend_goes_towards_the_end_that_is_called_better() -> None:
    rising = (0.1, 0.25, 0.3, 0.45)
    found = judged(study_of(TREND, arms=4), *rising)
    assert found.verdict == "supported"
    assert found.contrast is not None
    assert found.contrast.difference == pytest.approx(np.polyfit(range(4), rising, 1)[0])
    assert found.contrast.low > 0
    assert judged(study_of(TREND | {"better": "first"}, arms=4), *rising).verdict == "contradicted"
    assert judged(study_of(TREND | {"better": "first"}, arms=4), *rising[::-1]).verdict == "supported"
    assert judged(study_of(TREND, arms=4), 0.1, 0.3, 0.3, 0.1).verdict == "inconclusive", "up and down"


def test_the_best_level_is_above_each_other() -> None:
    best = {"kind": "best", "best": [1]}
    assert judged(study_of(best, arms=4), 0.2, 0.9, 0.7, 0.6).verdict == "supported"
    assert judged(study_of(best, arms=4), 0.2, 0.9, 0.9, 0.6).verdict == "inconclusive"
    found = judged(study_of(best, arms=4), 0.2, 0.7, 0.6, 0.9)
    assert found.verdict == "contradicted"
    assert (found.treatment, found.control) == ("place=0 arm=1", "place=0 arm=3")
    assert found.contrast is not None
    assert found.contrast.difference == pytest.approx(-0.2)
    among = {"kind": "best", "best": [1, 2]}
    assert judged(study_of(among, arms=4), 0.2, 0.5, 0.9, 0.7).verdict == "supported", "the best of those named is"
    assert judged(study_of(among, arms=4), 0.2, 0.5, 0.7, 0.9).verdict == "contradicted"


def test_a_difference_with_a_margin_has_to_be_above_it() -> None:
    by = DIFFERENCE | {"margin": 0.2}
    assert judged(study_of(by), 0.2, 0.5).verdict == "supported"
    assert judged(study_of(by), 0.2, 0.4).verdict == "inconclusive", "exactly the margin"
    assert judged(study_of(by), 0.2, 0.3).verdict == "contradicted", "higher, and by less"


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
        found = judged(study, *rng.normal(0, 1, cells), noise=rng.normal(0, 0.5, 5))
        assert found.contrast is not None
        bound = found.claim.margin or 0.0
        expected = (
            "supported" if found.contrast.low > bound else "contradicted" if found.contrast.high < bound else None
        )
        assert found.verdict == (expected or "inconclusive")
        assert found.contrast.low <= found.contrast.difference <= found.contrast.high
        seen.add(found.verdict)
    assert len(seen) == 3


REFUSED = {
    "all levels the best": ([{"kind": "best", "best": [0, 1, 2]}], 3, "best = [0, 1, 2]: these are all levels of arm"),
    "a best level that is none": ([{"kind": "best", "best": [7]}], 3, "arm = 7 is not a level of that factor"),
    "a trend of one level": ([TREND], 1, "arm has one level at this scale; a trend needs at least two"),
    "gains over nothing": ([GAIN | {"over": "size"}], 2, "c0.over = 'size': no such factor"),
    "gains over the factor": ([GAIN | {"over": "arm"}], 2, "c0.over: factor names arm already; leave one out"),
    "gains where they are compared": ([GAIN], 2, "c0.over: where.place names place already; leave one out"),
    "seven claims": ([DIFFERENCE] * 7, 2, "seeds = 5: with 7 claims the smallest p the independent test can give is 0.056, above the level of 0.05; 6 seeds would do"),
    "best of eight": ([{"kind": "best", "best": [0]}], 8, "is 0.056, above the level of 0.05; 6 seeds would do"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_claim_that_says_nothing_or_cannot_be_decided_is_refused(name: str) -> None:
    claims, arms, sentence = REFUSED[name]
    with pytest.raises(UserError) as raised:
        check_claims(study_of(*claims, arms=arms))
    assert sentence in str(raised.value)


def test_what_five_seeds_can_decide_is_let_through() -> None:
    check_claims(study_of(*[DIFFERENCE] * 6))
    check_claims(study_of({"kind": "best", "best": [0]}, arms=7))
    check_claims(study_of(TREND, arms=3, form="paired"))
    check_claims(interaction())


def test_the_seeds_of_a_study_are_one_of_its_looks_and_the_first_can_decide() -> None:
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
    found = judged(study_of(DIFFERENCE, looks=[5, 10]), 0.2, 0.3)
    assert found.level == 0.025
    assert found.reason == "p = 0.00794 after correction over 1 claim, level 0.025"


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
def test_a_key_that_its_kind_does_not_have_or_lacks_is_one_sentence(keys: dict[str, Any], sentence: str) -> None:
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
