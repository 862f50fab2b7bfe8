"""Checks of a machine: its hardware and packages, and a trial of the lab on it."""

import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import nn

from lab.run.spec import parse_spec
from lab.run.training import train

PACKAGES = ("torch", "numpy", "optuna", "scipy", "seaborn", "tokenizers")
EXTRAS = {"optuna-dashboard": "dashboard", "ray": "ray", "transformers": "export", "tensorboard": "tensorboard"}
TINY_RUN = {
    "task": {"kind": "induction", "characters": 2, "length_tokens": 32, "validation_samples": 8, "test_samples": 8},
    "model": {"width": 8, "layers": 3, "attention_heads": 1},
    "objective": {"kind": "multi_token", "n": 2},
    "training": {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "evaluate_every_steps": 2},
}


@dataclass(frozen=True)
class MachineCheck:
    """The outcome of one check."""

    name: str
    good: bool
    finding: str
    optional: bool = False

    @property
    def mark(self) -> str:
        """ok, absent (if it is optional) or WRONG."""
        return "ok" if self.good else "absent" if self.optional else "WRONG"


def examine(home: Path) -> list[MachineCheck]:
    """Runs all checks, the cheap ones first."""
    cuda = torch.cuda.is_available()
    return [
        MachineCheck("python", True, platform.python_version()),
        MachineCheck("cores", True, f"{os.cpu_count()} (a run uses one thread, so use as many workers as cores)"),
        MachineCheck("gpu", cuda, torch.cuda.get_device_name() if cuda else "none; runs use the CPU", optional=True),
        *(check_package(name) for name in PACKAGES),
        check_torch_features(),
        *(check_package(name, extra) for name, extra in EXTRAS.items()),
        attempt("home", lambda: write_file(home)),
        attempt("training", train_tiny_run),
    ]


def check_package(package: str, extra: str | None = None) -> MachineCheck:
    """Checks that a package is installed; one that belongs to an extra is optional."""
    try:
        return MachineCheck(package, True, version(package))
    except PackageNotFoundError:
        finding = f"not installed; pip install 'mtp-lab[{extra}]' adds it" if extra else "not installed"
        return MachineCheck(package, False, finding, optional=extra is not None)


def check_torch_features() -> MachineCheck:
    """Checks for features of newer torch versions that the lab uses but can do without."""
    if hasattr(nn, "LinearCrossEntropyOptions"):
        return MachineCheck("torch features", True, "all present")
    finding = "no chunked cross-entropy before torch 2.13; training.loss = chunked recomputes pieces and is slower"
    return MachineCheck("torch features", False, finding, optional=True)


def attempt(name: str, trial: Callable[[], str]) -> MachineCheck:
    """Runs a trial and reports what it returns, or the error that it raises."""
    try:
        return MachineCheck(name, True, trial())
    except Exception as error:  # any error is the finding
        return MachineCheck(name, False, f"{type(error).__name__}: {error}")


def write_file(home: Path) -> str:
    """Writes a file in the home folder and returns the folder's path."""
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=home):
        return str(home.resolve())


def train_tiny_run() -> str:
    """Trains a tiny run twice and compares the results.

    Raises:
        AssertionError: the results differ.
    """
    spec = parse_spec(TINY_RUN, "the doctor's run")
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        if train(spec, Path(first)) != train(spec, Path(second)):
            raise AssertionError("two equal runs differ on this machine")
    return "a tiny run trained twice gives the same numbers"
