"""A fixed number of long-lived workers, each with one run or stack at a time; one may die, or a run take too long.

A run whose worker died is continued by a new worker from its last checkpoint. A run whose workers died `DEATHS` times
has failed. `local.py` and `ray.py` start the workers and communicate with them.
"""

import time
from abc import abstractmethod
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Generic, Literal, TypeVar

from pydantic import Field

from generators.foundation.settings import Settings
from lab.run.spec import RunSpec
from studies.running.executors.executor import Analyses, Executor, Key, Outcome, RunRequest
from studies.running.executors.requests import count_stacks, pop_stack, request_of

Worker = TypeVar("Worker", bound=Hashable)
Message = list[Outcome] | Literal["ready", "died"]
"""The outcomes of the runs that a worker received, or what else it reports."""

DEATHS = 3
RECEIVE_SECONDS = 1.0
"""The longest wait for a message; limits of runs and stops are checked at this interval."""


class WorkerSettings(Settings):
    """The settings of every executor with workers."""

    workers: int | None = Field(default=None, ge=1, description="number of runs at a time, one thread each")
    run_limit: float | None = Field(default=None, gt=0, description="seconds after which a run is terminated and fails")


@dataclass
class Job(Generic[Key]):
    """A submitted run.

    Attributes:
        deaths: number of workers that died while they trained it.
        started: when a worker received it, in seconds of this machine's monotonic clock.
    """

    key: Key
    request: RunRequest
    deaths: int = 0
    started: float = 0.0


class WorkerExecutor(Executor[Key], Generic[Key, Worker]):
    """An executor with workers, which start with the first runs that need them.

    Args:
        count: maximum number of workers.
        limit_seconds: a run that takes longer is terminated and fails; None for no limit.
    """

    settings = WorkerSettings

    def __init__(self, home: Path, count: int, limit_seconds: float | None = None) -> None:
        self.home, self.count, self.limit_seconds = home, count, limit_seconds
        self.waiting: deque[Job[Key]] = deque()
        self.starting: set[Worker] = set()
        self.idle: list[Worker] = []
        self.running: dict[Worker, list[Job[Key]]] = {}
        self.stopped = False

    @abstractmethod
    def start(self) -> Worker:
        """Starts a worker, which sends "ready" once it can take a run."""

    @abstractmethod
    def send(self, worker: Worker, requests: tuple[RunRequest, ...]) -> None:
        """Sends a run, or several as one stack, to an idle worker, which answers with the outcome of each.

        Does nothing if the worker has died.
        """

    @abstractmethod
    def receive(self, seconds: float) -> list[tuple[Worker, Message]]:
        """Returns the messages of workers as soon as there is one, or nothing after some seconds.

        "died" is the last message of a worker.
        """

    @abstractmethod
    def kill(self, worker: Worker) -> None:
        """Terminates a worker immediately; it sends no further message."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in [*self.starting, *self.idle, *self.running]:
            self.kill(worker)

    @property
    def pending(self) -> bool:
        return bool(self.running or (self.waiting and not self.stopped))

    def submit(self, key: Key, spec: RunSpec, analyses: Analyses = ()) -> None:
        self.waiting.append(Job(key, request_of(spec, analyses)))

    def stop(self) -> None:
        self.stopped = True

    def outcomes(self) -> Iterator[tuple[Key, Outcome]]:
        ended: list[tuple[Key, Outcome]] = []
        while self.pending and not ended:
            self.hand_out()
            for worker, message in self.receive(RECEIVE_SECONDS):
                ended += self.handle(worker, message)
            ended += self._end_overdue_runs()
        yield from ended

    def hand_out(self) -> None:
        """Sends runs to idle workers, and starts workers for the other runs as long as there are fewer than `count`."""
        while self.waiting and self.idle and not self.stopped:
            worker, jobs = self.idle.pop(), pop_stack(self.waiting, attrgetter("request"))
            for job in jobs:
                job.started = time.monotonic()
            self.running[worker] = jobs
            self.send(worker, tuple(job.request for job in jobs))
        room = self.count - len(self.starting) - len(self.idle) - len(self.running)
        needed = count_stacks(job.request for job in self.waiting) - len(self.starting)
        for _ in range(0 if self.stopped else min(room, needed)):
            self.starting.add(self.start())

    def handle(self, worker: Worker, message: Message) -> Iterator[tuple[Key, Outcome]]:
        """Records a message; yields the runs that the message ended, if there are any."""
        self.starting.discard(worker)
        if message == "died":
            yield from self._retry_run_of(worker)
            return
        self.idle.append(worker)
        if isinstance(message, list):
            yield from zip((job.key for job in self.running.pop(worker)), message, strict=True)

    def _retry_run_of(self, worker: Worker) -> Iterator[tuple[Key, Outcome]]:
        """Queues the runs of a dead worker again. A worker that died while it started counts against the next run."""
        if worker in self.idle:
            self.idle.remove(worker)
            return
        jobs = self.running.pop(worker, None) or ([self.waiting.popleft()] if self.waiting else [])
        for job in reversed(jobs):
            job.deaths += 1
            if job.deaths == DEATHS:
                yield job.key, Outcome(None, f"its worker died {DEATHS} times")
            else:
                self.waiting.appendleft(job)

    def _end_overdue_runs(self) -> Iterator[tuple[Key, Outcome]]:
        if self.limit_seconds is None:
            return
        for worker, jobs in list(self.running.items()):
            limit = self.limit_seconds * len(jobs)
            if time.monotonic() - jobs[0].started > limit:
                del self.running[worker]
                self.kill(worker)
                whole = "a run" if len(jobs) == 1 else f"a stack of {len(jobs)} runs"
                for job in jobs:
                    yield job.key, Outcome(None, f"it had not ended after {limit:zg} s, the limit of {whole}")
