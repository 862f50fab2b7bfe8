"""A study takes the analyses that its claims use, of its confirming runs alone, and only where they are not stored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.analysis.measure_store import result_path
from lab.run.files import json_bytes
from lab.run.store import BEST, RunFolder
from studies.declared.loading import declare
from studies.declared.study import Study
from studies.ledger.records import RunRecord
from studies.running.cell_runs import RunEvent
from studies.running.executors.attempt import attempt
from studies.running.executors.executor import Analyses, Outcome, RunRequest
from studies.running.executors.here import InProcess
from studies.running.sweep import Sweep
from tests.conftest import Spec
from tests.small_study import write_small_study
from tests.stub_training import stub_attempt

STEP, HEADS, SAMPLES = ("step", "best"), ("induction-heads", "best"), ("samples", "best")
STEP_RATIO, COPYING = "analysis/step/time_ratio", "analysis/induction_heads/copying"


class RecordedRuns(InProcess[Any]):
    """Trains nothing: stores each run, and each analysis that is requested of it, and lists the requests by run."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.requested: dict[str, Analyses] = {}

    def outcomes(self) -> Iterator[tuple[Any, Outcome]]:
        while self.waiting:
            key, request = self.waiting.popleft()
            identity = key.run.identity
            self.requested[identity] = request.analyses
            outcome = stub_attempt(request, self.home)
            for name, checkpoint in request.analyses:
                path = result_path(self.home, identity, checkpoint, name)
                path.write_bytes(json_bytes({"measures": {"time_ratio": 1.5, "copying": 0.5}}))
            yield key, outcome


@pytest.fixture(autouse=True)
def no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def small(folder: Path, *, analysed: bool, first_seed: int = 0) -> Study:
    """Returns the small study, whose two claims are about measures of two analyses or about its own score."""
    seeds = ("seeds = 5\n", f"seeds = 5\nfirst_seed = {first_seed}\n")
    papers = ('paper = "far better"', 'paper = "no advantage"')
    changes = [
        (paper, f'{paper}\nmetric = "{metric}"') for paper, metric in zip(papers, (STEP_RATIO, COPYING), strict=True)
    ]
    return declare(str(write_small_study(folder, seeds, *changes if analysed else ())), "smoke", [])


def requests(study: Study, home: Path) -> tuple[list[tuple[str, RunRecord]], dict[str, Analyses]]:
    """Runs a study.

    Returns:
        its runs with the labels of their cells, and the analyses requested of each run that was submitted.
    """
    events: list[RunEvent] = []
    executor = RecordedRuns(home)
    Sweep(study, home, events.append).run(executor)
    return [(event.cell, event.run) for event in events], executor.requested


@pytest.mark.parametrize("first_seed", [0, 100])
def test_confirming_runs_have_the_analyses_of_the_claims_and_the_first_of_most_heads_has_samples(
    first_seed: int, tmp_path: Path
) -> None:
    runs, requested = requests(small(tmp_path, analysed=True, first_seed=first_seed), tmp_path)
    assert len(runs) == len(requested) == 12
    for cell, run in runs:
        of_claims = () if run.phase == "tune" else (HEADS, STEP)
        sampled = run.phase == "confirm" and run.seed == first_seed and cell.endswith("n=2")
        assert requested[run.identity] == (*of_claims, *[SAMPLES] * sampled)
        assert run.measures == ({} if run.phase == "tune" else {STEP_RATIO: 1.5, COPYING: 0.5})


def test_a_study_whose_claims_need_no_analysis_requests_samples_alone(tmp_path: Path) -> None:
    runs, requested = requests(small(tmp_path, analysed=False), tmp_path)
    assert {analyses for analyses in requested.values() if analyses} == {(SAMPLES,)}
    assert sum(map(len, requested.values())) == 2
    assert all(run.measures == {} for _, run in runs)


def test_analyses_that_stored_runs_lack_are_taken_and_no_run_is_requested_for_anything_else(tmp_path: Path) -> None:
    requests(small(tmp_path, analysed=False), tmp_path)
    study = small(tmp_path, analysed=True)
    runs, requested = requests(study, tmp_path)
    confirming = [run.identity for _, run in runs if run.phase == "confirm"]
    assert requested == dict.fromkeys(confirming, (HEADS, STEP)), "their weights are gone, so there are no new samples"
    assert requests(study, tmp_path)[1] == {}
    for name, identity in (("step", confirming[3]), ("induction-heads", confirming[7])):
        result_path(tmp_path, identity, "best", name).unlink()
    assert requests(study, tmp_path)[1].keys() == {confirming[3], confirming[7]}
    assert requests(small(tmp_path, analysed=False), tmp_path)[1] == {}


def test_samples_are_taken_of_a_stored_run_that_has_its_weights(tmp_path: Path) -> None:
    study = small(tmp_path, analysed=False)
    _, requested = requests(study, tmp_path)
    sampled = [identity for identity, analyses in requested.items() if analyses]
    for identity in sampled:
        result_path(tmp_path, identity, "best", "samples").unlink()
    assert requests(study, tmp_path)[1] == {}
    (RunFolder(tmp_path, sampled[0]).path / BEST).touch()
    assert requests(study, tmp_path)[1] == {sampled[0]: (SAMPLES,)}


def test_an_analysis_that_fails_is_listed_and_samples_that_fail_are_not(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def fail(home: Path, run: str, checkpoint: str, name: str) -> dict[str, float]:
        taken.append(name)
        raise UserError(f"{name} cannot be taken")

    complete: Tree = {"status": "complete"}
    monkeypatch.setattr("lab.run.training.train", lambda spec, home, **options: complete)
    monkeypatch.setattr("studies.running.executors.attempt.measures_of", fail)
    tree = tiny().tree()
    assert attempt(RunRequest(tree, (SAMPLES,)), tmp_path) == Outcome(complete)
    failed = Outcome(complete, analysis_failures={"step": "step cannot be taken"})
    assert attempt(RunRequest(tree, (SAMPLES, STEP)), tmp_path) == failed
    assert taken == ["samples", "samples", "step"]
    complete["status"] = "diverged"
    assert attempt(RunRequest(tree, (STEP,)), tmp_path) == Outcome(complete)


def test_no_analysis_is_taken_of_a_stored_run_that_diverged(tmp_path: Path) -> None:
    runs, _ = requests(small(tmp_path, analysed=False), tmp_path)
    identity = next(run.identity for _, run in runs if run.phase == "confirm")
    RunFolder(tmp_path, identity).write_result({"status": "diverged", "steps": 3, "reason": "the loss is not finite"})
    repeated, requested = requests(small(tmp_path, analysed=True), tmp_path)
    assert identity not in requested
    assert [run.failure for _, run in repeated if run.identity == identity] == ["the loss is not finite"]
