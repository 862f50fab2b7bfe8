"""Verdicts: what each kind of claim concludes, what it refuses to, and that one interval decides."""

import json
from dataclasses import replace

import numpy as np
import pytest

from studies.declared.study import Study
from studies.judging.judge import judge
from tests.studies.conftest import scores_of

LOW, HIGH = [0.1, 0.12, 0.14, 0.16, 0.18], [0.8, 0.82, 0.84, 0.86, 0.88]
FLAT = [0.5, 0.51, 0.49, 0.52, 0.48]


def verdicts(study: Study, **cells: list[float]) -> list[str]:
    by_cell = {name.replace("_n", " n=").replace("width", "width="): values for name, values in cells.items()}
    return [one.verdict for one in judge(study, scores_of(study, by_cell))]


def test_a_difference_is_supported_contradicted_or_inconclusive(small: Study) -> None:
    assert verdicts(small, width8_n1=LOW, width8_n2=HIGH)[0] == "supported"
    assert verdicts(small, width8_n1=HIGH, width8_n2=LOW)[0] == "contradicted"
    assert verdicts(small, width8_n1=FLAT, width8_n2=FLAT[::-1])[0] == "inconclusive"
    assert verdicts(small)[0] == "inconclusive", "constant equal arms"


def test_an_equivalence_is_supported_only_by_an_interval_inside_the_margin(small: Study) -> None:
    assert verdicts(small, width16_n1=FLAT, width16_n2=FLAT[::-1])[1] == "supported"
    assert verdicts(small, width16_n1=LOW, width16_n2=HIGH)[1] == "contradicted"
    assert verdicts(small, width16_n1=HIGH, width16_n2=LOW)[1] == "contradicted"
    noisy = [0.1, 0.9, 0.5, 0.2, 0.8]
    assert verdicts(small, width16_n1=noisy, width16_n2=noisy[::-1])[1] == "inconclusive", (
        "no difference found is not none"
    )


@pytest.mark.parametrize("spread", [0.05, 0.3, 1.0])
def test_the_interval_shown_and_the_verdict_never_disagree(small: Study, spread: float) -> None:
    seen = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        centre = rng.choice([-0.4, -0.1, 0.0, 0.1, 0.4], size=2)
        cells = {
            "width=8 n=2": list(centre[0] + spread * rng.normal(size=5)),
            "width=8 n=1": list(spread * rng.normal(size=5)),
            "width=16 n=2": list(centre[1] + spread * rng.normal(size=5) / 5),
            "width=16 n=1": list(spread * rng.normal(size=5) / 5),
        }
        judgements = judge(small, scores_of(small, cells))
        for one in judgements:
            assert one.contrast is not None
            assert one.p_corrected is not None
            low, high, margin = one.contrast.low, one.contrast.high, one.claim.margin or 0.0
            if one.verdict != "inconclusive":
                holds = {
                    ("difference", "supported"): low > 0,
                    ("difference", "contradicted"): high < 0,
                    ("equivalence", "supported"): -margin < low and high < margin,
                    ("equivalence", "contradicted"): low > margin or high < -margin,
                }
                assert holds[one.claim.kind, one.verdict]
            seen.add((one.claim.kind, one.verdict))
        first = min(judgements, key=lambda one: one.p or 1.0)
        assert first.level == 0.025, "Holm: the clearest claim is judged at level / claims"
        assert (first.verdict == "inconclusive") == (first.p_corrected is not None and first.p_corrected > 0.05)
    assert len(seen) >= 3


def test_p_values_are_corrected_by_holm(small: Study) -> None:
    first, second = judge(small, scores_of(small, {"width=8 n=1": LOW, "width=8 n=2": HIGH, "width=16 n=1": FLAT}))
    assert first.p == pytest.approx(2 / 252)
    assert first.p_corrected == pytest.approx(4 / 252)
    assert second.p_corrected is not None
    assert second.p is not None
    assert second.p_corrected == pytest.approx(max(second.p, 4 / 252))


def test_a_missing_run_makes_its_claim_inconclusive_and_no_other(small: Study) -> None:
    scores = scores_of(small, {"width=8 n=1": LOW, "width=8 n=2": HIGH, "width=16 n=1": LOW, "width=16 n=2": LOW})
    del scores["width=16 n=2"][3]
    first, second = judge(small, scores)
    assert first.verdict == "supported"
    assert second.verdict == "inconclusive"
    assert "4 of 5 in width=16 n=2" in second.reason
    assert second.record().interval is None


def test_fewer_than_five_seeds_decide_nothing(small: Study) -> None:
    few = replace(small, seeds=4)
    scores = {cell.label: dict(enumerate(HIGH[:4] if "n=2" in cell.label else LOW[:4])) for cell in few.cells}
    assert [one.verdict for one in judge(few, scores)] == ["inconclusive", "inconclusive"]
    assert "needs at least 5" in judge(few, scores)[0].reason


def test_a_verdict_is_json(small: Study) -> None:
    trees = [verdict.record().tree() for verdict in judge(small, scores_of(small, {}))]
    assert json.loads(json.dumps(trees, allow_nan=False)) == trees
    assert trees[0]["paper"] == "far better"


def test_the_order_in_which_runs_ended_changes_nothing(small: Study) -> None:
    scores = scores_of(small, {"width=8 n=1": FLAT, "width=8 n=2": LOW})
    turned = {label: dict(reversed(list(by_seed.items()))) for label, by_seed in reversed(list(scores.items()))}
    assert judge(small, scores) == judge(small, turned)
