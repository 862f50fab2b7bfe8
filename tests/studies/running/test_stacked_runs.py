"""Runs of a cell that wait are trained together, with the bytes that each has by itself."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.run.files import FolderInUse
from lab.run.spec import RunSpec
from lab.run.stacking.training_stack import Ended
from lab.run.training import train, train_together
from studies.declared.loading import declare
from studies.running.executors.attempt import attempt_stack
from studies.running.executors.executor import Outcome
from studies.running.executors.here import InProcess
from studies.running.executors.requests import request_of
from studies.running.plan.stacking import stacking_lines, trained_alone
from tests.conftest import Spec
from tests.lab.killed_runs import contents_at
from tests.small_study import write_small_study


def test_an_executor_trains_waiting_runs_of_a_cell_as_stacks(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks: list[list[int]] = []

    def record(specs: Sequence[RunSpec], home: Path, other_code: str) -> list[Ended]:
        stacks.append([spec.seed for spec in specs])
        return train_together(specs, home, "keep")

    monkeypatch.setattr("lab.run.training.train_together", record)
    specs = [tiny(seed=seed, training__stack=2, training__steps=4) for seed in range(3)]
    executor: InProcess[int] = InProcess(tmp_path / "study")
    for spec in specs:
        executor.submit(spec.seed, spec)
    outcomes: dict[int, Outcome] = {}
    while executor.pending:
        outcomes |= dict(executor.outcomes())
    assert stacks == [[0, 1]], "the third run has nobody left to wait with"
    for spec in specs:
        assert outcomes[spec.seed].result == train(spec, tmp_path / "apart")
        assert contents_at(tmp_path / "study", spec) == contents_at(tmp_path / "apart", spec)


def test_a_run_in_use_is_waited_for_and_a_failure_is_that_of_its_run(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[int]] = []
    answers: list[list[Ended]] = [
        [FolderInUse("in use"), UserError("a sentence"), {"status": "diverged"}],
        [{"status": "diverged"}],
    ]

    def answer(specs: Sequence[RunSpec], home: Path, other_code: str) -> list[Ended]:
        calls.append([spec.seed for spec in specs])
        return answers[len(calls) - 1]

    monkeypatch.setattr("lab.run.training.train_together", answer)
    monkeypatch.setattr("studies.running.executors.attempt.IN_USE_SECONDS", 0)
    requests = [request_of(tiny(seed=seed, training__stack=3), ()) for seed in range(3)]
    diverged = Outcome({"status": "diverged"})
    assert attempt_stack(requests, tmp_path) == [diverged, Outcome(None, "a sentence"), diverged]
    assert calls == [[0, 1, 2], [0]]


def test_a_study_says_which_cells_are_stacked_and_why_others_are_not(tmp_path: Path) -> None:
    study = declare(str(write_small_study(tmp_path)), "smoke", ["training.stack=2"])
    assert stacking_lines(study) == ["stacks: up to 2 runs of a cell that wait are trained as one network"]
    assert trained_alone(study) == {}
    assert not study.leaves_compile_open
    muon = declare(str(write_small_study(tmp_path)), "smoke", ["training.stack=2", "training.optimiser=muon"])
    labels = ", ".join(cell.label for cell in muon.cells)
    reason = 'training.optimiser = "muon" updates one matrix after the other'
    assert stacking_lines(muon) == [f"trained alone, because {reason}: {labels}"]
    assert stacking_lines(declare(str(write_small_study(tmp_path)), "smoke", [])) == []
