"""The board shows what can be compared: one phase, one task, the better direction, and settings that varied."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

import optuna
import pytest
from optuna.study import StudyDirection

from lab.run.store import RunFolder
from reports.dashboards.board import Board
from reports.dashboards.hiding import CONTROLS
from reports.dashboards.server import dashboard, read_only
from reports.dashboards.sources import sources
from studies.declared.study import Study
from studies.ledger.folder import StudyFolder
from tests.reports.forged_study import RATE, Splits, forge, small

optuna_dashboard = pytest.importorskip("optuna_dashboard")

TWO_TASKS = (
    ('"model.width" = [8, 16]', '"task.length_tokens" = [24, 32]'),
    ("length_tokens = 24\n", ""),
    ("attention_heads = 1", "attention_heads = 1\nwidth = 8"),
    ('where = { "model.width" = "first" }', 'where = { "task.length_tokens" = "first" }'),
    ('where = { "model.width" = 16 }', 'where = { "task.length_tokens" = 32 }'),
)


def easier_if_shorter(cell: str, phase: str, number: int) -> Splits:
    """Returns scores that depend on the task most of all, and are higher on test than on validation."""
    value = (0.8 if "length_tokens=24" in cell else 0.3) + 0.01 * number + 0.002 * ("n=2" in cell)
    return {"validation": value, "test": value + 0.1}


def board_of(home: Path) -> Board:
    board = Board(lambda: sources(home, None, None))
    board.update()
    return board


def parts_of(board: Board) -> dict[str, optuna.Study]:
    return {study.study_name.removeprefix("small, scale cpu, "): study for study in board.studies()}


def test_the_best_trial_is_the_best_of_one_phase_on_one_task(tmp_path: Path) -> None:
    forge(tmp_path, small(tmp_path, *TWO_TASKS), easier_if_shorter)
    parts = parts_of(board_of(tmp_path))
    assert list(parts) == [
        "length_tokens=24, tuning runs",
        "length_tokens=24, confirming runs",
        "length_tokens=32, tuning runs",
        "length_tokens=32, confirming runs",
    ]
    assert [study.best_value for study in parts.values()] == pytest.approx([0.812, 0.942, 0.312, 0.442])
    cells = [study.best_trial.user_attrs["cell"] for study in parts.values()]
    assert cells == ["length_tokens=24 n=2"] * 2 + ["length_tokens=32 n=2"] * 2
    for name, study in parts.items():
        phase = "tune" if "tuning" in name else "confirm"
        assert {trial.user_attrs["phase"] for trial in study.trials} == {phase}
        assert ("accuracy on validation" if phase == "tune" else "accuracy on test") in optuna_dashboard.get_note(study)
        assert all("task.length_tokens" not in trial.params for trial in study.trials)
        assert {str(trial.user_attrs["task.length_tokens"]) for trial in study.trials} == {name[14:16]}


def test_cells_of_one_task_are_shown_together(tmp_path: Path) -> None:
    forge(tmp_path, small(tmp_path), easier_if_shorter)
    assert list(parts_of(board_of(tmp_path))) == ["tuning runs", "confirming runs"]


def test_the_best_trial_has_the_lowest_loss(tmp_path: Path) -> None:
    study = small(tmp_path, ('metric = "accuracy"\nshortcut = "name_before"', 'metric = "loss_1"'))
    forge(tmp_path, study, lambda cell, phase, number: dict.fromkeys(("validation", "test"), 2 - 0.1 * number))
    for part in board_of(tmp_path).studies():
        assert part.direction == StudyDirection.MINIMIZE
        values = [trial.value for trial in part.trials if trial.value is not None]
        assert part.best_value == min(values) < max(values)


def call(application: WSGIApplication, path: str, method: str = "GET") -> tuple[str, bytes]:
    """Returns the status and the body that an application answers with."""
    status = ""

    def start(code: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        nonlocal status
        status = code

    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": "127.0.0.1:80", "SERVER_NAME": "127.0.0.1"}
    environ |= {"SERVER_PORT": "80", "wsgi.url_scheme": "http", "QUERY_STRING": ""}
    body = b"".join(application(environ | {"wsgi.input": BytesIO(), "wsgi.errors": BytesIO()}, start))
    return status, body


def importances(board: Board, number: int) -> dict[str, float]:
    """Returns name -> importance of the parameters of an optuna study, as the dashboard computes them."""
    status, body = call(dashboard(board.storage), f"/api/studies/{number}/param_importances")
    assert status.startswith("200")
    (values,) = json.loads(body)["param_importances"]
    return {value["name"]: value["importance"] for value in values}


def test_a_rate_that_never_varied_has_no_importance(tmp_path: Path) -> None:
    forge(tmp_path, small(tmp_path, ("trials = 2", "trials = 1")), easier_if_shorter)
    board = board_of(tmp_path)
    for number, study in enumerate(board.studies()):
        assert importances(board, number).keys() == {"model.width", "objective.n"}
        assert all(trial.user_attrs[RATE] == 0.001 for trial in study.trials)
    forge(tmp_path / "varied", small(tmp_path), easier_if_shorter)
    assert RATE in importances(board_of(tmp_path / "varied"), 0)


def half_done(study: Study, home: Path, runs: int) -> None:
    """Leaves in the ledger of a stored study only the first tuning runs of each cell."""
    folder = StudyFolder(home, study.name, study.scale)
    cells = folder.read_cells()
    for number, cell in enumerate(cells):
        del cell.runs[runs if number else 1 :]
    folder.write_cells(cells)


def test_a_rate_becomes_a_parameter_once_it_varies_and_no_run_is_shown_twice(tmp_path: Path) -> None:
    study = small(tmp_path)
    forge(tmp_path, study, easier_if_shorter)
    complete = StudyFolder(tmp_path, study.name, study.scale).read_cells()
    half_done(study, tmp_path, 1)
    board = board_of(tmp_path)
    trials = parts_of(board)["tuning runs"].trials
    assert [RATE in trial.params for trial in trials] == [False] * 4
    StudyFolder(tmp_path, study.name, study.scale).write_cells(complete)
    board.update()
    for name, count in (("tuning runs", 8), ("confirming runs", 20)):
        shown = [trial.user_attrs["run"] for trial in parts_of(board)[name].trials]
        assert len(shown) == len(set(shown)) == count
    assert all(RATE in trial.params for trial in parts_of(board)["tuning runs"].trials)


def test_a_run_that_a_first_cell_gains_leaves_the_trials_of_other_cells_as_they_are(tmp_path: Path) -> None:
    study = small(tmp_path)
    forge(tmp_path, study, easier_if_shorter)
    folder = StudyFolder(tmp_path, study.name, study.scale)
    complete = folder.read_cells()
    half_done(study, tmp_path, 2)
    board = board_of(tmp_path)
    before = parts_of(board)["tuning runs"].trials
    folder.write_cells(complete)
    board.update()
    after = parts_of(board)["tuning runs"].trials
    assert [trial.user_attrs["run"] for trial in after[:7]] == [trial.user_attrs["run"] for trial in before]
    assert after[7].user_attrs["run"] == complete[0].runs[1].identity
    assert len(after) == 8
    assert all((RunFolder(tmp_path, trial.user_attrs["run"]).path / "result.json").exists() for trial in after)


def test_the_page_hides_the_controls_that_the_server_refuses(tmp_path: Path) -> None:
    forge(tmp_path, small(tmp_path), easier_if_shorter)
    application = read_only(dashboard(board_of(tmp_path).storage), lambda name, scale: "")
    for path in ("/dashboard", "/dashboard/studies/0/note"):
        status, page = call(application, path)
        assert status == "200 OK"
        assert page.count(b"</head>") == 1
        for control in CONTROLS:
            assert f"{control}" in page.decode().partition("</head>")[0]
    for method, path in (
        ("POST", "/api/studies"),
        ("DELETE", "/api/studies/0"),
        ("POST", "/api/studies/0/rename"),
        ("PUT", "/api/studies/0/note"),
        ("POST", "/api/trials/0/tell"),
        ("PATCH", "/api/studies/0"),
    ):
        assert call(application, path, method)[0].startswith("405")


def test_the_controls_are_those_of_the_installed_dashboard() -> None:
    """A selector that matches nothing hides nothing."""
    bundle = (Path(optuna_dashboard.__file__).parent / "public" / "bundle.js").read_text()
    assert 'data-testid":`${t}Icon`' in bundle
    for control in CONTROLS:
        name = control.split('"')[1]
        assert f'"{name.removesuffix("Icon")}"' in bundle, name
