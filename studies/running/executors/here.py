"""Trains runs in this process, one run or stack after the other: no worker has to start, and a debugger can be used."""

from collections import deque
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Self

from generators.foundation.settings import Settings
from lab.run.spec import RunSpec
from studies.running.executors.attempt import attempt, attempt_stack
from studies.running.executors.executor import Analyses, Executor, ExecutorContext, Key, Outcome, RunRequest
from studies.running.executors.requests import pop_stack, request_of


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
        self.waiting.append((key, request_of(spec, analyses)))

    def outcomes(self) -> Iterator[tuple[Key, Outcome]]:
        if self.pending:
            keys, requests = zip(*pop_stack(self.waiting, itemgetter(1)), strict=True)
            if len(requests) == 1:
                yield keys[0], attempt(requests[0], self.home)
            else:
                yield from zip(keys, attempt_stack(requests, self.home), strict=True)

    def stop(self) -> None:
        self.stopped = True
