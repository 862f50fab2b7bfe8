"""Trains runs in this process, one after the other, so that no worker has to be started and a debugger can be used."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from generators.foundation.settings import Settings
from lab.run.spec import RunSpec
from studies.running.executors.attempt import attempt
from studies.running.executors.executor import Analyses, Executor, ExecutorContext, Key, Outcome, RunRequest


class InProcess(Executor[Key]):
    """The executor without workers."""

    summary = "this process, one run after the other"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.waiting: deque[tuple[Key, RunRequest]] = deque()
        self.stopped = False

    @classmethod
    def create(cls, settings: Settings, context: ExecutorContext) -> Self:
        return cls(context.home)

    @property
    def pending(self) -> bool:
        return bool(self.waiting) and not self.stopped

    def submit(self, key: Key, spec: RunSpec, analyses: Analyses = ()) -> None:
        self.waiting.append((key, RunRequest(spec.tree(), analyses)))

    def outcomes(self) -> Iterator[tuple[Key, Outcome]]:
        if self.pending:
            key, request = self.waiting.popleft()
            yield key, attempt(request, self.home)

    def stop(self) -> None:
        self.stopped = True
