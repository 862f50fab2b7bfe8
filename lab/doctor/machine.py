"""Checks of a machine: its hardware and packages, the parts of other packages, and trials of the lab on it."""

import os
import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from lab.doctor.extras import EXTRAS, install_command
from lab.doctor.figures import compare_figures, train_twice
from lab.doctor.outcome import MachineCheck, attempt
from lab.doctor.parts import check_parts
from lab.doctor.torch_features import check_torch_features

PACKAGES = ("torch", "numpy", "optuna", "scipy", "seaborn", "tokenizers")
ABSENT = "absent"


def examine(home: Path) -> list[MachineCheck]:
    """Runs all checks, the cheap ones first."""
    cuda = torch.cuda.is_available()
    gpu = torch.cuda.get_device_name() if cuda else "none; runs use the CPU"
    return [
        MachineCheck("python", True, platform.python_version()),
        MachineCheck("cores", True, f"{os.cpu_count()} (a run uses one thread, so start as many workers as cores)"),
        MachineCheck("gpu", cuda, gpu, bad_mark=ABSENT),
        *(check_package(name) for name in PACKAGES),
        *check_torch_features(),
        *(check_package(name) for name in EXTRAS),
        *check_parts(),
        attempt("home", lambda: write_file(home)),
        attempt("training", train_twice),
        attempt("reference losses", compare_figures),
    ]


def check_package(package: str) -> MachineCheck:
    """Checks that a package is installed; one that belongs to an extra is optional."""
    optional = package in EXTRAS
    try:
        return MachineCheck(package, True, version(package))
    except PackageNotFoundError:
        finding = f"not installed; {install_command(package)}" if optional else "not installed"
        return MachineCheck(package, False, finding, bad_mark=ABSENT if optional else "WRONG")


def write_file(home: Path) -> str:
    """Writes a file in the home folder and returns the folder's path."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=home):
            return str(home.resolve())
    except OSError as error:
        raise AssertionError(f"{home}: cannot be written to ({error.strerror}); choose another --home") from None
