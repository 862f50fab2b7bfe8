"""Verdicts: what claims conclude, what they leave open, and that the interval shown is the one that decides."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from studies.declared.study import Study
from studies.judging.judge import judge
from studies.judging.judgement import Judgement, sentence
from studies.statistics.resolution import resolution
from tests.studies.conftest import scores_of

LOW, HIGH = [0.1, 0.12, 0.14, 0.16, 0.18], [0.8, 0.82, 0.84, 0.86, 0.88]
FLAT = [0.5, 0.51, 0.49, 0.52, 0.48]
NOISY = [0.1, 0.9, 0.5, 0.2, 0.8]


def verdicts(study: Study, **cells: list[float]) -> list[str]:
    by_cell = {name.replace("_n", " n=").replace("width", "width="): values for name, values in cells.items()}
    return [judgement.verdict for judgement in judge(study, scores_of(study, by_cell))]


def test_a_difference_is_supported_contradicted_or_inconclusive(small: Study) -> None:
    assert verdicts(small, width8_n1=LOW, width8_n2=HIGH)[0] == "supported"
    assert verdicts(small, width8_n1=HIGH, width8_n2=LOW)[0] == "contradicted"
    assert verdicts(small, width8_n1=FLAT, width8_n2=FLAT[::-1])[0] == "inconclusive"
    assert verdicts(small)[0] == "inconclusive", "constant equal arms"


def test_an_equivalence_is_supported_only_by_an_interval_inside_the_margin(small: Study) -> None:
    assert verdicts(small, width16_n1=FLAT, width16_n2=FLAT[::-1])[1] == "supported"
    assert verdicts(small, width16_n1=LOW, width16_n2=HIGH)[1] == "contradicted"
    assert verdicts(small, width16_n1=HIGH, width16_n2=LOW)[1] == "contradicted"
    assert verdicts(small, width16_n1=NOISY, width16_n2=NOISY[::-1])[1] == "inconclusive", (
        "a difference that is not found may still be there"
    )


def verdict_of_interval(judgement: Judgement) -> str:
    """Returns the verdict that the interval alone gives."""
    assert judgement.contrast is not None
    low, high, margin = judgement.contrast.low, judgement.contrast.high, judgement.claim.margin or 0.0
    if judgement.claim.kind == "difference":
        supported, contradicted = low > 0, high < 0
    else:
        supported, contradicted = -margin < low and high < margin, low > margin or high < -margin
    return "supported" if supported else "contradicted" if contradicted else "inconclusive"


def random_scores(seed: int, spread: float) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    centre = rng.choice([-0.4, -0.1, 0.0, 0.1, 0.4], size=2)
    return {
        "width=8 n=2": list(centre[0] + spread * rng.normal(size=5)),
        "width=8 n=1": list(spread * rng.normal(size=5)),
        "width=16 n=2": list(centre[1] + spread * rng.normal(size=5) / 5),
        "width=16 n=1": list(spread * rng.normal(size=5) / 5),
    }


@pytest.mark.parametrize("spread", [0.05, 0.3, 1.0])
def test_the_interval_and_the_verdict_of_the_clearest_claim_agree(small: Study, spread: float) -> None:
    for seed in range(60):
        judgements = judge(small, scores_of(small, random_scores(seed, spread)))
        first = min(judgements, key=lambda judgement: judgement.p or 1.0)
        assert first.level == 0.025, "Holm judges the clearest claim at the level over the number of claims"
        assert first.verdict == verdict_of_interval(first)
        for judgement in judgements:
            if judgement.verdict != "inconclusive":
                assert judgement.verdict == verdict_of_interval(judgement)


def test_random_scores_come_to_every_verdict_on_both_kinds_of_claim(small: Study) -> None:
    """Shows that the agreement of intervals and verdicts is tested on every verdict, not on one of them."""
    counts = Counter(
        (judgement.claim.kind, judgement.verdict)
        for spread in (0.05, 0.3)
        for seed in range(60)
        for judgement in judge(small, scores_of(small, random_scores(seed, spread)))
    )
    expected = {
        (kind, verdict)
        for kind in ("difference", "equivalence")
        for verdict in ("supported", "contradicted", "inconclusive")
    }
    assert counts.keys() == expected
    assert min(counts.values()) >= 5


def test_holm_doubles_the_smaller_of_two_p_values_and_keeps_the_larger(small: Study) -> None:
    scores = {"width=8 n=1": LOW, "width=8 n=2": HIGH, "width=16 n=1": NOISY, "width=16 n=2": NOISY[::-1]}
    clear, unclear = judge(small, scores_of(small, scores))
    assert clear.p == pytest.approx(2 / 252), "the smallest p value of five seeds per arm"
    assert clear.p_corrected == pytest.approx(4 / 252)
    assert unclear.p is not None
    assert unclear.p > 4 / 252
    assert unclear.p_corrected == unclear.p
    assert (clear.level, unclear.level) == (0.025, 0.05)


def test_the_resolution_of_a_claim_is_that_at_the_level_where_it_was_judged(small: Study) -> None:
    scores = {"width=8 n=1": LOW, "width=8 n=2": HIGH, "width=16 n=1": NOISY, "width=16 n=2": NOISY[::-1]}
    judgements = judge(small, scores_of(small, scores))
    for judgement, level, equivalence in zip(judgements, (0.025, 0.05), (False, True), strict=True):
        test = judgement.test
        assert test is not None
        size = resolution(test.scores_AxK, test.comparison.effect, test.form, level, equivalence=equivalence)
        assert size is not None
        assert (judgement.level, judgement.resolution) == (level, pytest.approx(size))


def test_holm_never_ranks_a_claim_above_one_with_a_smaller_p_value(small: Study) -> None:
    scores = {"width=8 n=1": LOW, "width=8 n=2": HIGH, "width=16 n=1": LOW, "width=16 n=2": HIGH}
    first, second = judge(small, scores_of(small, scores))
    assert first.p == second.p == pytest.approx(2 / 252)
    assert second.p_corrected == pytest.approx(4 / 252), "2/252 alone would be below the first claim's 4/252"


def test_a_missing_run_makes_its_claim_inconclusive_and_no_other(small: Study) -> None:
    scores = scores_of(small, {"width=8 n=1": LOW, "width=8 n=2": HIGH, "width=16 n=1": LOW, "width=16 n=2": LOW})
    del scores["width=16 n=2"][3]
    first, second = judge(small, scores)
    assert first.verdict == "supported"
    assert second.verdict == "inconclusive"
    assert second.reason.startswith("too few runs have this metric: 4 of 5 in width=16 n=2")
    assert second.record().interval is None


def test_fewer_than_five_seeds_decide_nothing(small: Study) -> None:
    few = replace(small, seeds=4)
    scores = {cell.label: dict(enumerate(HIGH[:4] if "n=2" in cell.label else LOW[:4])) for cell in few.cells}
    assert [judgement.verdict for judgement in judge(few, scores)] == ["inconclusive", "inconclusive"]
    assert "needs at least 5" in judge(few, scores)[0].reason


def test_a_sentence_gives_the_effect_and_its_interval_with_the_confidence_of_the_level(small: Study) -> None:
    clear, unclear = judge(small, scores_of(small, {"width=8 n=1": LOW, "width=8 n=2": HIGH}))
    assert sentence(clear) == (
        "SUPPORTED: Two are better than one. (difference +0.700, 97.5% interval +0.640 to +0.760; "
        "p = 0.0159 after correction over 2 claims, level 0.05)"
    )
    assert "95% interval +0.000 to +0.000" in sentence(unclear)


def test_a_verdict_is_stored_as_json(small: Study) -> None:
    trees = [judgement.record().tree() for judgement in judge(small, scores_of(small, {}))]
    assert json.loads(json.dumps(trees, allow_nan=False)) == trees
    assert trees[0]["paper"] == "far better"


def test_the_order_in_which_runs_ended_changes_nothing(small: Study) -> None:
    scores = scores_of(small, {"width=8 n=1": FLAT, "width=8 n=2": LOW})
    backwards = {label: dict(reversed(list(by_seed.items()))) for label, by_seed in reversed(list(scores.items()))}
    assert judge(small, scores) == judge(small, backwards)
