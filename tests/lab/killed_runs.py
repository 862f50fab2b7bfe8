"""Runs killed at a chosen moment, and the files in which equal runs have equal bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.run.loop.training_run import TrainingRun
from lab.run.spec import RunSpec
from lab.run.store import BEST, LAST, METRICS, RESULT, SPEC, RunFolder
from lab.run.training import train

EQUAL_FILES = (METRICS, LAST, BEST, RESULT, SPEC)


class Killed(BaseException):
    """Stands for a kill: nothing in the lab may catch it."""


def kill(*_: Any) -> None:
    raise Killed


def killed_at(step: int, method: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a method of TrainingRun so that the process dies when it is called at this step."""

    def wrapped(run: TrainingRun, *arguments: Any) -> Any:
        if run.step == step:
            raise Killed
        return method(run, *arguments)

    return wrapped


def train_until_killed(spec: RunSpec, home: Path, method: str = "finish", step: int | None = None) -> None:
    """Trains a run until a method of TrainingRun is called, at any step or at one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, method, kill if step is None else killed_at(step, getattr(TrainingRun, method)))
        with pytest.raises(Killed):
            train(spec, home)
    assert RunFolder(home, spec.identity).result() is None


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the contents of those files of a run that are the same in every run of its spec."""
    return {name: (folder / name).read_bytes() for name in EQUAL_FILES}


def contents_at(home: Path, spec: RunSpec) -> dict[str, bytes]:
    return contents(RunFolder(home, spec.identity).path)
