"""A claim is judged by all of its declared seeds or not at all, and towards the better side of its own measure."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated_studies import DIFFERENCE, study_of
from lab.run.files import make_folder
from studies.declared.study import Study
from studies.judging.from_ledger import judge_stored
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.ledger.declared_study import record_of
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord, RunRecord

SEEDS = 8
KINDS: dict[str, dict[str, Any]] = {
    "difference": DIFFERENCE,
    "equivalence": {"kind": "equivalence", "treatment": 1, "control": 0, "margin": 0.9},
    "interaction": {"kind": "interaction", "treatment": 1, "control": 0, "over": "place", "between": [1, 0], "where": {}},
    "trend": {"kind": "trend"},
    "best": {"kind": "best", "best": [1]},
}  # fmt: skip
"""Kind -> the keys of a claim that compares arms 0 and 1."""
LESS_IS_BETTER = ("loss_1", "seconds", "analysis/step/time_ratio")
MORE_IS_BETTER = ("accuracy", "above_shortcuts", "analysis/decoding/tokens_per_forward")


def score_of(label: str, seed: int) -> float:
    """Returns scores of which arm 1 has the higher ones, by more in place 1."""
    place, arm = (int(level.partition("=")[2]) for level in label.split())
    return 0.2 + 0.1 * arm + 0.3 * place * arm + 0.001 * seed


def complete_scores(study: Study) -> dict[str, dict[int, float]]:
    """Returns cell label -> seed -> score."""
    return {cell.label: {seed: score_of(cell.label, seed) for seed in range(study.seeds)} for cell in study.cells}


def declared(kind: str, form: str, metric: str | None = None) -> Study:
    """Declares a study of two places and two arms, with a claim of one kind and one of a difference."""
    first = {**KINDS[kind], **({"metric": metric} if metric else {})}
    return study_of([first, DIFFERENCE], 2, form, SEEDS, None)


@pytest.mark.parametrize("form", ["independent", "paired"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_claim_with_one_of_eight_seeds_missing_is_not_judged(kind: str, form: str) -> None:
    study = declared(kind, form)
    assert judge(study, complete_scores(study))[0].verdict == "supported"
    for label in study.declaration.claims[0].comparison(study).cells:
        for seed in (0, 3, SEEDS - 1):
            scores = complete_scores(study)
            del scores[label][seed]
            judgement = judge(study, scores)[0]
            assert (judgement.verdict, judgement.contrast, judgement.p) == ("inconclusive", None, None)
            assert f"7 of 8 in {label}" in judgement.reason
            assert sorted(judgement.by_seed) == [other for other in range(SEEDS) if other != seed]


@pytest.mark.parametrize("kind", KINDS)
def test_a_claim_whose_arms_lack_different_seeds_is_not_judged(kind: str) -> None:
    """Each arm has seven of eight seeds, but only six are in both."""
    study = declared(kind, "paired")
    first, second, *_ = study.declaration.claims[0].comparison(study).cells
    scores = complete_scores(study)
    del scores[first][0], scores[second][1]
    assert judge(study, scores)[0].contrast is None


def judged_from_ledger(study: Study, home: Path, changed: dict[str, Any], measures: dict[str, float]) -> Judgement:
    """Judges the first claim by a ledger in which one run of place 0, arm 1 has other fields.

    Args:
        changed: the fields of that run.
        measures: name of each further measure -> the factor by which it exceeds the score.
    """
    cells = []
    for cell in study.cells:
        record = CellRecord(label=cell.label, levels=dict(cell.levels), winner={"rate": 1.0})
        for seed in range(study.seeds):
            score = score_of(cell.label, seed)
            further = {name: factor * score for name, factor in measures.items()}
            run = RunRecord(phase="confirm", seed=seed, settings={}, identity="0" * 16, score=score, measures=further)
            odd = (cell.label, seed) == ("place=0 arm=1", 5)
            record.runs.append(run.model_copy(update=changed) if odd else run)
        cells.append(record)
    folder = StudyFolder(home, study.name, study.scale)
    make_folder(folder.path)
    folder.write_study(record_of(study))
    folder.write_cells(cells)
    return judge_stored(home, study)[0]


@pytest.mark.parametrize(
    "changed",
    [{"score": None, "failure": "the loss is not finite"}, {"score": None}, {"phase": "tune"}],
    ids=["failed", "unfinished", "of tuning"],
)
@pytest.mark.parametrize("form", ["independent", "paired"])
def test_a_stored_run_that_failed_or_has_not_ended_is_a_missing_seed(
    tmp_path: Path, changed: dict[str, Any], form: str
) -> None:
    study = declared("difference", form)
    assert judged_from_ledger(study, tmp_path / "whole", {}, {}).verdict == "supported"
    judgement = judged_from_ledger(study, tmp_path / "broken", changed, {})
    assert judgement.contrast is None
    assert "7 of 8 in place=0 arm=1" in judgement.reason


def test_a_run_without_the_measure_of_a_claim_is_a_missing_seed_of_that_claim(tmp_path: Path) -> None:
    study = declared("difference", "independent", "seconds")
    assert judged_from_ledger(study, tmp_path / "whole", {}, {"seconds": 3.0}).contrast is not None
    assert judged_from_ledger(study, tmp_path / "lacking", {"measures": {}}, {"seconds": 3.0}).contrast is None


@pytest.mark.parametrize("metric", [*MORE_IS_BETTER, *LESS_IS_BETTER])
def test_a_stored_claim_is_supported_where_its_own_measure_is_better(tmp_path: Path, metric: str) -> None:
    """The treatment has more of the claim's measure in every seed; less of it where the factor is negative."""
    study = declared("difference", "independent", metric)
    name = metric if metric == "seconds" or metric.startswith("analysis") else f"{metric} on test"
    factor = -1.0 if metric in LESS_IS_BETTER else 1.0
    measures = {} if metric == "accuracy" else {name: factor}
    assert judged_from_ledger(study, tmp_path / "better", {}, measures).verdict == "supported"
    if metric != "accuracy":
        worse = judged_from_ledger(study, tmp_path / "worse", {}, {name: -factor})
        assert worse.verdict == "contradicted"
        assert worse.contrast is not None
        assert worse.contrast.difference == pytest.approx(-0.1)
