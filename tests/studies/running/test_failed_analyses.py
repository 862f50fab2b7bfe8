"""An analysis that fails takes no score with it: the run counts, and claims about the analysis say which failure."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.analysis.measure_store import result_path
from lab.run.files import json_bytes
from studies.declared.loading import declare
from studies.declared.study import Study
from studies.judging.from_ledger import judge_stored
from studies.judging.judgement import Judgement
from studies.ledger.folder import StudyFolder
from studies.reading.judged import read_judged
from studies.running.executors.executor import Outcome, RunRequest
from studies.running.executors.here import InProcess
from studies.running.sweep import Sweep
from tests.conftest import Lab
from tests.small_study import write_small_study
from tests.stub_training import stub_attempt

FAILURE = "analysis step of other 1.2 failed with ValueError: no step (other.py, line 3)"
METRIC = ('paper = "far better"', 'paper = "far better"\nmetric = "analysis/step/time_ratio"')


class Unanalysed(InProcess[Any]):
    """Trains nothing; the analysis of every second run fails, or is left out."""

    def __init__(self, home: Path, failure: str = FAILURE) -> None:
        super().__init__(home)
        self.failure = failure
        self.analysed = 0

    def outcomes(self) -> Iterator[tuple[Any, Outcome]]:
        while self.waiting:
            key, request = self.waiting.popleft()
            outcome = stub_attempt(request, self.home)
            if ("step", "best") in request.analyses:
                self.analysed += 1
                if self.analysed % 2 and self.failure:
                    outcome = replace(outcome, analysis_failures={"step": self.failure})
                elif self.failure:
                    path = result_path(self.home, key.run.identity, "best", "step")
                    path.write_bytes(json_bytes({"measures": {"time_ratio": 1.5}}))
            yield key, outcome


@pytest.fixture(autouse=True)
def no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Returns the small study, whose first claim is about an analysis."""
    return declare(str(write_small_study(tmp_path, METRIC)), "cpu", [])


def run(study: Study, home: Path, executor: InProcess[Any]) -> tuple[Sweep, list[Judgement]]:
    sweep = Sweep(study, home, lambda event: None)
    return sweep, sweep.run(executor)


def test_the_runs_count_and_the_claim_says_which_failure(study: Study, tmp_path: Path) -> None:
    sweep, (helps, same) = run(study, tmp_path, Unanalysed(tmp_path))
    confirming = [run for cell in sweep.records for run in cell.runs if run.phase == "confirm"]
    assert len(confirming) == 20
    assert all(run.score is not None and run.failure is None for run in confirming)
    assert [run.analysis_failures for run in confirming].count({"step": FAILURE}) == 10
    assert [bool(run.measures) for run in confirming] == [not run.analysis_failures for run in confirming]
    assert helps.contrast is None
    assert helps.reason.startswith("too few runs have this metric: ")
    assert helps.reason.endswith(f"; in 10 runs: {FAILURE}")
    assert same.contrast is not None
    assert judge_stored(tmp_path, study) == [helps, same]
    assert read_judged(tmp_path, study).judgements == [helps, same]


def test_an_analysis_that_failed_is_tried_again_by_the_same_command(study: Study, tmp_path: Path) -> None:
    run(study, tmp_path, Unanalysed(tmp_path))
    again = Unanalysed(tmp_path)
    sweep, (helps, _) = run(study, tmp_path, again)
    assert again.analysed == 10
    assert sum(bool(run.analysis_failures) for cell in sweep.records for run in cell.runs) == 5
    assert helps.reason.endswith(f"; in 5 runs: {FAILURE}")


def test_an_analysis_that_the_executor_left_out_is_taken_by_the_coordinator(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*arguments: object) -> None:
        raise MemoryError("1 GB")

    monkeypatch.setattr("studies.running.executors.attempt.measures_of", no_memory)
    sweep, (helps, same) = run(study, tmp_path, Unanalysed(tmp_path, failure=""))
    reasons = {reason for cell in sweep.records for run in cell.runs for reason in run.analysis_failures.values()}
    (reason,) = reasons
    assert reason.startswith("analysis step of mtp-lab failed with MemoryError: 1 GB (test_failed_analyses.py, line ")
    assert helps.reason.endswith(f"; in 20 runs: {reason}")
    assert same.contrast is not None


def test_a_stored_analysis_that_is_damaged_costs_its_claim_alone(study: Study, tmp_path: Path) -> None:
    sweep, _ = run(study, tmp_path, Unanalysed(tmp_path))
    analysed = next(run for cell in sweep.records for run in cell.runs if run.measures)
    path = result_path(tmp_path, analysed.identity, "best", "step")
    path.write_text("torn")
    sweep, (helps, same) = run(study, tmp_path, Unanalysed(tmp_path))
    failures = [
        run.analysis_failures for cell in sweep.records for run in cell.runs if run.identity == analysed.identity
    ]
    assert failures == [{"step": f"{path}: not a stored analysis; delete the file, and the analysis is repeated"}]
    assert helps.contrast is None
    assert same.contrast is not None


def test_the_command_lists_the_failures_and_exits_with_1(
    study: Study, tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unanalysed(request: RunRequest, home: Path) -> Outcome:
        failures = {name: FAILURE for name, _ in request.analyses if name == "step"}
        return replace(stub_attempt(request, home), analysis_failures=failures)

    monkeypatch.setattr("studies.running.executors.here.attempt", unanalysed)
    done = lab("study", "run", study.source, "--executor", "here", "--home", tmp_path / "home", "--json")
    assert done.returncode == 1
    value = json.loads(done.stdout)
    assert value["failed"] == []
    assert len(value["failed_analyses"]) == 20
    assert value["failed_analyses"][0] == f"width=8 n=1, confirm seed 0: {FAILURE}"
    assert value["verdicts"][0]["reason"].endswith(FAILURE)
    assert done.stderr.splitlines()[-1].startswith(
        f"lab: 20 analyses of runs failed: width=8 n=1, confirm seed 0: {FAILURE}"
    )
    ledger = StudyFolder(tmp_path / "home", "small", "cpu").path / "ledger.json"
    runs = [run for cell in json.loads(ledger.read_text())["cells"] for run in cell["entries"]]
    assert ["analysis_failures" in run for run in runs] == [run["phase"] == "confirm" for run in runs]
