"""A search is displayed with both objectives, and its front and fresh seeds once it has ended."""

from pathlib import Path

import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState

from reports.dashboards.board import Board
from reports.dashboards.sources import sources
from studies.ledger.folder import StudyFolder
from studies.ledger.search_records import ProposalRecord, RangeRecord, SearchRecord, SearchRunRecord

optuna_dashboard = pytest.importorskip("optuna_dashboard")


def proposal(number: int, quality: float | None, *, front: bool) -> ProposalRecord:
    failure = None if quality is not None else "the loss was not a finite number"
    run = SearchRunRecord(seed=2**30, identity=f"{number:016x}", quality=quality, cost=5.0, failure=failure)
    fresh = [SearchRunRecord(seed=seed, identity="f" * 16, quality=0.2 + 0.1 * seed, cost=6.0) for seed in (0, 1)]
    return ProposalRecord(
        number=number,
        settings={"objective.n": 1 + number % 2, "training.learning_rate": 0.01},
        quality=quality,
        cost=None if quality is None else 5.0,
        failure=failure,
        front=front,
        runs=[run],
        confirmed=fresh if front else [],
    )


def search(*, complete: bool) -> SearchRecord:
    failed = [proposal(2, None, front=False)] if complete else []
    return SearchRecord(
        name="best",
        scale="cpu",
        source="best.toml",
        title="<b>Best</b>",
        question="Which?",
        summary="minutes",
        caveat="it explores",
        sampler="tpe",
        metric="accuracy",
        cost="seconds",
        budget=3,
        complete=complete,
        refused=1,
        failed=1,
        space={"objective.n": [1, 2], "training.learning_rate": RangeRecord(low=0.001, high=0.1, log=True)},
        front=[1] if complete else [],
        dominated=1 if complete else None,
        trials=[proposal(0, 0.3, front=False), proposal(1, 0.5, front=complete), *failed],
    )


def test_a_search_has_two_objectives_and_its_front_is_marked_when_it_ends(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "best", "cpu")
    folder.path.mkdir(parents=True)
    folder.write_search(search(complete=False))
    board = Board(lambda: sources(tmp_path, "best", None))
    board.update()
    (study,) = board.studies()
    assert study.study_name == "search best, scale cpu"
    assert study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    assert study.metric_names == ["accuracy on validation", "seconds"]
    assert [trial.values for trial in study.trials] == [[0.3, 5.0], [0.5, 5.0]]
    assert "2 of 3 trials so far" in optuna_dashboard.get_note(study)
    folder.write_search(search(complete=True))
    board.update()
    (study,) = board.studies()
    assert [trial.user_attrs["front"] for trial in study.trials] == [False, True, False]
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL]
    assert study.trials[1].user_attrs["accuracy on test, fresh seeds"] == 0.25
    assert study.trials[2].user_attrs["failure"] == "the loss was not a finite number"
    note = optuna_dashboard.get_note(study)
    assert r"\<b\>Best\<\/b\>" in note
    assert r"0\.250 \(0\.200 to 0\.300\)" in note
