"""The verdict "negligible": the whole interval of an effect lies where no effect matters."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.simulated_studies import DIFFERENCE, LEVEL, normal, share_with, shifted, simulate, study_of
from generators.foundation.errors import UserError
from studies.declared.loading import declare
from studies.declared.study import Study
from studies.judging.judge import ScoresByCell, judge
from studies.judging.judgement import Judgement, sentence
from studies.judging.looks import claims_to_pursue
from studies.ledger.declared_study import record_of
from studies.ledger.records import VerdictRecord
from studies.statistics.exact import Contrast
from tests.studies.conftest import Edit, scores_of

FLAT = [0.5, 0.51, 0.49, 0.52, 0.48]
IN_HELPS = 'kind = "difference"\n'
IN_SAME = 'kind = "equivalence"\nmargin = 0.1\n'
Claims = list[dict[str, object]]


def negligible(*bounds: float | None, seeds: int = 6, looks: list[int] | None = None) -> Study:
    """Declares a study of one difference for each bound, whose arms are `place=0 arm=0`, `place=0 arm=1`, ..."""
    claims: Claims = [DIFFERENCE | {"negligible": bound} for bound in bounds]
    return study_of(claims, 2, "independent", seeds, looks)


def scores(*effects: float, noise: float, seeds: int = 6) -> ScoresByCell:
    """Draws the scores of two arms for each effect."""
    rng = np.random.default_rng(1)
    return {
        f"place={place} arm={arm}": dict(enumerate(map(float, arm * effect + noise * rng.normal(size=seeds))))
        for place, effect in enumerate(effects)
        for arm in (0, 1)
    }


def giving_up_below(futility: float, study: Study) -> Study:
    """Returns the study with a chance of a decision below which it adds no seeds for a claim."""
    return replace(study, declaration=study.declaration.model_copy(update={"futility": futility}))


def interval(judgement: Judgement) -> Contrast:
    assert judgement.contrast is not None
    return judgement.contrast


def test_an_effect_is_negligible_if_its_whole_interval_lies_strictly_within_the_bound() -> None:
    by_cell = scores(0.0, noise=0.01)
    (judgement,) = judge(negligible(0.05), by_cell)
    assert (judgement.verdict, judgement.level, judgement.seeds_needed) == ("negligible", 0.05, None)
    assert judgement.reason == "the 95% interval lies within ±0.05"
    reach = max(-interval(judgement).low, interval(judgement).high)
    assert judge(negligible(reach * 1.001), by_cell)[0].verdict == "negligible"
    assert judge(negligible(reach), by_cell)[0].verdict == "inconclusive"
    assert judge(negligible(None), by_cell)[0].verdict == "inconclusive"


@pytest.mark.parametrize(("effect", "verdict"), [(0.04, "supported"), (-0.04, "contradicted")])
def test_a_significant_effect_is_never_called_negligible(effect: float, verdict: str) -> None:
    (judgement,) = judge(negligible(0.5), scores(effect, noise=0.01))
    assert judgement.verdict == verdict
    assert max(-interval(judgement).low, interval(judgement).high) < 0.5


def test_the_interval_that_decides_is_at_the_level_divided_by_the_number_of_claims() -> None:
    first, second = judge(negligible(0.05, None), scores(0.0, 0.0, noise=0.01))
    assert (first.verdict, first.level, second.verdict) == ("negligible", 0.025, "inconclusive")
    assert first.reason == "the 97.5% interval lies within ±0.05"
    alone, wider = judge(negligible(0.05), scores(0.0, noise=0.01))[0], interval(first)
    assert wider.low < interval(alone).low
    assert wider.high > interval(alone).high
    reach = max(-wider.low, wider.high)
    assert judge(negligible(0.999 * reach, None), scores(0.0, 0.0, noise=0.01))[0].verdict == "inconclusive"


def test_a_claim_that_is_negligible_at_a_look_stays_so_and_counts_in_the_correction_of_later_looks() -> None:
    study = negligible(0.05, None, seeds=12, looks=[6, 12])
    by_cell = scores(0.0, 0.0, noise=0.01, seeds=12)
    first, second = judge(study, by_cell)
    assert (first.verdict, len(first.by_seed), first.level) == ("negligible", 6, LEVEL / 2 / 2)
    assert first.reason == "the 98.75% interval lies within ±0.05, at the look at 6 seeds"
    assert (second.verdict, len(second.by_seed), second.level) == ("inconclusive", 12, LEVEL / 2 / 2)
    assert "after correction over 2 claims" in second.reason, "the first hypothesis was not rejected"


def test_no_seeds_are_added_for_a_claim_that_is_negligible() -> None:
    study = negligible(0.05, None, seeds=12, looks=[6, 12])
    by_cell = scores(0.0, 0.0, noise=0.01)
    judgements = judge(study, by_cell)
    assert [judgement.verdict for judgement in judgements] == ["negligible", "inconclusive"]
    assert [judgement.claim.name for judgement in claims_to_pursue(study, judgements, 6)] == ["c1"]


def test_a_negligible_claim_counts_in_the_correction_at_which_more_seeds_would_decide_another() -> None:
    """The chance that the last look decides the second claim exceeds 0.82 at the whole level, not at half of it."""
    study = negligible(0.05, None, seeds=12, looks=[6, 12])
    judgements = judge(study, scores(0.0, 0.005, noise=0.01))
    assert [judgement.verdict for judgement in judgements] == ["negligible", "inconclusive"]
    for futility, pursued in ((0.7, ["c1"]), (0.82, [])):
        claims = claims_to_pursue(giving_up_below(futility, study), judgements, 6)
        assert [judgement.claim.name for judgement in claims] == pursued
    assert claims_to_pursue(giving_up_below(0.82, study), judgements[1:], 6) == judgements[1:]


def test_seeds_are_estimated_and_added_for_a_claim_that_may_turn_out_negligible() -> None:
    by_cell = scores(0.0, noise=0.1)

    def pursued(bound: float | None) -> list[Judgement]:
        study = giving_up_below(0.5, negligible(bound, seeds=24, looks=[6, 24]))
        return claims_to_pursue(study, judge(study, by_cell), 6)

    assert pursued(None) == []
    assert pursued(0.005) == []
    (judgement,) = pursued(0.08)
    assert judgement.verdict == "inconclusive"
    assert judgement.seeds_needed is not None
    assert judgement.seeds_needed < 30


def test_an_effect_of_exactly_the_bound_is_called_negligible_in_at_most_half_the_level_of_studies() -> None:
    studies = 400
    judged = simulate(negligible(1.6), shifted(normal, 1.6, 1, 6), studies)
    share = share_with(judged, ("negligible",))
    half = LEVEL / 2
    assert 0 < share <= half + 2 * np.sqrt(half * (1 - half) / studies)


def test_a_negligible_verdict_is_stored_with_its_bound_and_others_as_before() -> None:
    first, second = (judgement.record() for judgement in judge(negligible(0.05, None), scores(0, 0, noise=0.01)))
    assert (first.tree()["verdict"], first.tree()["negligible"]) == ("negligible", 0.05)
    assert VerdictRecord.model_validate_json(first.model_dump_json()) == first
    assert "negligible" not in second.tree()


def test_a_study_is_stored_without_the_setting_unless_a_claim_has_it(study_file: Edit) -> None:
    (plain, _), (bounded, _) = (
        record_of(declare(str(study_file(*edits)), "cpu", [])).declaration["claims"]
        for edits in ([], [(IN_HELPS, IN_HELPS + "negligible = 0.05\n")])
    )
    assert "negligible" not in plain
    assert bounded == plain | {"negligible": 0.05}


def test_a_negligible_claim_says_so_in_a_sentence(study_file: Edit) -> None:
    study = declare(str(study_file((IN_HELPS, IN_HELPS + "negligible = 0.05\n"))), "cpu", [])
    judgement = judge(study, scores_of(study, {"width=8 n=1": FLAT, "width=8 n=2": FLAT[::-1]}))[0]
    assert sentence(judgement).startswith("NEGLIGIBLE: Two are better than one. (difference +0.000, 97.5% interval ")
    assert judgement.margin_text == "effects within ±0.05 are negligible"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (
            (IN_HELPS, IN_HELPS + "margin = 0.1\nnegligible = 0.05\n"),
            r"negligible = 0\.05: the margin says already which effects are too small; leave one of the two out",
        ),
        (
            (IN_SAME, IN_SAME + "negligible = 0.05\n"),
            r"negligible = 0\.05: an equivalence is supported within its margin; leave it out",
        ),
        (
            (IN_SAME + 'factor = "objective.n"\ntreatment = 2\ncontrol = 1\n',
             'kind = "best"\nnegligible = 0.05\nfactor = "objective.n"\nbest = [2]\n'),
            r"negligible = 0\.05: a small lead of the best level says nothing about the other levels; leave it out",
        ),
        ((IN_HELPS, IN_HELPS + "negligible = 0\n"), r"negligible = 0: should be greater than 0"),
    ],
)  # fmt: skip
def test_the_setting_is_refused_where_it_has_no_meaning(study_file: Edit, edit: tuple[str, str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        declare(str(study_file(edit)), "cpu", [])
