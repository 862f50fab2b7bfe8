"""Worker processes on this machine, spawned once and kept, one torch thread each.

Each has a pipe of its own: the death of one is then that one's alone, where an executor of the standard library
breaks as a whole.
"""

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from studies.running.executors.executor import Key, Work, attempt
from studies.running.executors.workers import Message, Workers


@dataclass(frozen=True, eq=False)
class LocalWorker:
    """A process and the pipe to it."""

    process: BaseProcess
    pipe: Connection


class LocalWorkers(Workers[Key, LocalWorker]):
    """The executor of one machine. Several workers share a GPU where there are more of them than GPUs."""

    def __init__(self, home: Path, count: int, limit_seconds: float | None = None) -> None:
        super().__init__(home, count, limit_seconds)
        self.context = multiprocessing.get_context("spawn")
        self.pipes: dict[Connection, LocalWorker] = {}

    def start(self) -> LocalWorker:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=serve, args=(theirs, self.home))
        resource_tracker.ensure_running()  # else `start` does it, and unblocks Ctrl-C on the way
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited: Ctrl-C is for the coordinator alone
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        theirs.close()
        worker = LocalWorker(process, ours)
        self.pipes[ours] = worker
        return worker

    def hand(self, worker: LocalWorker, work: Work) -> None:
        with suppress(OSError):
            worker.pipe.send(work)

    def listen(self, seconds: float) -> list[tuple[LocalWorker, Message]]:
        heard: list[tuple[LocalWorker, Message]] = []
        for pipe in wait(list(self.pipes), seconds):
            assert isinstance(pipe, Connection)
            worker = self.pipes[pipe]
            try:
                heard.append((worker, pipe.recv()))
            except (EOFError, OSError):
                self.kill(worker)
                heard.append((worker, "died"))
        return heard

    def kill(self, worker: LocalWorker) -> None:
        worker.process.kill()  # a store that survives any kill needs no gentler end
        worker.process.join()
        worker.pipe.close()
        del self.pipes[worker.pipe]


def serve(pipe: Connection, home: Path) -> None:
    """The life of a worker: run after run, until the coordinator ends, however that ends."""
    threading.Thread(target=end_with_the_coordinator, daemon=True).start()
    import lab.run.training  # noqa: F401  # before it is ready, so that no run's limit pays for it

    with suppress(EOFError, OSError):
        pipe.send("ready")
        while True:
            pipe.send(attempt(pipe.recv(), home))


def end_with_the_coordinator() -> None:
    """Also in the middle of a run: another coordinator may want it."""
    coordinator = multiprocessing.parent_process()
    assert coordinator is not None
    wait([coordinator.sentinel])
    os._exit(1)
