"""Executors take the specs of runs and return their outcomes; they write nothing but run folders.

    here.py       this process, one run after the other
    local.py      worker processes on this machine
    ray.py        workers on an existing Ray cluster
    checked.py    an executor as a coordinator uses it, with everything that it yields checked
    workers.py    what the last two share: handing out runs, deaths of workers, time limits
    requests.py   which runs a worker trains as one stack
    attempt.py    one run or one stack, in the process that trains it

A run gives the same bytes on every executor. This module imports no torch, so that commands can list executors quickly.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from generators.foundation.settings import Settings, Tree

if TYPE_CHECKING:
    from lab.run.spec import RunSpec

Key = TypeVar("Key")
Analyses = tuple[tuple[str, str], ...]
"""Analyses to take of a run: (name, checkpoint)."""


@dataclass(frozen=True)
class Outcome:
    """The result of a run, or the reason why there is none.

    Attributes:
        analysis_failures: analysis of a complete run that could not be computed -> the reason.
    """

    result: Tree | None
    failure: str | None = None
    analysis_failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRequest:
    """The message to a worker: the spec of a run, as JSON types, and the analyses to compute of it.

    Attributes:
        stack: the same text for all runs that can be trained as one stack (docs/gpu.md); empty for a run that is
            trained by itself.
    """

    tree: Tree
    analyses: Analyses = ()
    stack: str = ""


@dataclass(frozen=True)
class ExecutorContext:
    """The study or search that an executor is created for.

    Attributes:
        folder: the folder of the study, which workers on other machines must see too.
        usual_workers: number of runs at a time unless the settings give one.
    """

    home: Path
    folder: Path
    usual_workers: int


class NoSettings(Settings):
    """The settings of an executor without settings."""


class Executor(ABC, Generic[Key]):
    """Trains runs that are submitted under a key, and yields each key with the outcome of its run.

    Runs start in the order of submission. An executor is a context manager that ends its workers on exit. A coordinator
    checks it (checked.py): if an executor raises an error or breaks its interface, the command ends with a sentence,
    and the runs that ended are kept.

    Attributes:
        settings: the class of the executor's settings; on the command line, each field is an option of the same name
            or is given with `--executor-set NAME=VALUE`.
        count: number of runs at a time.
    """

    summary: ClassVar[str] = ""
    settings: ClassVar[type[Settings]] = NoSettings
    count: int = 1

    @classmethod
    @abstractmethod
    def create(cls, settings: Any, context: ExecutorContext) -> Self:
        """Returns an executor with settings of its class.

        Raises:
            UserError: the settings do not fit each other, or the executor cannot be reached.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the executor's workers."""

    @property
    @abstractmethod
    def pending(self) -> bool:
        """True while an outcome is outstanding."""

    @abstractmethod
    def submit(self, key: Key, spec: "RunSpec", analyses: Analyses = ()) -> None:
        """Queues a run and its analyses. Queued runs do not start after `stop` was called."""

    @abstractmethod
    def outcomes(self) -> Iterator[tuple[Key, Outcome]]:
        """Waits until a run has ended, then yields every run that ended since the last call.

        A key is the object that was submitted, not a copy of it. Yields nothing if no run is pending, and at least one
        run if any is.
        """

    @abstractmethod
    def stop(self) -> None:
        """Starts no further run; those that are running continue to their end. Safe in a signal handler."""
