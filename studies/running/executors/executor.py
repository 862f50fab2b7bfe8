"""Where runs happen. An executor takes specs and hands back outcomes; it touches nothing but run folders.

    here.py       this process, one run after the other
    local.py      worker processes on this machine
    ray.py        workers on a Ray cluster that exists
    workers.py    what the last two share: who does what, deaths, limits

Whichever it is, a run is the same bytes: nothing of it depends on where it happens or on what runs beside it.
"""

import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.settings import Tree
from lab.run.files import FolderInUse
from lab.run.spec import RunSpec, parse_spec

Key = TypeVar("Key")
HELD_SECONDS = 0.5
"""Between two looks at a run that another process is training."""


@dataclass(frozen=True)
class Outcome:
    """A run's result, or why there is none."""

    result: Tree | None
    failure: str | None = None


@dataclass(frozen=True)
class Work:
    """What a worker is handed: a run's spec, and the analyses to take of it: (name, checkpoint)."""

    tree: Tree
    analyses: tuple[tuple[str, str], ...] = ()


class Executor(Protocol[Key]):
    """Runs are submitted with a key that comes back with their outcome; they start in the order of submission.

    A context: what it started ends with it.
    """

    count: int
    """Of runs at once."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def pending(self) -> bool:
        """Whether an outcome is still to come."""

    def submit(self, key: Key, spec: RunSpec, analyses: tuple[tuple[str, str], ...] = ()) -> None:
        """Queue a run, and analyses of it; nothing where `stop` was called."""

    def outcomes(self) -> Iterator[tuple[Key, Outcome]]:
        """What ended since the last call, once something has; nothing where nothing is pending."""

    def stop(self) -> None:
        """Start no further run; those that are running go on to their end. Safe in a signal handler."""


def take(analyses: tuple[tuple[str, str], ...], home: Path, run: str) -> None:
    """Analyses of a complete run. Samples are only shown: where they cannot be taken, that is no failure of the run,
    and `lab analyse` says why."""
    from lab.analysis.measure_store import measures_of
    from lab.analysis.table import SAMPLES

    for name, checkpoint in analyses:
        with suppress(Exception) if name == SAMPLES else nullcontext():
            measures_of(home, run, checkpoint, name)


def attempt(work: Work, home: Path) -> Outcome:
    """One run, whatever becomes of it: what it raises is that run's failure, not the study's.

    A run that another process is at is waited for: another study's, or a worker's that has yet to notice that its
    coordinator was killed.
    """
    from lab.run.training import train  # torch comes in where runs happen, not where they are handed out

    while True:
        try:
            spec = parse_spec(work.tree, "the study's run")
            result = train(spec, home)
            if result["status"] == "complete" and work.analyses:
                take(work.analyses, home, spec.identity)
            return Outcome(result)
        except FolderInUse:
            time.sleep(HELD_SECONDS)
        except (UserError, WorkFailed) as error:
            return Outcome(None, str(error))
        except Exception as error:
            return Outcome(None, f"{type(error).__name__}: {error}")
