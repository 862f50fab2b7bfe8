"""Worker processes that hold contenders: they compile at the same time, and take measured turns one at a time.

Each contender lives in one worker. A worker that dies or does not answer in time is replaced, and its contenders are
lost; the others go on.
"""

import gc
import multiprocessing
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from benchmarks.gpu.ceilings import set_precision
from benchmarks.gpu.contenders import Contender, build_step
from lab.timing import wait_for

STEPS_TO_PREPARE = 3
"""The first step compiles, and CUDA graphs are recorded by the second or the third."""
TURN_SECONDS = 0.03
STEPS_PER_TURN_MAXIMUM = 10
ANSWER_SECONDS = 20.0
REASON_LENGTH = 200
BROKEN_CONTEXT = "CUDA error"
"""Part of the message after which a process can do nothing more on its device."""


class Steps:
    """The contenders of one worker, and what a coordinator may ask of them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.steps: dict[Contender, Callable[[], object]] = {}
        self.step_seconds: dict[Contender, float] = {}

    def prepare(self, contender: Contender) -> float:
        """Builds a contender, takes its first steps and returns the seconds of the first, compilation included."""
        set_precision(contender.precision)
        step = build_step(contender, self.device)
        seconds = [self.timed(step, 1) for _ in range(STEPS_TO_PREPARE)]
        self.steps[contender], self.step_seconds[contender] = step, seconds[-1]
        self.free_cache()
        return seconds[0]

    def turn(self, contender: Contender) -> float:
        """Returns the seconds per step of a few steps in a row, after one that warms up."""
        step = self.steps[contender]
        set_precision(contender.precision)
        self.timed(step, 1)
        count = max(1, min(STEPS_PER_TURN_MAXIMUM, round(TURN_SECONDS / self.step_seconds[contender])))
        seconds = self.timed(step, count) / count
        self.step_seconds[contender] = seconds
        self.free_cache()
        return seconds

    def run(self, contender: Contender, end: float) -> tuple[int, float]:
        """Takes steps until `time.time()` is `end`; returns their number and the seconds that they took."""
        step, count, before = self.steps[contender], 0, time.perf_counter()
        while time.time() < end:
            step()
            count += 1
            if count % 8 == 0:
                wait_for(self.device)
        wait_for(self.device)
        return count, time.perf_counter() - before

    def drop(self) -> None:
        """Forgets all contenders, their compiled code and their memory."""
        self.steps.clear()
        self.step_seconds.clear()
        torch._dynamo.reset()
        gc.collect()
        self.free_cache()

    def timed(self, step: Callable[[], object], count: int) -> float:
        """Returns the seconds of `count` steps, until the device has done them."""
        before = time.perf_counter()
        for _ in range(count):
            step()
        wait_for(self.device)
        return time.perf_counter() - before

    def free_cache(self) -> None:
        """Returns cached memory to the card, for the other workers."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def serve(pipe: Connection, device: str) -> None:
    """Answers requests (method, arguments) with (value, None) or (None, reason) until the coordinator ends."""
    torch.set_num_threads(1)
    steps = Steps(torch.device(device))
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        answer: tuple[Any, str | None]
        try:
            answer = getattr(steps, method)(*arguments), None
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0][:REASON_LENGTH]
            answer = None, f"{type(error).__name__}: {reason}"
        pipe.send(answer)


@dataclass(eq=False)
class Worker:
    """A process, the pipe to it, and the contenders that it holds."""

    process: BaseProcess
    pipe: Connection
    contenders: set[Contender] = field(default_factory=set)


class Pool:
    """Several workers on one device."""

    def __init__(self, device: str, count: int) -> None:
        self.device = device
        self.context = multiprocessing.get_context("spawn")
        self.workers = [self.start() for _ in range(count)]
        self.homes: dict[Contender, Worker] = {}

    def start(self) -> Worker:
        """Starts a worker."""
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=serve, args=(theirs, self.device), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours)

    def prepare(self, contenders: Iterable[Contender], seconds: float) -> dict[Contender, float | str]:
        """Prepares contenders at the same time, at most `seconds` long.

        Returns:
            The seconds of the first step of each contender, or the reason why it has none.
        """
        end = time.time() + seconds
        waiting = []
        for index, contender in enumerate(contenders):
            worker = self.workers[index % len(self.workers)]
            waiting.append((contender, worker))
            self.send(worker, "prepare", contender)
        firsts: dict[Contender, float | str] = {}
        for contender, worker in waiting:
            value, reason = self.answer(worker, end - time.time())
            firsts[contender] = value if reason is None else reason
            if reason is None:
                self.homes[contender] = worker
        return firsts

    def turn(self, contender: Contender) -> float:
        """Returns the seconds per step of one turn of a contender; NaN if it has failed."""
        values = self.run([contender], "turn", ANSWER_SECONDS)
        return values[0] if values else float("nan")

    def run_together(self, contenders: list[Contender], seconds: float) -> float:
        """Returns the steps per second of contenders of different workers that run at the same time."""
        values = self.run(contenders, "run", seconds + ANSWER_SECONDS, time.time() + seconds)
        return float(sum(count / taken for count, taken in values))

    def run(self, contenders: list[Contender], method: str, seconds: float, *arguments: Any) -> list[Any]:
        """Calls a method of contenders at the same time and returns the values of those that have not failed."""
        able = [contender for contender in contenders if contender in self.homes]
        for contender in able:
            self.send(self.homes[contender], method, contender, *arguments)
        answers = []
        for contender in able:
            value, reason = self.answer(self.homes[contender], seconds)
            if reason is None:
                answers.append(value)
            else:
                print(f"{contender}: {reason}", flush=True)
                self.homes.pop(contender, None)
        return answers

    def drop(self) -> None:
        """Forgets all contenders."""
        for worker in self.workers:
            self.send(worker, "drop")
        for worker in list(self.workers):
            self.answer(worker, ANSWER_SECONDS)
        self.homes.clear()

    def send(self, worker: Worker, method: str, *arguments: Any) -> None:
        """Sends a request; a dead worker is noticed when its answer is read."""
        with suppress(OSError):
            worker.pipe.send((method, arguments))

    def answer(self, worker: Worker, seconds: float) -> tuple[Any, str | None]:
        """Returns the next answer of a worker; one that died, is too late or has lost its device is replaced."""
        try:
            if worker.pipe.poll(max(0.0, seconds)):
                value, failure = worker.pipe.recv()
                if failure is None or BROKEN_CONTEXT not in failure:
                    return value, failure
                reason = failure
            else:
                reason = "no answer in time"
        except (EOFError, OSError):
            reason = "its process died"
        if worker in self.workers:
            worker.process.kill()
            worker.process.join()
            self.workers[self.workers.index(worker)] = self.start()
            self.homes = {contender: home for contender, home in self.homes.items() if home is not worker}
        return None, reason

    def close(self) -> None:
        """Ends all workers."""
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()
