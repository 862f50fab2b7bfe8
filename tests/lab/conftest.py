"""A spec file of a few steps; the tiny run stored, complete and just before its result."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from lab.run.spec import RunSpec
from lab.run.training import TrainingRun, train
from tests.conftest import Spec

SPEC = """
[task]
kind = "induction"
test_samples = 20
validation_samples = 20
[model]
width = 16
layers = 3
attention_heads = 2
[objective]
kind = "multi_token"
n = 2
[training]
steps = 4
batch_size = 4
learning_rate = 1e-3
evaluate_every_steps = 2
"""


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    return path


class Killed(BaseException):
    """Stands for a kill: nothing in the lab may catch it."""


def broken_off(spec: RunSpec, home: Path) -> None:
    """Train a run up to the moment before its result."""

    def kill(*_: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "finish", kill)
        with pytest.raises(Killed):
            train(spec, home)


@pytest.fixture(scope="session")
def tiny_folders(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of the tiny run complete and of the tiny run broken off before its result; not to be changed."""
    home = tmp_path_factory.mktemp("tiny")
    train(tiny(), home / "whole")
    broken_off(tiny(), home / "broken")
    return home / "whole" / "runs" / tiny().identity, home / "broken" / "runs" / tiny().identity


@pytest.fixture
def usual(tiny_folders: tuple[Path, Path]) -> dict[str, bytes]:
    """The files of the complete run that equal runs have equal."""
    names = ("metrics.jsonl", "last.safetensors", "best.safetensors", "result.json", "spec.json")
    return {name: (tiny_folders[0] / name).read_bytes() for name in names}


@pytest.fixture
def whole(tiny: Spec, tiny_folders: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the complete run's folder, under the home tmp_path / "home"."""
    return shutil.copytree(tiny_folders[0], tmp_path / "home" / "runs" / tiny().identity)


@pytest.fixture
def broken(tiny: Spec, tiny_folders: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the folder of the run broken off before its result, under the home tmp_path / "home"."""
    return shutil.copytree(tiny_folders[1], tmp_path / "home" / "runs" / tiny().identity)
