"""A sweep has equal budgets and fresh seeds, gives the same bytes with every executor, and trains nothing twice."""

import json
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.run.files import lock_folder
from lab.run.store import RunFolder
from lab.run.training import train
from studies.declared.loading import declare
from studies.declared.study import TUNING_SEED, Study
from studies.ledger.declared_study import cells_of, find_study
from studies.ledger.folder import StudyFolder
from studies.ledger.records import RunRecord
from studies.ledger.scores import confirmed
from studies.running.cell_runs import RunEvent
from studies.running.executors.executor import Outcome, RunRequest
from studies.running.executors.here import InProcess
from studies.running.executors.local import LocalWorkers
from studies.running.scoring import score_of
from studies.running.sweep import Sweep
from tests.small_study import write_small_study


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    """Runs the small study once, in this process."""
    folder = tmp_path_factory.mktemp("swept")
    study = declare(str(write_small_study(folder)), "cpu", [])
    Sweep(study, folder / "home", lambda event: None).run(InProcess(folder / "home"))
    return folder / "home", study


def runs_of(home: Path, study: Study, phase: str) -> dict[str, list[RunRecord]]:
    return {cell.label: [run for run in cell.runs if run.phase == phase] for cell in cells_of(home, study)}


def test_every_cell_has_the_same_budget_and_all_seeds(swept: tuple[Path, Study]) -> None:
    home, study = swept
    assert {label: len(runs) for label, runs in runs_of(home, study, "tune").items()} == {
        cell.label: 2 for cell in study.cells
    }
    for runs in runs_of(home, study, "confirm").values():
        assert [run.seed for run in runs] == [0, 1, 2, 3, 4]
    assert all(run.seed == TUNING_SEED for runs in runs_of(home, study, "tune").values() for run in runs)


def test_the_first_trial_is_the_middle_of_the_range(swept: tuple[Path, Study]) -> None:
    for runs in runs_of(*swept, "tune").values():
        assert runs[0].settings["training.learning_rate"] == pytest.approx(0.01)


def test_tuning_is_scored_on_validation_and_the_winner_is_confirmed_on_test(swept: tuple[Path, Study]) -> None:
    home, study = swept
    for cell in cells_of(home, study):
        for run in cell.runs:
            result = RunFolder(home, run.identity).result()
            assert result is not None
            split = "validation" if run.phase == "tune" else "test"
            assert run.score == result["scores"]["best"][split]["accuracy"]
        trials = [(run.score or 0.0, run.settings) for run in cell.runs if run.phase == "tune"]
        best = max(score for score, _ in trials)
        assert cell.winner in [settings for score, settings in trials if score == best]
        assert all(run.settings == cell.winner for run in cell.runs if run.phase == "confirm")


def test_no_choice_depends_on_the_test_split(small: Study) -> None:
    result = {"status": "complete", "scores": {"best": {"validation": {"accuracy": 0.3}, "test": {"accuracy": 0.9}}}}
    changed = json.loads(json.dumps(result))
    changed["scores"]["best"]["test"]["accuracy"] = 0.1
    folder = RunFolder(Path("none"), "none")
    scores = [score_of(small, "tune", Outcome(either), folder) for either in (result, changed)]
    assert scores == [(0.3, None, {})] * 2
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
    for label, runs in runs_of(home, study, "tune").items():
        trials = optuna.load_study(study_name=label, storage=storage).trials
        assert [trial.value for trial in trials] == [run.score for run in runs]
        assert [trial.user_attrs["run"] for trial in trials] == [run.identity for run in runs]
        assert all(trial.state.is_finished() for trial in trials)


def test_a_stored_study_equals_the_one_that_ran(swept: tuple[Path, Study]) -> None:
    home, study = swept
    assert find_study(home, "small", None) == study
    assert find_study(home, study.source, "cpu") == study


def test_a_cell_whose_runs_diverge_has_failures_and_no_score_of_zero(
    small: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scored(request: RunRequest, home: Path) -> Outcome:
        tree = request.tree
        bad = tree["model"]["width"] == 16 and tree["objective"]["n"] == 2
        score = {"accuracy": 0.5 + 0.01 * (tree["seed"] % 7)}
        result: Tree = {"status": "complete", "scores": {"best": {"validation": score, "test": score}}}
        return Outcome({"status": "diverged", "reason": "not finite"} if bad else result)

    monkeypatch.setattr("studies.running.executors.here.attempt", scored)
    sweep = Sweep(small, tmp_path, lambda event: None)
    judgements = sweep.run(InProcess(tmp_path))
    failed = next(cell for cell in sweep.records if cell.label == "width=16 n=2")
    assert [run.failure for run in failed.runs] == ["not finite", "not finite"]
    assert failed.winner is None
    scores = confirmed(sweep.records)
    assert scores["width=16 n=2"] == {}
    assert scores["width=8 n=1"] == pytest.approx({0: 0.5, 1: 0.51, 2: 0.52, 3: 0.53, 4: 0.54})
    assert judgements[1].verdict == "inconclusive"


def test_a_damaged_run_in_the_store_is_a_failed_run_and_the_others_go_on(small: Study, tmp_path: Path) -> None:
    bad = small.spec(small.cells[1], small.middle, 2**30)
    train(bad, tmp_path)
    (RunFolder(tmp_path, bad.identity).path / "result.json").write_text("{")
    sweep = Sweep(small, tmp_path, lambda event: None)
    sweep.run(InProcess(tmp_path))
    failures = [run.failure for cell in sweep.records for run in cell.runs if run.failure]
    assert len(failures) == 1
    assert "not valid JSON" in failures[0]
    assert [len(cell.runs) for cell in sweep.records] == [7, 7, 7, 7]
    (RunFolder(tmp_path, bad.identity).path / "result.json").unlink()
    events: list[RunEvent] = []
    sweep = Sweep(small, tmp_path, events.append)
    sweep.run(InProcess(tmp_path))
    assert not any(run.failure for cell in sweep.records for run in cell.runs)
    assert bad.identity in [event.run.identity for event in events if event.trained]


def test_a_study_that_another_process_runs_is_refused(swept: tuple[Path, Study]) -> None:
    home, study = swept
    with (
        lock_folder(StudyFolder(home, study.name, study.scale).path, "running this study"),
        pytest.raises(UserError, match="another process is running this study"),
    ):
        Sweep(study, home, lambda event: None).run(InProcess(home))
