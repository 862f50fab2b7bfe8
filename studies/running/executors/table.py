"""The table of executors, and the choice of one on the command line."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from generators.foundation.errors import UserError
from generators.foundation.kinds import Registry
from generators.foundation.outside import PartFailed, guarded, quoted
from generators.foundation.settings import Tree, suggestion, validate
from studies.ledger.folder import StudyFolder
from studies.running.executors.executor import Executor, ExecutorContext

EXECUTORS = Registry(
    "executor",
    {
        "here": "studies.running.executors.here:InProcess",
        "local": "studies.running.executors.local:LocalWorkers",
        "ray": "studies.running.executors.ray:RayWorkers",
    },
    Executor,
    plural="executors",
    key="--executor",
)
OPTIONS = ("workers", "run_limit", "address", "gpus_per_run")
"""Settings that have their own command line option."""


class Runnable(Protocol):
    """A study or a search at one scale."""

    @property
    def name(self) -> str: ...
    @property
    def scale(self) -> str: ...
    @property
    def base(self) -> Tree: ...


@dataclass(frozen=True)
class ExecutorChoice:
    """The executor that a command asks for.

    Attributes:
        name: a name of the table.
        settings: the settings that the command gives; those that are None count as not given.
    """

    name: str
    home: Path
    settings: Mapping[str, object] = field(default_factory=dict)

    def create(self, study: Runnable) -> Executor[Any]:
        """Returns the executor for the runs of a study or a search.

        Raises:
            UserError: there is no such executor, it does not have one of the settings, or it cannot be reached.
            PartFailed: the executor comes from another package, and creating it fails.
        """
        executor: type[Executor[Any]] = EXECUTORS.find(self.name, "")
        settings = {key: value for key, value in self.settings.items() if value is not None}
        for key in settings:
            if key not in executor.settings.model_fields:
                raise UserError(f"{option(key)}: --executor {self.name} has no such setting; {owners(key, executor)}")
        folder = StudyFolder(self.home, study.name, study.scale).path
        context = ExecutorContext(self.home, folder, usual_workers(study))
        subject = EXECUTORS.subject(self.name)
        with guarded(subject):
            created = executor.create(validate(executor.settings, settings, f"--executor {self.name}"), context)
        if not isinstance(created, Executor):
            raise PartFailed(f"{subject} creates {quoted(created)}, which is no Executor")
        if not isinstance(created.count, int) or created.count < 1:
            raise PartFailed(f"{subject} has count = {quoted(created.count)}, which is no number of runs at a time")
        return created


def usual_workers(study: Runnable) -> int:
    """Returns the default number of runs at a time: one per core, or one on a GPU."""
    return (os.cpu_count() or 1) if study.base.get("training", {}).get("device", "cpu") == "cpu" else 1


def option(key: str) -> str:
    """Returns the command line option of a setting."""
    return f"--{key.replace('_', '-')}" if key in OPTIONS else f"--executor-set {key}"


def owners(key: str, executor: type[Executor[Any]]) -> str:
    """Names the executors that have a setting; if none has it, the nearest setting of the chosen one."""
    names = [name for name, other in EXECUTORS.classes().items() if key in other.settings.model_fields]
    if names:
        return f"executors that have it: {', '.join(names)}"
    return suggestion(key, list(executor.settings.model_fields))
