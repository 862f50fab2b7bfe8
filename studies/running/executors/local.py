"""Worker processes on this machine, spawned once and kept, one torch thread each.

Each worker has its own pipe, so that the death of one does not affect the others; a `ProcessPoolExecutor` of the
standard library would become unusable.
"""

import multiprocessing
import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from generators.foundation.processes import safe_path
from studies.running.executors.attempt import attempt, attempt_stack
from studies.running.executors.executor import ExecutorContext, Key, RunRequest
from studies.running.executors.workers import Message, WorkerExecutor, WorkerSettings


@dataclass(frozen=True, eq=False)
class LocalWorker:
    """A process and the pipe to it."""

    process: BaseProcess
    pipe: Connection


class LocalWorkers(WorkerExecutor[Key, LocalWorker]):
    """The executor of one machine. Workers share the GPUs if there are more workers than GPUs."""

    summary = "worker processes on this machine"

    def __init__(self, home: Path, count: int, limit_seconds: float | None = None) -> None:
        super().__init__(home, count, limit_seconds)
        self.context = multiprocessing.get_context("spawn")
        self.pipes: dict[Connection, LocalWorker] = {}

    @classmethod
    def create(cls, settings: WorkerSettings, context: ExecutorContext) -> Self:
        return cls(context.home, settings.workers or context.usual_workers, settings.run_limit)

    def start(self) -> LocalWorker:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=serve, args=(theirs, self.home))
        with safe_path():
            resource_tracker.ensure_running()  # otherwise `start` does it, and unblocks Ctrl-C on the way
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited: Ctrl-C is for the coordinator alone
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        theirs.close()
        worker = LocalWorker(process, ours)
        self.pipes[ours] = worker
        return worker

    def send(self, worker: LocalWorker, requests: tuple[RunRequest, ...]) -> None:
        with suppress(OSError):
            worker.pipe.send(requests)

    def receive(self, seconds: float) -> list[tuple[LocalWorker, Message]]:
        messages: list[tuple[LocalWorker, Message]] = []
        for pipe in wait(list(self.pipes), seconds):
            assert isinstance(pipe, Connection)
            worker = self.pipes[pipe]
            try:
                messages.append((worker, pipe.recv()))
            except (EOFError, OSError):
                self.kill(worker)
                messages.append((worker, "died"))
        return messages

    def kill(self, worker: LocalWorker) -> None:
        worker.process.kill()  # the store survives any kill, so a gentler end is not needed
        worker.process.join()
        worker.pipe.close()
        del self.pipes[worker.pipe]


def serve(pipe: Connection, home: Path) -> None:
    """Trains one run or stack after the other in a worker process until the coordinator exits, for whatever reason."""
    sys.stdout = sys.stderr  # standard output is for the answer of the command, whatever tasks and objectives print
    threading.Thread(target=end_with_coordinator, daemon=True).start()
    from tqdm import tqdm

    import lab.run.training  # noqa: F401  # before it is ready, so that the import counts against no run's limit

    tqdm.set_lock(threading.RLock())  # compilers show bars, whose usual lock is a semaphore that a killed worker leaks
    with suppress(EOFError, OSError):
        pipe.send("ready")
        while True:
            requests = pipe.recv()
            pipe.send([attempt(requests[0], home)] if len(requests) == 1 else attempt_stack(requests, home))


def end_with_coordinator() -> None:
    """Ends this process when its coordinator ends, even in the middle of a run, because another coordinator may need
    the run.
    """
    coordinator = multiprocessing.parent_process()
    assert coordinator is not None
    wait([coordinator.sentinel])
    os._exit(1)
