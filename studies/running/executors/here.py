"""Runs in this process, one after the other: nothing to start, and a debugger sees all of it."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Generic, Self

from lab.run.spec import RunSpec
from studies.running.executors.executor import Key, Outcome, Work, attempt


class Here(Generic[Key]):
    """The executor without workers."""

    count = 1

    def __init__(self, home: Path) -> None:
        self.home = home
        self.waiting: deque[tuple[Key, Work]] = deque()
        self.stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    @property
    def pending(self) -> bool:
        return bool(self.waiting) and not self.stopped

    def submit(self, key: Key, spec: RunSpec, analyses: tuple[tuple[str, str], ...] = ()) -> None:
        self.waiting.append((key, Work(spec.tree(), analyses)))

    def outcomes(self) -> Iterator[tuple[Key, Outcome]]:
        if self.pending:
            key, work = self.waiting.popleft()
            yield key, attempt(work, self.home)

    def stop(self) -> None:
        self.stopped = True
