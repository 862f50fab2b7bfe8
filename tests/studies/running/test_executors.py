"""What executors promise: a death is one run's affair and not for ever, a limit ends a run, Ctrl-C lets runs end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.settings import Tree
from lab.run.files import lock_folder
from lab.run.spec import RunSpec
from lab.run.store import LAST, RunFolder
from lab.run.training import train
from studies.declared.study import Study
from studies.running.executors.attempt import attempt
from studies.running.executors.executor import ExecutorContext, Outcome, RunRequest
from studies.running.executors.here import InProcess
from studies.running.executors.local import LocalWorkers
from studies.running.executors.table import ExecutorChoice
from studies.running.executors.workers import DEATHS, Message, WorkerExecutor, WorkerSettings
from studies.running.sweep import RunEvent, Sweep
from tests.conftest import Lab, Spec
from tests.slow.killing import workers_of
from tests.studies.conftest import Edit


class Scripted(WorkerExecutor[str, int]):
    """Workers without a process: worker 0, 1, ... dies as often as its run's seed says, or never answers."""

    def __init__(self, home: Path, count: int, limit_seconds: float | None = None) -> None:
        super().__init__(home, count, limit_seconds)
        self.said: list[tuple[int, Message]] = []
        self.started: list[int] = []
        self.killed: list[int] = []
        self.deaths: dict[int, int] = {}
        self.stillborn = 0

    @classmethod
    def create(cls, settings: WorkerSettings, context: ExecutorContext) -> "Scripted":
        return cls(context.home, context.usual_workers)

    def start(self) -> int:
        self.started.append(len(self.started))
        self.said.append((self.started[-1], "died" if len(self.started) <= self.stillborn else "ready"))
        return self.started[-1]

    def send(self, worker: int, request: RunRequest) -> None:
        seed = request.tree["seed"]
        if request.tree["training"]["steps"] == 1000:
            return
        self.deaths[seed] = self.deaths.get(seed, 0) + 1
        self.said.append((worker, "died" if self.deaths[seed] <= seed else Outcome({"status": "complete"})))

    def receive(self, seconds: float) -> list[tuple[int, Message]]:
        heard, self.said = self.said, []
        return heard

    def kill(self, worker: int) -> None:
        self.killed.append(worker)


def outcomes(workers: WorkerExecutor[str, int]) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    with workers:
        while workers.pending:
            found |= dict(workers.outcomes())
    return found


def test_a_run_is_taken_up_again_until_its_worker_has_died_three_times(tiny: Spec, tmp_path: Path) -> None:
    workers = Scripted(tmp_path, 2)
    for deaths in (0, 1, 2, 3, 4):
        workers.submit(f"{deaths} deaths", tiny(seed=deaths))
    found = outcomes(workers)
    assert {key for key, outcome in found.items() if outcome.failure is None} == {"0 deaths", "1 deaths", "2 deaths"}
    assert found["3 deaths"].failure == found["4 deaths"].failure == "its worker died 3 times"
    assert workers.deaths == {0: 1, 1: 2, 2: 3, 3: DEATHS, 4: DEATHS}


def test_workers_that_cannot_even_start_do_not_keep_a_study_for_ever(tiny: Spec, tmp_path: Path) -> None:
    workers = Scripted(tmp_path, 2)
    workers.stillborn = 1000
    for seed in range(4):
        workers.submit(str(seed), tiny(seed=seed))
    assert [outcome.failure for outcome in outcomes(workers).values()] == ["its worker died 3 times"] * 4
    assert len(workers.started) < 4 * DEATHS + 2


def test_there_are_never_more_workers_than_asked_for_nor_than_runs(tiny: Spec, tmp_path: Path) -> None:
    for count, runs in ((2, 5), (8, 3)):
        workers = Scripted(tmp_path, count)
        for run in range(runs):
            workers.submit(str(run), tiny(seed=0))
        assert len(outcomes(workers)) == runs
        assert len(workers.started) == min(count, runs)


def test_a_run_past_its_limit_is_ended_with_its_worker_and_the_others_go_on(tiny: Spec, tmp_path: Path) -> None:
    workers = Scripted(tmp_path, 1, limit_seconds=0.01)
    workers.submit("hangs", tiny(training__steps=1000))
    workers.submit("ends", tiny())
    found = outcomes(workers)
    assert found["hangs"].failure == "it had not ended after 0.01 s, the limit of a run"
    assert found["ends"].result
    assert workers.killed == [0, 1]  # the hanging one at its limit, the other one at the end


def test_after_a_stop_nothing_starts_and_what_runs_ends(tiny: Spec, tmp_path: Path) -> None:
    workers = Scripted(tmp_path, 1)
    workers.submit("first", tiny())
    workers.submit("second", tiny())
    assert dict(workers.outcomes()).keys() == {"first"}
    workers.submit("third", tiny())
    workers.stop()
    assert not workers.pending
    assert list(workers.outcomes()) == []


def test_what_a_run_raises_is_its_failure(tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, sentence in (
        (UserError("a sentence"), "a sentence"),
        (WorkFailed("another"), "another"),
        (ZeroDivisionError("division"), "ZeroDivisionError: division"),
    ):

        def fail(spec: RunSpec, home: Path, error: Exception = error) -> Tree:
            raise error

        monkeypatch.setattr("lab.run.training.train", fail)
        assert attempt(RunRequest(tiny().tree()), tmp_path) == Outcome(None, sentence)


def test_a_run_that_another_process_trains_is_waited_for(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny()
    folder = RunFolder(tmp_path, spec.identity)
    held = lock_folder(folder.path, "training this run")
    held.__enter__()
    monkeypatch.setattr(time, "sleep", lambda seconds: held.__exit__(None, None, None))
    assert attempt(RunRequest(spec.tree()), tmp_path).result == folder.result()


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


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Ctrl-C as it is on a terminal, also where the tests run without one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


@pytest.mark.usefixtures("interrupts")
def test_ctrl_c_once_lets_the_run_end_and_the_same_command_goes_on(
    small: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(request: RunRequest, home: Path) -> Outcome:
        if len(list((home / "runs").glob("*"))) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return attempt(request, home)

    monkeypatch.setattr("studies.running.executors.here.attempt", interrupted)
    with pytest.raises(WorkFailed, match=r"interrupted after 4 of 28 runs; .* goes on"):
        Sweep(small, tmp_path, lambda event: None).run(InProcess(tmp_path))
    assert "Ctrl-C again stops them now" in capfd.readouterr().err
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 4
    assert not list(tmp_path.glob("studies/*/*/verdicts.json"))


@pytest.mark.usefixtures("interrupts")
def test_ctrl_c_twice_ends_at_once(small: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(request: RunRequest, home: Path) -> Outcome:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("this is never reached")

    monkeypatch.setattr("studies.running.executors.here.attempt", interrupted)
    with pytest.raises(WorkFailed, match="interrupted after 0 of 28 runs"):
        Sweep(small, tmp_path, lambda event: None).run(InProcess(tmp_path))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("locl", {}, "--executor = 'locl': no such executor; the nearest is local"),
        ("here", {"workers": 2}, "--workers: --executor here has no such setting; executors that have it: local, ray"),
        ("here", {"run_limit": 2.0}, "--run-limit: .* has no such setting; executors that have it: local, ray"),
        ("local", {"address": "a:1"}, "--address: --executor local has no such setting; executors that have it: ray"),
        ("local", {"gpus_per_run": 0.5}, "--gpus-per-run: .* has no such setting; executors that have it: ray"),
        ("local", {"worker": 2}, "--executor-set worker: .* has no such setting; the nearest is workers"),
        ("local", {"workers": 0}, "--executor local: workers = 0: should be greater than or equal to 1"),
        ("ray", {}, "--executor ray: connects to an existing cluster; give --address"),
    ],
)
def test_an_executor_refuses_a_setting_that_it_does_not_have(
    name: str, settings: dict[str, object], message: str, small: Study, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        ExecutorChoice(name, tmp_path, settings).create(small)


def test_settings_that_are_not_given_are_the_executors_own(small: Study, tmp_path: Path) -> None:
    executor = ExecutorChoice("local", tmp_path, {"workers": None, "run_limit": 3.0}).create(small)
    assert isinstance(executor, LocalWorkers)
    assert (executor.count, executor.limit_seconds) == (os.cpu_count(), 3.0)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing_and_one_that_hangs_is_ended(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(training__steps=400, training__evaluate_every_steps=10)
    whole = train(spec, tmp_path / "whole")
    workers: LocalWorkers[Any] = LocalWorkers(tmp_path, 1)
    with workers:
        workers.submit("killed", spec)
        while not (RunFolder(tmp_path, spec.identity).path / LAST).exists():
            workers.hand_out()
            for worker, message in workers.receive(0.05):
                list(workers.handle(worker, message))
        (victim,) = workers_of(os.getpid())
        os.kill(victim, signal.SIGKILL)
        assert dict(workers.outcomes()) == {"killed": Outcome(whole)}
    assert not workers_of(os.getpid())
    hanging: LocalWorkers[Any] = LocalWorkers(tmp_path, 1, limit_seconds=1.0)
    with hanging:
        hanging.submit("hangs", tiny(training__steps=100_000, training__evaluate_every_steps=100_000))
        (outcome,) = dict(hanging.outcomes()).values()
        assert "after 1 s, the limit of a run" in str(outcome.failure)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_on_a_study_with_workers_exits_with_1_and_leaves_no_process(
    times: int, study_file: Edit, tmp_path: Path, lab: Lab
) -> None:
    path = study_file(("\nsteps = 3\n", "\nsteps = 300\n"), ("evaluate_every_steps = 3", "evaluate_every_steps = 20"))
    command = [
        sys.executable,
        "-m",
        "lab",
        "study",
        "run",
        str(path),
        "--home",
        str(tmp_path / "home"),
        "--workers",
        "2",
    ]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        start_new_session=True,
    )
    while len(list((tmp_path / "home").glob("runs/*/last.safetensors"))) < 3:
        assert process.poll() is None
        time.sleep(0.1)
    workers = workers_of(process.pid)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        time.sleep(0.3)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.count("lab: interrupted after") == 1
    assert "Traceback" not in said
    assert len(workers) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    unfinished = len(list((tmp_path / "home").glob("runs/*"))) - len(
        list((tmp_path / "home").glob("runs/*/result.json"))
    )
    assert bool(unfinished) == (times == 2)
    again = lab("study", "run", path, "--scale", "smoke", "--home", tmp_path / "home", "--executor", "here")
    assert again.returncode == 0
