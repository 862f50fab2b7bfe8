"""The executors by name, and the settings each of them has."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from generators.foundation.errors import UserError
from generators.foundation.settings import suggestion
from studies.running.executors.executor import Executor
from studies.running.executors.here import Here
from studies.running.executors.local import LocalWorkers


@dataclass(frozen=True)
class Setup:
    """What a command says of where runs happen; None where it does not.

    workers: runs at once. run_limit: seconds. address: of a Ray cluster. gpus_per_run: a fraction, or several.
    """

    workers: int | None = None
    run_limit: float | None = None
    address: str | None = None
    gpus_per_run: float | None = None


def here(setup: Setup, home: Path, folder: Path, usual: int) -> Executor[Any]:
    """Nothing to set."""
    return Here(home)


def local(setup: Setup, home: Path, folder: Path, usual: int) -> Executor[Any]:
    """How many, and for how long."""
    return LocalWorkers(home, setup.workers or usual, setup.run_limit)


def ray(setup: Setup, home: Path, folder: Path, usual: int) -> Executor[Any]:
    """Where the cluster is, and how much of it."""
    from studies.running.executors.ray import RayWorkers  # an optional extra

    if setup.address is None:
        raise UserError("--executor ray: connects to a cluster that exists; give --address HOST:PORT, that of its head")
    return RayWorkers(home, folder, setup.address, setup.workers, setup.gpus_per_run or 0.0, setup.run_limit)


# name -> (how it is made, the settings it has)
EXECUTORS: dict[str, tuple[Callable[[Setup, Path, Path, int], Executor[Any]], tuple[str, ...]]] = {
    "here": (here, ()),
    "local": (local, ("workers", "run_limit")),
    "ray": (ray, ("workers", "run_limit", "address", "gpus_per_run")),
}


def executor(name: str, setup: Setup, home: Path, folder: Path, usual: int) -> Executor[Any]:
    """The executor of a command.

    Args:
        folder: of the study, by which a worker elsewhere sees that its home is the same.
        usual: workers where the command does not say.

    Raises:
        UserError: there is no such executor, it has no such setting, or it cannot be reached.
    """
    if name not in EXECUTORS:
        raise UserError(f"--executor {name}: no such executor; {suggestion(name, list(EXECUTORS))}")
    make, known = EXECUTORS[name]
    for field in fields(setup):
        if getattr(setup, field.name) is not None and field.name not in known:
            those = ", ".join(other for other, (_, settings) in EXECUTORS.items() if field.name in settings)
            raise UserError(
                f"--{field.name.replace('_', '-')}: --executor {name} has no such setting; it is one of: {those}"
            )
    return make(setup, home, folder, usual)
