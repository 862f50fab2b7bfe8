"""Executors with workers handle deaths, time limits, stops, and failures of runs."""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.settings import Tree
from lab.run.files import lock_folder
from lab.run.spec import RunSpec
from lab.run.store import LAST, RunFolder
from lab.run.training import train
from studies.running.executors.attempt import attempt
from studies.running.executors.executor import ExecutorContext, Outcome, RunRequest
from studies.running.executors.local import LocalWorkers
from studies.running.executors.workers import DEATHS, Message, WorkerExecutor, WorkerSettings
from tests.conftest import Spec
from tests.slow.killing import workers_of

HANGING_STEPS = 1000


class ScriptedWorkers(WorkerExecutor[str, int]):
    """Workers 0, 1, ... without a process; a run's seed is the number of its workers that die.

    A run of `HANGING_STEPS` steps never ends.
    """

    def __init__(self, home: Path, count: int, limit_seconds: float | None = None) -> None:
        super().__init__(home, count, limit_seconds)
        self.messages: list[tuple[int, Message]] = []
        self.started: list[int] = []
        self.killed: list[int] = []
        self.attempts: dict[int, int] = {}
        self.sent: list[list[int]] = []
        self.stillborn = 0

    @classmethod
    def create(cls, settings: WorkerSettings, context: ExecutorContext) -> "ScriptedWorkers":
        return cls(context.home, context.usual_workers)

    def start(self) -> int:
        self.started.append(len(self.started))
        self.messages.append((self.started[-1], "died" if len(self.started) <= self.stillborn else "ready"))
        return self.started[-1]

    def send(self, worker: int, requests: tuple[RunRequest, ...]) -> None:
        seed = requests[0].tree["seed"]
        self.sent.append([request.tree["seed"] for request in requests])
        if requests[0].tree["training"]["steps"] == HANGING_STEPS:
            return
        self.attempts[seed] = self.attempts.get(seed, 0) + 1
        died = self.attempts[seed] <= seed
        self.messages.append((worker, "died" if died else [Outcome({"status": "complete"}) for _ in requests]))

    def receive(self, seconds: float) -> list[tuple[int, Message]]:
        messages, self.messages = self.messages, []
        return messages

    def kill(self, worker: int) -> None:
        self.killed.append(worker)


def outcomes_of(workers: WorkerExecutor[str, int]) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    with workers:
        while workers.pending:
            outcomes |= dict(workers.outcomes())
    return outcomes


def test_a_run_fails_once_three_of_its_workers_have_died(tiny: Spec, tmp_path: Path) -> None:
    workers = ScriptedWorkers(tmp_path, 2)
    for deaths in (0, 1, 2, 3, 4):
        workers.submit(f"{deaths} deaths", tiny(seed=deaths))
    outcomes = outcomes_of(workers)
    complete = {key for key, outcome in outcomes.items() if outcome.failure is None}
    assert complete == {"0 deaths", "1 deaths", "2 deaths"}
    assert outcomes["3 deaths"].failure == outcomes["4 deaths"].failure == "its worker died 3 times"
    assert workers.attempts == {0: 1, 1: 2, 2: 3, 3: DEATHS, 4: DEATHS}


def test_workers_that_die_while_they_start_do_not_keep_a_study_running_for_ever(tiny: Spec, tmp_path: Path) -> None:
    workers = ScriptedWorkers(tmp_path, 2)
    workers.stillborn = 1000
    for seed in range(4):
        workers.submit(str(seed), tiny(seed=seed))
    assert [outcome.failure for outcome in outcomes_of(workers).values()] == ["its worker died 3 times"] * 4
    assert len(workers.started) < 4 * DEATHS + 2


def test_a_run_whose_worker_died_goes_on_before_any_run_that_waits(tiny: Spec, tmp_path: Path) -> None:
    workers = ScriptedWorkers(tmp_path, 1)
    workers.submit("dies once", tiny(seed=1))
    workers.submit("waits", tiny(seed=0))
    assert list(outcomes_of(workers)) == ["dies once", "waits"]


def test_a_worker_that_dies_without_a_run_is_replaced_and_counts_against_no_run(tiny: Spec, tmp_path: Path) -> None:
    workers = ScriptedWorkers(tmp_path, 1)
    workers.submit("first", tiny(seed=0))
    assert dict(workers.outcomes()).keys() == {"first"}
    assert list(workers.handle(0, "died")) == []
    workers.submit("second", tiny(seed=2))
    assert outcomes_of(workers)["second"].result, "it may lose two more workers"
    assert workers.started == [0, 1, 2, 3]


@pytest.mark.parametrize(("count", "runs"), [(2, 5), (8, 3)])
def test_no_more_workers_start_than_the_count_or_the_runs(tiny: Spec, tmp_path: Path, count: int, runs: int) -> None:
    workers = ScriptedWorkers(tmp_path, count)
    for run in range(runs):
        workers.submit(str(run), tiny(seed=0))
    assert len(outcomes_of(workers)) == runs
    assert len(workers.started) == min(count, runs)


def test_workers_that_are_still_starting_count(tiny: Spec, tmp_path: Path) -> None:
    class SlowStarters(ScriptedWorkers):
        """Workers that are ready only after the executor has looked four times."""

        looks = 0

        def receive(self, seconds: float) -> list[tuple[int, Message]]:
            self.looks += 1
            return super().receive(seconds) if self.looks > 4 else []

    workers = SlowStarters(tmp_path, 2)
    for run in range(5):
        workers.submit(str(run), tiny(seed=0))
    assert len(outcomes_of(workers)) == 5
    assert workers.started == [0, 1]
    few_runs = SlowStarters(tmp_path, 8)
    few_runs.submit("alone", tiny(seed=0))
    assert len(outcomes_of(few_runs)) == 1
    assert few_runs.started == [0]


def test_the_limit_of_a_run_counts_from_when_a_worker_received_it(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute passes at every look, on a machine that has been up for an hour; the limit is one minute."""

    class Clocked(ScriptedWorkers):
        now = 3600.0
        looks = 0

        def receive(self, seconds: float) -> list[tuple[int, Message]]:
            self.now, self.looks = self.now + 30.0, self.looks + 1
            return super().receive(seconds)

    workers = Clocked(tmp_path, 1, limit_seconds=60.0)
    monkeypatch.setattr("studies.running.executors.workers.time", SimpleNamespace(monotonic=lambda: workers.now))
    workers.submit("first", tiny())
    workers.submit("hangs", tiny(training__steps=HANGING_STEPS))
    outcomes = outcomes_of(workers)
    assert outcomes["first"].result
    assert outcomes["hangs"].failure == "it had not ended after 60 s, the limit of a run"
    assert workers.looks == 5, "one until the worker is ready, one for the first run, three for the one that hangs"


def test_a_run_past_its_limit_is_ended_with_its_worker_and_the_others_go_on(tiny: Spec, tmp_path: Path) -> None:
    workers = ScriptedWorkers(tmp_path, 1, limit_seconds=0.01)
    workers.submit("hangs", tiny(training__steps=HANGING_STEPS))
    workers.submit("ends", tiny())
    outcomes = outcomes_of(workers)
    assert outcomes["hangs"].failure == "it had not ended after 0.01 s, the limit of a run"
    assert outcomes["ends"].result
    assert workers.killed == [0, 1]  # the hanging one at its limit, the other one at the end


def test_runs_of_one_stack_go_to_one_worker_in_their_order(tiny: Spec, tmp_path: Path) -> None:
    workers = ScriptedWorkers(tmp_path, 8)
    for seed, rate in ((0, 0.01), (0, 0.02), (1, 0.01), (2, 0.01), (1, 0.02)):  # two runs of one seed need the same row
        workers.submit(f"seed {seed} at {rate}", tiny(seed=seed, training__learning_rate=rate, training__stack=3))
    for rate in (0.01, 0.02):
        workers.submit(f"alone at {rate}", tiny(training__learning_rate=rate))
    workers.submit("another batch size", tiny(training__batch_size=3, training__stack=3))
    assert len(outcomes_of(workers)) == 8
    assert workers.sent[:2] == [[0, 1, 2], [0, 1]]
    assert [len(seeds) for seeds in workers.sent[2:]] == [1, 1, 1]
    assert len(workers.started) == 5


def test_a_stack_has_the_limit_of_all_its_runs_and_fails_or_is_retried_as_a_whole(tiny: Spec, tmp_path: Path) -> None:
    workers = ScriptedWorkers(tmp_path, 1, limit_seconds=0.01)
    for seed in (0, 1):
        workers.submit(f"hangs {seed}", tiny(seed=seed, training__stack=2, training__steps=HANGING_STEPS))
    for seed in (1, 0):
        workers.submit(f"dies once {seed}", tiny(seed=seed, training__stack=2))
    outcomes = outcomes_of(workers)
    limit = "it had not ended after 0.02 s, the limit of a stack of 2 runs"
    assert [outcomes[f"hangs {seed}"].failure for seed in (0, 1)] == [limit] * 2
    assert [outcomes[f"dies once {seed}"].failure for seed in (0, 1)] == [None] * 2
    assert workers.sent == [[0, 1], [1, 0], [1, 0]]


def test_after_a_stop_nothing_starts_and_running_runs_end(tiny: Spec, tmp_path: Path) -> None:
    workers = ScriptedWorkers(tmp_path, 1)
    workers.submit("first", tiny())
    workers.submit("second", tiny())
    assert dict(workers.outcomes()).keys() == {"first"}
    workers.submit("third", tiny())
    workers.stop()
    assert not workers.pending
    assert list(workers.outcomes()) == []


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (UserError("a sentence"), "a sentence"),
        (WorkFailed("another"), "another"),
        (ZeroDivisionError("division"), "ZeroDivisionError: division"),
    ],
)
def test_an_error_in_a_run_is_the_failure_of_that_run(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, failure: str
) -> None:
    def fail(spec: RunSpec, home: Path, **options: object) -> Tree:
        raise error

    monkeypatch.setattr("lab.run.training.train", fail)
    assert attempt(RunRequest(tiny().tree()), tmp_path) == Outcome(None, failure)


def test_a_run_that_another_process_trains_is_waited_for(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny()
    folder = RunFolder(tmp_path, spec.identity)
    lock = lock_folder(folder.path, "training this run")
    lock.__enter__()
    monkeypatch.setattr(time, "sleep", lambda seconds: lock.__exit__(None, None, None))
    assert attempt(RunRequest(spec.tree()), tmp_path).result == folder.result()


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_a_hanging_one_is_ended(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(training__steps=400, training__evaluate_every_steps=10)
    result = train(spec, tmp_path / "whole")
    workers: LocalWorkers[Any] = LocalWorkers(tmp_path, 1)
    with workers:
        workers.submit("killed", spec)
        while not (RunFolder(tmp_path, spec.identity).path / LAST).exists():
            workers.hand_out()
            for worker, message in workers.receive(0.05):
                list(workers.handle(worker, message))
        (victim,) = workers_of(os.getpid())
        os.kill(victim, signal.SIGKILL)
        assert dict(workers.outcomes()) == {"killed": Outcome(result)}
    assert not workers_of(os.getpid())
    hanging: LocalWorkers[Any] = LocalWorkers(tmp_path, 1, limit_seconds=1.0)
    with hanging:
        hanging.submit("hangs", tiny(training__steps=100_000, training__evaluate_every_steps=100_000))
        (outcome,) = dict(hanging.outcomes()).values()
        assert "after 1 s, the limit of a run" in str(outcome.failure)
