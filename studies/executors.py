"""Where runs happen. An executor takes specs and yields results as they end; it touches nothing but run folders."""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from generators.errors import UserError, WorkFailed
from generators.settings import Tree
from lab.spec import RunSpec, parse_spec

Key = TypeVar("Key")


@dataclass(frozen=True)
class Outcome:
    """A run's result, or why there is none."""

    result: Tree | None
    failure: str | None = None


class LocalWorkers(Generic[Key]):
    """Long-lived worker processes on this machine, one thread each. They start with the first run that needs one.

    A context: the workers end with it, at once where it is left by an error or Ctrl-C.
    """

    def __init__(self, home: Path, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.home = home
        self.pool = ProcessPoolExecutor(workers, mp_context=context, initializer=begin, initargs=(os.getpid(),))
        self.pending: dict[Future[Tree], Key] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.shutdown(wait=error is None, cancel_futures=True)
        if error is not None:
            for child in multiprocessing.active_children():
                child.terminate()

    def submit(self, key: Key, spec: RunSpec) -> None:
        """Queue a run; `key` comes back with its outcome."""
        self.pending[self.pool.submit(run, spec.tree(), self.home)] = key

    def outcomes(self) -> Iterator[tuple[Key, Outcome]]:
        """What ended since the last call, once something has.

        Raises:
            WorkFailed: a worker process died; completed runs are kept.
        """
        done, _ = wait(self.pending, return_when=FIRST_COMPLETED)
        for future in done:
            key = self.pending.pop(future)
            try:
                yield key, Outcome(future.result())
            except BrokenProcessPool:
                raise WorkFailed(
                    "a worker process died; completed runs are kept, run the same command to go on"
                ) from None
            except (UserError, WorkFailed) as error:
                yield key, Outcome(None, str(error))
            except Exception as error:  # whatever a run raises is that run's failure, not the study's
                yield key, Outcome(None, f"{type(error).__name__}: {error}")


def begin(parent: int) -> None:
    """Start of a worker: end with the coordinator, however that ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run(tree: Tree, home: Path) -> Tree:
    """One run, in a worker."""
    from lab.training import train

    return train(parse_spec(tree, "the study's run"), home)
