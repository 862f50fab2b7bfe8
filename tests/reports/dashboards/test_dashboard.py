"""lab dashboard: what is stored as optuna trials, live, on loopback only, and nothing that is stored changed."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard import get_note

from lab.run.files import json_bytes, write_atomically
from lab.run.store import METRICS, RunFolder
from reports.dashboards.board import Board, plain
from reports.dashboards.searches import sources
from studies.judging.judge import judge
from studies.ledger.declared_study import record_of
from studies.ledger.folder import LEDGER, STUDY, VERDICTS, StudyFolder
from studies.ledger.scores import confirmed
from tests.conftest import Lab
from tests.reports.conftest import TITLE, Store, Stored, ledger, usual
from tests.studies.conftest import cells_of


def board_of(stored: Stored) -> Board:
    board = Board(lambda: sources(stored.home, None, None))
    board.look()
    return board


def trials_of(board: Board) -> list[FrozenTrial]:
    (study,) = board.studies()
    return study.trials


def test_one_study_a_scale_and_one_trial_a_run_in_the_order_of_the_ledger(usual_store: Stored) -> None:
    board = board_of(usual_store)
    (study,) = board.studies()
    assert study.study_name == "small, scale cpu"
    assert study.metric_names == ["accuracy"]
    entries = [(cell, entry) for cell in ledger(usual_store) for entry in cell["entries"]]
    assert len(study.trials) == len(entries) == 4 * (2 + 5)
    for trial, (cell, entry) in zip(study.trials, entries, strict=True):
        assert trial.state == TrialState.COMPLETE
        assert trial.value == entry["score"]
        assert trial.params == cell["levels"] | entry["settings"]
        assert {key: trial.user_attrs[key] for key in ("cell", "phase", "seed", "run")} == {
            "cell": cell["cell"], **{key: entry[key] for key in ("phase", "seed", "run")}
        }  # fmt: skip
        assert trial.distributions["objective.n"] == CategoricalDistribution([1, 2])
        assert trial.distributions["training.learning_rate"] == FloatDistribution(0.001, 0.1, log=True)


def test_the_curve_of_a_trial_is_the_metric_on_validation_by_step(usual_store: Stored) -> None:
    for trial in trials_of(board_of(usual_store)):
        assert trial.value is not None
        assert trial.intermediate_values == pytest.approx({10: trial.value / 2, 20: trial.value})


def test_failed_runs_have_no_value_and_say_why_and_runs_that_began_are_running(broken_store: Stored) -> None:
    by_state: dict[TrialState, list[FrozenTrial]] = {}
    for trial in trials_of(board_of(broken_store)):
        by_state.setdefault(trial.state, []).append(trial)
    assert {state: len(trials) for state, trials in by_state.items()} == {
        TrialState.COMPLETE: 19, TrialState.FAIL: 2, TrialState.RUNNING: 2
    }  # fmt: skip
    assert [trial.user_attrs["cell"] for trial in by_state[TrialState.FAIL]] == ["width=8 n=2", "width=16 n=1"]
    assert "not a finite number" in by_state[TrialState.FAIL][0].user_attrs["failure"]
    assert all(trial.values is None for trial in by_state[TrialState.FAIL] + by_state[TrialState.RUNNING])


def test_a_board_is_live(store: Store) -> None:
    """A run that goes on, another that ends, and a study that is declared anew."""
    stored = store(
        lambda cell, phase, number: None if (cell, phase) == ("width=16 n=2", "tune") else usual(cell, phase, number)
    )
    board = board_of(stored)
    before = trials_of(board)
    first, second = [trial for trial in before if trial.state == TrialState.RUNNING]
    line = {"step": 10, "split": "validation", "accuracy": 0.25}
    RunFolder(stored.home, first.user_attrs["run"]).append(METRICS, line)
    board.look()
    after = trials_of(board)
    assert after[first.number].intermediate_values == {10: 0.25}
    assert after[first.number].state == TrialState.RUNNING
    cells = ledger(stored)
    for entry in cells[3]["entries"]:
        if entry["run"] == first.user_attrs["run"]:
            entry["score"] = 0.5
        else:
            entry["failure"] = "its worker died 3 times"
    folder = StudyFolder(stored.home, "small", "cpu").path
    write_atomically(folder / LEDGER, json_bytes({"cells": cells}))
    board.look()
    last = trials_of(board)
    assert (last[first.number].state, last[first.number].value) == (TrialState.COMPLETE, 0.5)
    assert last[second.number].user_attrs["failure"] == "its worker died 3 times"
    assert len(last) == len(before)
    write_atomically(folder / STUDY, json_bytes(record_of(replace(stored.study, seeds=6)).tree()))
    write_atomically(folder / LEDGER, json_bytes({"cells": cells[:1]}))
    board.look()
    assert {trial.user_attrs["cell"] for trial in trials_of(board)} == {"width=8 n=1"}


def test_the_note_says_question_verdicts_and_where_the_report_is_and_markup_is_text(store: Store) -> None:
    stored = store()
    scores = confirmed(cells_of(stored.home, stored.study))
    verdicts = [one.record().tree() for one in judge(stored.study, scores)]
    board = board_of(stored)
    assert "Verdicts come when the study ends" in get_note(board.studies()[0])
    write_atomically(
        StudyFolder(stored.home, "small", "cpu").path / VERDICTS,
        json_bytes({"study": "small", "scale": "cpu", "verdicts": verdicts}),
    )
    board.look()
    (study,) = board.studies()
    note = get_note(study)
    assert plain(TITLE) in note
    assert "<script>" not in note
    assert (
        r"**SUPPORTED** \<script\>alert\(\"claim\"\)\<\/script\> Two are better than one\. (difference \+0\.450" in note
    )
    assert "28 of 28 runs ended, 0 failed." in note
    assert "](/reports/small/cpu)" in note
    assert study.user_attrs["report"] == "/reports/small/cpu"


def test_of_more_runs_than_a_browser_draws_every_so_manieth_has_a_curve(
    usual_store: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.dashboards.board.CURVES_MAXIMUM", 10)
    board = board_of(usual_store)
    assert [trial.number for trial in trials_of(board) if trial.intermediate_values] == list(range(0, 28, 3))
    assert "of one run in 3" in get_note(board.studies()[0])


def test_the_note_of_a_study_that_is_half_done_counts_runs_and_judges_nothing(broken_store: Stored) -> None:
    note = get_note(board_of(broken_store).studies()[0])
    assert "21 of 28 runs ended, 2 failed" in note
    assert "INCONCLUSIVE" not in note


def test_markdown_leaves_a_text_as_it_is() -> None:
    assert plain("<b>*a*</b>  [x](y)\n$z$") == r"\<b\>\*a\*\<\/b\> \[x\]\(y\) \$z\$"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quick"], "study 'quick' never ran under"),
        (["small", "--scale", "gpu"], "study 'small' never ran at scale gpu"),
        (["--scale", "gpu"], "no study ran at scale gpu"),
    ],
)
def test_a_study_that_never_ran_is_refused(usual_store: Stored, lab: Lab, arguments: list[str], said: str) -> None:
    done = lab("dashboard", *arguments, "--home", usual_store.home)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_port_in_use_and_a_missing_package_are_said_in_a_sentence(
    usual_store: Stored, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = lab("dashboard", "--port", port, "--home", usual_store.home)
    assert done.returncode == 2
    assert f"--port {port}: not to be had (Address already in use)" in done.stderr
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    done = lab("dashboard", "--home", usual_store.home)
    assert done.returncode == 2
    assert "pip install 'mtp-lab[dashboard]'" in done.stderr


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers={"Host": f"{host}:{port}", "Accept-Encoding": "identity"})
    found = connection.getresponse()
    return found.status, found.read().decode()


def listening(pid: int) -> set[str]:
    """Addresses a process listens on, as the kernel's tables of IPv4 and IPv6 have them."""
    own = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.exists()}
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own}


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_reads_only_on_loopback_and_ends_cleanly(broken_store: Stored, ending: int) -> None:
    def kept() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted(broken_store.home.rglob("*")) if path.is_file()}

    before = kept()
    command = [sys.executable, "-m", "lab", "dashboard", "--port", "0", "--json", "--home", str(broken_store.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told: dict[str, Any] = json.loads(process.stdout.readline())
            port = int(told["url"].rpartition(":")[2].strip("/"))
            assert told["studies"] == {"small, scale cpu": 23}
            assert ask(port, "/")[0] == 302
            assert "optuna" in ask(port, "/dashboard")[1].lower()
            (summary,) = json.loads(ask(port, "/api/studies")[1])["study_summaries"]
            assert summary["study_name"] == "small, scale cpu"
            detail = json.loads(ask(port, f"/api/studies/{summary['study_id']}")[1])
            assert len(detail["trials"]) == 23
            assert detail["has_intermediate_values"]
            status, report = ask(port, "/reports/small/cpu")
            assert status == 200
            assert report.startswith("<!DOCTYPE html>")
            assert ask(port, "/reports/small/gpu")[0] == 404
            assert ask(port, f"/api/studies/{summary['study_id']}", "DELETE")[0] == 405
            assert ask(port, "/api/studies", host="elsewhere.example")[0] == 403
            assert listening(process.pid) == {"0100007F"}
            process.send_signal(ending)
            assert process.wait(timeout=60) == 0
            assert "Traceback" not in process.communicate()[1]
        finally:
            process.kill()
    assert kept() == before
