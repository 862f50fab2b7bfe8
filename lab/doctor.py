"""What a machine has, and whether the lab works on it."""

import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from lab.run.spec import parse_spec
from lab.run.training import train

PACKAGES = ("torch", "numpy", "optuna", "scipy", "seaborn", "tokenizers")
EXTRAS = {"optuna-dashboard": "dashboard", "ray": "ray", "transformers": "export", "tensorboard": "tensorboard"}
TINY = {
    "task": {"kind": "induction", "characters": 2, "length_tokens": 32, "validation_samples": 8, "test_samples": 8},
    "model": {"width": 8, "layers": 3, "attention_heads": 1},
    "objective": {"kind": "multi_token", "n": 2},
    "training": {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "evaluate_every_steps": 2},
}


@dataclass(frozen=True)
class Check:
    """One finding."""

    name: str
    good: bool
    finding: str
    optional: bool = False

    @property
    def mark(self) -> str:
        """ok, absent (and not needed), or WRONG."""
        return "ok" if self.good else "absent" if self.optional else "WRONG"


def examine(home: Path) -> list[Check]:
    """All checks, the cheap ones first."""
    python = Check("python", True, platform.python_version())
    cores = Check("cores", True, f"{os.cpu_count()} (one thread a run, so as many workers as cores)")
    cuda = torch.cuda.is_available()
    gpu = Check("gpu", cuda, torch.cuda.get_device_name() if cuda else "none; runs use the CPU", optional=True)
    packages = [installed(name) for name in PACKAGES]
    extras = [installed(name, extra) for name, extra in EXTRAS.items()]
    return [
        python,
        cores,
        gpu,
        *packages,
        *extras,
        attempt("home", lambda: writable(home)),
        attempt("training", tiny_run),
    ]


def installed(package: str, extra: str | None = None) -> Check:
    """Whether a package is there; an extra may be missing."""
    try:
        return Check(package, True, version(package))
    except PackageNotFoundError:
        how = f"not installed; pip install 'mtp-lab[{extra}]' if you want it" if extra else "not installed"
        return Check(package, False, how, optional=extra is not None)


def attempt(name: str, trial: Callable[[], str]) -> Check:
    """A check that does something."""
    try:
        return Check(name, True, trial())
    except Exception as error:  # whatever is wrong with the machine is the finding
        return Check(name, False, f"{type(error).__name__}: {error}")


def writable(home: Path) -> str:
    """A file can be made where results are to be kept."""
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=home):
        return str(home.resolve())


def tiny_run() -> str:
    """A tiny run, trained twice, gives the same result."""
    spec = parse_spec(TINY, "the doctor's run")
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        same = train(spec, Path(first)) == train(spec, Path(second))
    if not same:
        raise AssertionError("two equal runs differ on this machine")
    return "a tiny run trained twice gives the same numbers"
