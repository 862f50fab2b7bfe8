"""Explore, then confirm: equal budgets, fresh seeds, the same runs whatever the workers, and nothing done twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.run.files import lock_folder
from lab.run.store import RunFolder
from studies.declared.loading import load
from studies.declared.study import TUNING_SEED, Study
from studies.ledger.declared_study import find_study
from studies.ledger.folder import StudyFolder
from studies.ledger.records import RunRecord
from studies.ledger.scores import confirmed
from studies.running.executors.executor import Outcome, RunRequest
from studies.running.executors.here import InProcess
from studies.running.executors.local import LocalWorkers
from studies.running.scoring import score_of
from studies.running.sweep import RunEvent, Sweep
from tests.conftest import Lab
from tests.studies.conftest import Edit, cells_of


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    """The small study, run once in this process."""
    from tests.small_study import SMALL

    folder = tmp_path_factory.mktemp("swept")
    (folder / "small.toml").write_text(SMALL)
    study = load(str(folder / "small.toml"), "cpu", [])
    Sweep(study, folder / "home", lambda event: None).run(InProcess(folder / "home"))
    return folder / "home", study


def entries(home: Path, study: Study, phase: str) -> dict[str, list[RunRecord]]:
    return {cell.label: [e for e in cell.runs if e.phase == phase] for cell in cells_of(home, study)}


def test_every_cell_has_the_same_budget_and_all_seeds(swept: tuple[Path, Study]) -> None:
    home, study = swept
    assert {label: len(found) for label, found in entries(home, study, "tune").items()} == {
        c.label: 2 for c in study.cells
    }
    for found in entries(home, study, "confirm").values():
        assert [entry.seed for entry in found] == [0, 1, 2, 3, 4]
    assert all(entry.seed == TUNING_SEED for found in entries(home, study, "tune").values() for entry in found)


def test_the_first_trial_is_the_middle_of_the_range(swept: tuple[Path, Study]) -> None:
    for found in entries(*swept, "tune").values():
        assert found[0].settings["training.learning_rate"] == pytest.approx(0.01)


def test_tuning_is_scored_on_validation_and_the_winner_is_confirmed_on_test(swept: tuple[Path, Study]) -> None:
    home, study = swept
    for cell in cells_of(home, study):
        trials = [entry for entry in cell.runs if entry.phase == "tune"]
        for entry in cell.runs:
            result = RunFolder(home, entry.identity).result()
            assert result is not None
            split = "validation" if entry.phase == "tune" else "test"
            assert entry.score == result["scores"]["best"][split]["accuracy"]
        best = max(entry.score for entry in trials)
        assert cell.winner in [entry.settings for entry in trials if entry.score == best]
        assert all(entry.settings == cell.winner for entry in cell.runs if entry.phase == "confirm")


def test_no_choice_depends_on_the_test_split(small: Study) -> None:
    result = {"status": "complete", "scores": {"best": {"validation": {"accuracy": 0.3}, "test": {"accuracy": 0.9}}}}
    changed = json.loads(json.dumps(result))
    changed["scores"]["best"]["test"]["accuracy"] = 0.1
    folder = RunFolder(Path("none"), "none")
    tuned = [score_of(small, "tune", Outcome(one), folder) for one in (result, changed)]
    assert tuned == [(0.3, None, {})] * 2
    assert score_of(small, "confirm", Outcome(changed), folder) == (0.1, None, {})


def test_running_again_trains_nothing_and_writes_the_same_ledger(swept: tuple[Path, Study]) -> None:
    home, study = swept
    ledger = StudyFolder(home, study.name, study.scale).path / "ledger.json"
    before = ledger.read_bytes()
    events: list[RunEvent] = []
    Sweep(study, home, events.append).run(InProcess(home))
    assert len(events) == study.runs
    assert not any(event.trained for event in events)
    assert ledger.read_bytes() == before


def test_workers_make_the_same_bytes_as_this_process(swept: tuple[Path, Study], tmp_path: Path) -> None:
    home, study = swept
    Sweep(study, tmp_path, lambda event: None).run(LocalWorkers(tmp_path, 2))
    assert cells_of(tmp_path, study) == cells_of(home, study)
    for run in (home / "runs").iterdir():
        for name in ("metrics.jsonl", "result.json", "best.safetensors", "last.safetensors"):
            assert (run / name).read_bytes() == (tmp_path / "runs" / run.name / name).read_bytes()


def test_the_study_can_be_rebuilt_from_the_store_alone(swept: tuple[Path, Study], tmp_path: Path) -> None:
    home, study = swept
    (tmp_path / "runs").symlink_to(home / "runs")
    events: list[RunEvent] = []
    Sweep(study, tmp_path, events.append).run(InProcess(tmp_path))
    assert not any(event.trained for event in events)
    assert cells_of(tmp_path, study) == cells_of(home, study)


def test_optuna_sees_every_trial_with_its_run(swept: tuple[Path, Study]) -> None:
    home, study = swept
    journal = StudyFolder(home, study.name, study.scale).path / "journal.log"
    storage = JournalStorage(JournalFileBackend(str(journal)))
    for label, found in entries(home, study, "tune").items():
        trials = optuna.load_study(study_name=label, storage=storage).trials
        assert [trial.value for trial in trials] == [entry.score for entry in found]
        assert [trial.user_attrs["run"] for trial in trials] == [entry.identity for entry in found]
        assert all(trial.state.is_finished() for trial in trials)


def test_what_was_stored_reads_as_the_study_that_ran(swept: tuple[Path, Study]) -> None:
    home, study = swept
    assert find_study(home, "small", None) == study
    assert find_study(home, "some/where/small.toml", "cpu") == study


def test_a_run_that_fails_is_a_failed_cell_and_never_a_zero(
    small: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every run of one cell diverges; the others score."""

    def stub(request: RunRequest, home: Path) -> Outcome:
        tree = request.tree
        bad = tree["model"]["width"] == 16 and tree["objective"]["n"] == 2
        score = {"accuracy": 0.5 + 0.01 * (tree["seed"] % 7)}
        result: Tree = {"status": "complete", "scores": {"best": {"validation": score, "test": score}}}
        return Outcome({"status": "diverged", "reason": "not finite"} if bad else result)

    monkeypatch.setattr("studies.running.executors.here.attempt", stub)
    sweep = Sweep(small, tmp_path, lambda event: None)
    judgements = sweep.run(InProcess(tmp_path))
    failed = next(cell for cell in sweep.records if cell.label == "width=16 n=2")
    assert [entry.failure for entry in failed.runs] == ["not finite", "not finite"]
    assert failed.winner is None
    scores = confirmed(sweep.records)
    assert scores["width=16 n=2"] == {}
    assert len(scores["width=8 n=1"]) == 5
    assert judgements[1].verdict == "inconclusive"


def test_a_failed_study_exits_with_1_and_names_the_cell(study_file: Edit, tmp_path: Path, lab: Lab) -> None:
    path = study_file(
        ("low = 0.001, high = 0.1", "low = 1e29, high = 1e31"), ("\nsteps = 3\n", "\nsteps = 3\nclip_norm = 1e30\n")
    )
    done = lab("study", "run", path, "--scale", "smoke", "--workers", "1", "--home", tmp_path)
    assert done.returncode == 1
    assert "4 runs failed: width=8 n=1, tune seed" in done.stderr
    assert "NOT TESTED" in done.stdout


@pytest.mark.slow
def test_a_study_killed_again_and_again_ends_with_the_same_ledger(study_file: Edit, tmp_path: Path, lab: Lab) -> None:
    path = study_file(("\nsteps = 3\n", "\nsteps = 40\n"), ("evaluate_every_steps = 3", "evaluate_every_steps = 5"))
    assert lab("study", "run", path, "--home", tmp_path / "whole").returncode == 0
    command = [sys.executable, "-m", "lab", "study", "run", str(path), "--home", str(tmp_path / "broken")]
    kills = 0
    for wait in (6.0, 7.0, 8.0):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        time.sleep(2)
    assert kills
    assert lab("study", "run", path, "--home", tmp_path / "broken").returncode == 0
    ledgers = [(tmp_path / name / "studies/small/cpu/ledger.json").read_bytes() for name in ("whole", "broken")]
    assert ledgers[0] == ledgers[1]


def test_run_status_and_claims_from_the_command_line(study_file: Edit, tmp_path: Path, lab: Lab) -> None:
    path, home = study_file(), tmp_path / "home"
    done = lab("study", "run", path, "--scale", "smoke", "--home", home, "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["trained"] == 4 * (1 + 2)
    status = json.loads(lab("study", "status", "small", "--home", home, "--json").stdout)
    assert status["scale"] == "smoke"
    assert {(cell["tune"], cell["confirm"], cell["failed"]) for cell in status["cells"].values()} == {(1, 2, 0)}
    claims = json.loads(lab("claims", "--home", home, "--json").stdout)
    assert claims["small"]["verdicts"] == value["verdicts"]
    again = lab("study", "run", path, "--scale", "smoke", "--home", home)
    assert "0 runs trained" in again.stderr
    assert lab("claims", "quick", "--home", home).returncode == 2


def test_a_study_that_another_process_runs_is_refused(swept: tuple[Path, Study]) -> None:
    home, study = swept
    with (
        lock_folder(StudyFolder(home, study.name, study.scale).path, "running this study"),
        pytest.raises(UserError, match="another process is running this study"),
    ):
        Sweep(study, home, lambda event: None).run(InProcess(home))


def test_a_home_that_cannot_be_made_is_a_sentence(study_file: Edit, tmp_path: Path, lab: Lab) -> None:
    (tmp_path / "file").write_text("")
    done = lab("study", "run", study_file(), "--scale", "smoke", "--home", tmp_path / "file" / "home")
    assert done.returncode == 2
    assert "the folder cannot be created" in done.stderr
