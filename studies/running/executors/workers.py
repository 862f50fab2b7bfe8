"""A fixed number of long-lived workers, each with one run at a time; a worker may die, and a run may take too long.

A run whose worker died is taken up again by a new one, from its last checkpoint. What dies `DEATHS` times is no
accident any more. Where workers come from, and how one is spoken to, is `local.py`'s and `ray.py`'s affair.
"""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar

from lab.run.spec import RunSpec
from studies.running.executors.executor import Key, Outcome, Work

Worker = TypeVar("Worker", bound=Hashable)
Message = Outcome | Literal["ready", "died"]

DEATHS = 3
LISTEN_SECONDS = 1.0
"""The longest wait for a message: so often is the clock looked at, and whether the sweep was stopped."""


@dataclass
class Job(Generic[Key]):
    """A run on its way. started: when a worker got it, on this machine's monotonic clock."""

    key: Key
    work: Work
    deaths: int = 0
    started: float = 0.0


class Workers(ABC, Generic[Key, Worker]):
    """The executor with workers; they start with the first runs that need them.

    Args:
        count: of workers.
        limit_seconds: a run that takes longer, or hangs, is ended and has failed; no limit where None.
    """

    def __init__(self, home: Path, count: int, limit_seconds: float | None = None) -> None:
        self.home, self.count, self.limit_seconds = home, count, limit_seconds
        self.waiting: deque[Job[Key]] = deque()
        self.starting: set[Worker] = set()
        self.idle: list[Worker] = []
        self.running: dict[Worker, Job[Key]] = {}
        self.stopped = False

    @abstractmethod
    def start(self) -> Worker:
        """A new worker, which says "ready" once it is."""

    @abstractmethod
    def hand(self, worker: Worker, work: Work) -> None:
        """Give an idle worker a run; it answers with an Outcome. One that has died meanwhile is no error here."""

    @abstractmethod
    def listen(self, seconds: float) -> list[tuple[Worker, Message]]:
        """What workers said, as soon as one has, or nothing after so many seconds. "died" is a worker's last word."""

    @abstractmethod
    def kill(self, worker: Worker) -> None:
        """End a worker at once; nothing more is heard of it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in [*self.starting, *self.idle, *self.running]:
            self.kill(worker)

    @property
    def pending(self) -> bool:
        return bool(self.running or (self.waiting and not self.stopped))

    def submit(self, key: Key, spec: RunSpec, analyses: tuple[tuple[str, str], ...] = ()) -> None:
        self.waiting.append(Job(key, Work(spec.tree(), analyses)))

    def stop(self) -> None:
        self.stopped = True

    def outcomes(self) -> Iterator[tuple[Key, Outcome]]:
        ended: list[tuple[Key, Outcome]] = []
        while self.pending and not ended:
            self._hand_out()
            for worker, message in self.listen(LISTEN_SECONDS):
                ended += self._heard(worker, message)
            ended += self._too_long()
        yield from ended

    def _hand_out(self) -> None:
        """Runs to workers, and a worker more for each run that has none, as far as there is room."""
        while self.waiting and self.idle and not self.stopped:
            worker, job = self.idle.pop(), self.waiting.popleft()
            job.started = time.monotonic()
            self.running[worker] = job
            self.hand(worker, job.work)
        room = self.count - len(self.starting) - len(self.idle) - len(self.running)
        for _ in range(0 if self.stopped else min(room, len(self.waiting) - len(self.starting))):
            self.starting.add(self.start())

    def _heard(self, worker: Worker, message: Message) -> Iterator[tuple[Key, Outcome]]:
        self.starting.discard(worker)
        if message == "died":
            yield from self._died(worker)
            return
        self.idle.append(worker)
        if isinstance(message, Outcome):
            yield self.running.pop(worker).key, message

    def _died(self, worker: Worker) -> Iterator[tuple[Key, Outcome]]:
        """Take its run up again. A worker that died on its way to the first one counts against the next."""
        if worker in self.idle:
            self.idle.remove(worker)
            return
        job = self.running.pop(worker, None) or (self.waiting.popleft() if self.waiting else None)
        if job is None:
            return
        job.deaths += 1
        if job.deaths == DEATHS:
            yield job.key, Outcome(None, f"its worker died {DEATHS} times")
        else:
            self.waiting.appendleft(job)

    def _too_long(self) -> Iterator[tuple[Key, Outcome]]:
        if self.limit_seconds is None:
            return
        for worker, job in list(self.running.items()):
            if time.monotonic() - job.started > self.limit_seconds:
                del self.running[worker]
                self.kill(worker)
                yield job.key, Outcome(None, f"it had not ended after {self.limit_seconds:g} s, the limit of a run")
