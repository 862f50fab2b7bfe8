"""A spec file of a few steps; the folder of the tiny run, complete and interrupted just before its result."""

import shutil
from pathlib import Path

import pytest

from lab.run.training import train
from tests.conftest import Spec
from tests.lab.killed_runs import contents, train_until_killed
from tests.lab.spec_text import SPEC


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="session")
def tiny_folders(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of the tiny run, complete and interrupted; tests change copies only."""
    home = tmp_path_factory.mktemp("tiny")
    train(tiny(), home / "complete")
    train_until_killed(tiny(), home / "interrupted")
    return home / "complete" / "runs" / tiny().identity, home / "interrupted" / "runs" / tiny().identity


@pytest.fixture
def complete_contents(tiny_folders: tuple[Path, Path]) -> dict[str, bytes]:
    """Returns the contents of those files of the complete run that are the same in every run of its spec."""
    return contents(tiny_folders[0])


@pytest.fixture
def complete_folder(tiny: Spec, tiny_folders: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the complete run's folder, under the home tmp_path / "home"."""
    return shutil.copytree(tiny_folders[0], tmp_path / "home" / "runs" / tiny().identity)


@pytest.fixture
def interrupted_folder(tiny: Spec, tiny_folders: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the interrupted run's folder, under the home tmp_path / "home"."""
    return shutil.copytree(tiny_folders[1], tmp_path / "home" / "runs" / tiny().identity)
