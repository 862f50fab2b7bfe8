"""A search on the dashboard: two objectives, and its front marked once it has ended."""

from pathlib import Path

from optuna.study import StudyDirection
from optuna.trial import TrialState
from optuna_dashboard import get_note

from generators.foundation.settings import Tree
from lab.run.files import json_bytes, write_atomically
from reports.dashboards.board import Board
from reports.dashboards.searches import sources
from studies.ledger.folder import SEARCH, StudyFolder


def trial(number: int, quality: float | None, front: bool) -> Tree:
    failure = None if quality is not None else "the loss was not a finite number"
    runs = [{"seed": 2**30, "run": f"{number:016x}", "quality": quality, "cost": 5.0, "failure": failure}]
    fresh = [
        {"seed": seed, "run": "f" * 16, "quality": 0.2 + 0.1 * seed, "cost": 6.0, "failure": None} for seed in (0, 1)
    ]
    settings = {"objective.n": 1 + number % 2, "training.learning_rate": 0.01}
    said = {"number": number, "settings": settings, "quality": quality, "cost": None if quality is None else 5.0}
    return said | {"failure": failure, "front": front, "runs": runs, "confirmed": fresh if front else []}


def stored(complete: bool) -> Tree:
    return {
        "search": "best", "scale": "cpu", "title": "<b>Best</b>", "question": "Which?", "summary": "minutes",
        "source": "best.toml", "sampler": "tpe", "caveat": "it explores",
        "metric": "accuracy", "cost": "seconds", "budget": 3, "complete": complete, "refused": 1, "failed": 1,
        "space": {"objective.n": [1, 2], "training.learning_rate": {"low": 0.001, "high": 0.1, "log": True}},
        "front": [1] if complete else [], "dominated": 1 if complete else None,
        "trials": [trial(0, 0.3, False), trial(1, 0.5, complete), *([trial(2, None, False)] if complete else [])],
    }  # fmt: skip


def test_a_search_has_two_objectives_and_its_front_is_marked_when_it_ends(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "best", "cpu").path
    folder.mkdir(parents=True)
    write_atomically(folder / SEARCH, json_bytes(stored(False)))
    board = Board(lambda: sources(tmp_path, "best", None))
    board.look()
    (study,) = board.studies()
    assert study.study_name == "search best, scale cpu"
    assert study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    assert study.metric_names == ["accuracy on validation", "seconds"]
    assert [one.values for one in study.trials] == [[0.3, 5.0], [0.5, 5.0]]
    assert "2 of 3 trials so far" in get_note(study)
    write_atomically(folder / SEARCH, json_bytes(stored(True)))
    board.look()
    (study,) = board.studies()
    assert [one.user_attrs["front"] for one in study.trials] == [False, True, False]
    assert [one.state for one in study.trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL]
    assert study.trials[1].user_attrs["accuracy on test, fresh seeds"] == 0.25
    assert study.trials[2].user_attrs["failure"] == "the loss was not a finite number"
    note = get_note(study)
    assert r"\<b\>Best\<\/b\>" in note
    assert r"0\.250 \(0\.200 to 0\.300\)" in note
