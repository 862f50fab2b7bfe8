"""Ctrl-C pressed once lets the running runs finish; pressed twice, it stops everything immediately."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from generators.foundation.errors import WorkFailed
from studies.declared.study import Study
from studies.running.executors.attempt import attempt
from studies.running.executors.executor import Outcome, RunRequest
from studies.running.executors.here import InProcess
from studies.running.interrupts import interruptible
from studies.running.sweep import Sweep
from tests.conftest import Lab
from tests.slow.killing import workers_of
from tests.studies.conftest import Edit


@pytest.fixture
def terminal_interrupts() -> Iterator[None]:
    """Handles Ctrl-C as on a terminal, also where the tests run without one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


@pytest.mark.usefixtures("terminal_interrupts")
def test_ctrl_c_once_lets_the_run_end_and_keeps_it(
    small: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupt_fourth_run(request: RunRequest, home: Path) -> Outcome:
        if len(list((home / "runs").glob("*"))) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return attempt(request, home)

    monkeypatch.setattr("studies.running.executors.here.attempt", interrupt_fourth_run)
    with pytest.raises(WorkFailed, match=r"interrupted after 4 of 28 runs; .* continues"):
        Sweep(small, tmp_path, lambda event: None).run(InProcess(tmp_path))
    assert "Ctrl-C again stops them now" in capfd.readouterr().err
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 4
    assert not list(tmp_path.glob("studies/*/*/verdicts.json"))


@pytest.mark.usefixtures("terminal_interrupts")
def test_ctrl_c_twice_ends_at_once(small: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt_twice(request: RunRequest, home: Path) -> Outcome:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("this is never reached")

    monkeypatch.setattr("studies.running.executors.here.attempt", interrupt_twice)
    with pytest.raises(WorkFailed, match="interrupted after 0 of 28 runs"):
        Sweep(small, tmp_path, lambda event: None).run(InProcess(tmp_path))


def test_where_ctrl_c_is_ignored_as_under_nohup_it_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible(lambda: None) as interrupts:
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert interrupts.times == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_on_a_study_with_workers_exits_with_1_and_leaves_no_process(
    times: int, study_file: Edit, tmp_path: Path, lab: Lab
) -> None:
    path = study_file(("\nsteps = 3\n", "\nsteps = 300\n"), ("evaluate_every_steps = 3", "evaluate_every_steps = 20"))
    home = tmp_path / "home"
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", "study", "run", str(path), "--home", str(home), "--workers", "2"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        start_new_session=True,
    )
    while len(list(home.glob("runs/*/last.safetensors"))) < 3:
        assert process.poll() is None
        time.sleep(0.1)
    workers = workers_of(process.pid)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        time.sleep(0.3)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.count("lab: interrupted after") == 1
    assert "Traceback" not in errors
    assert len(workers) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    unfinished = len(list(home.glob("runs/*"))) - len(list(home.glob("runs/*/result.json")))
    assert bool(unfinished) == (times == 2)
    assert lab("study", "run", path, "--scale", "smoke", "--home", home, "--executor", "here").returncode == 0
