"""Measures the time and memory of a sweep's coordinator, excluding training, in three cases.

    python -m benchmarks.sweeps stored      time and peak memory of commands that read a finished study
    python -m benchmarks.sweeps overhead    1,000 runs of one step on two workers: the time in addition to training
    python -m benchmarks.sweeps workers     runs per second of two workers relative to those of one

Stored runs are written by an executor that trains nothing. Every number is measured in a process of its own.
Results are in docs/clusters.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from generators.foundation.settings import Tree
from lab.run.spec import RunSpec, parse_spec
from lab.run.store import METRICS, TIMING, RunFolder
from studies.declared.loading import declare
from studies.ledger.declared_study import find_study
from studies.running.cell_runs import RunEvent
from studies.running.executors import local
from studies.running.executors.executor import Outcome
from studies.running.executors.here import InProcess
from studies.running.executors.local import LocalWorkers
from studies.running.sweep import Sweep

RUNS_A_CELL = 10
STUDY = """
title = "Many small runs"
question = "What does a run cost apart from its training?"
paper = "none"
seeds = 5
[base.task]
kind = "induction"
characters = 3
name_parts = 6
length_tokens = 24
validation_samples = 8
test_samples = 8
[base.model]
width = 8
layers = 3
attention_heads = 1
[base.objective]
kind = "multi_token"
[base.training]
steps = {steps}
batch_size = {batch}
learning_rate = 0.01
evaluate_every_steps = {steps}
[factors]
"objective.n" = [1, 2]
"training.weight_decay" = {levels}
[tuning]
trials = 5
search."training.learning_rate" = {{ low = 0.001, high = 0.1 }}
[[claims]]
name = "helps"
text = "Two are better than one."
paper = "none"
kind = "difference"
factor = "objective.n"
treatment = 2
control = 1
where = {{ "training.weight_decay" = "first" }}
[scales.cpu]
summary = "a measurement"
"""


def write_study(place: Path, runs: int, steps: int = 1, batch: int = 1) -> Path:
    path = place / "many.toml"
    levels = [round(0.001 * (level + 1), 3) for level in range(runs // RUNS_A_CELL // 2)]
    path.write_text(STUDY.format(steps=steps, batch=batch, levels=levels))
    return path


class UntrainedRuns(InProcess[Any]):
    """Writes run folders of plausible size and trains nothing."""

    def outcomes(self) -> Any:
        key, request = self.waiting.popleft()
        yield key, Outcome(self.write_run(parse_spec(request.tree, "a run without training")))

    def write_run(self, spec: RunSpec) -> Tree:
        folder = RunFolder(self.home, spec.identity)
        score = int(spec.identity[:6], 16) / 16**6
        metrics = {"loss/head1": 2.0, "loss": 2.5, "accuracy": score, "shortcut/name_before": 0.1}
        with folder.locked(spec):
            folder.write_environment(spec)
            for split in ("train", "validation"):
                folder.append(METRICS, {"step": 1, "split": split, **metrics})
            folder.append(TIMING, {"step": 1, "train_seconds": 0.01, "evaluate_seconds": 0.01})
            scores = {checkpoint: {"validation": metrics, "test": metrics} for checkpoint in ("last", "best")}
            result = {"status": "complete", "steps": 1, "best_step": 1, "scores": scores, "parameters": {"trunk": 1000}}
            folder.write_result(result)
        return result


def write_runs(study: Path, home: Path) -> None:
    os.fsync = lambda file: None  # type: ignore[assignment]  # nothing here has to survive a power cut
    Sweep(declare(str(study), "cpu", []), home, lambda event: None).run(UntrainedRuns(home))


def read_frames(study: Path, home: Path) -> None:
    from studies.reading.results import read_results

    read = find_study(home, study.stem, None)
    before, processor_before = time.perf_counter(), time.process_time()
    results = read_results(home, read)
    seconds = {"seconds": time.perf_counter() - before, "processor_seconds": time.process_time() - processor_before}
    print(json.dumps({**seconds, "rows": len(results.runs)}))


def measure(command: list[str]) -> tuple[str, float, str]:
    """Returns the wall-clock and CPU seconds of a process, its peak memory in MB, and its output."""
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    seconds = f"{time.perf_counter() - before:.1f} ({usage.ru_utime + usage.ru_stime:.1f})"
    return seconds, usage.ru_maxrss / 1024, output


def stored(sizes: list[int]) -> None:
    """Prints the costs of commands that read a finished study."""
    python = [sys.executable, "-m"]
    print("seconds by the clock (of processor time), peak MB; frames: without starting Python and without its imports")
    print("runs     written         status               frames               run again")
    for runs in sizes:
        with tempfile.TemporaryDirectory() as name:
            home = Path(name) / "home"
            study = write_study(Path(name), runs)
            written, _, _ = measure([*python, "benchmarks.sweeps", "make", str(study), str(home)])
            status = measure([*python, "lab", "study", "status", "many", "--home", str(home), "--json"])
            tidy = measure([*python, "benchmarks.sweeps", "frames", str(study), str(home)])
            repeated = measure([*python, "lab", "study", "run", str(study), "--home", str(home), "--json"])
            assert json.loads(repeated[2])["trained"] == 0
            within = json.loads(tidy[2])
            assert within["rows"] == runs
            tidied = f"{within['seconds']:.1f} ({within['processor_seconds']:.1f})"
            columns = [
                f"{text:<14}{size:<7.0f}" for text, size in ((status[0], status[1]), (tidied, tidy[1]), repeated[:2])
            ]
            print(f"{runs:<9,}{written:<16}{''.join(columns)}", flush=True)


def timed_serve(pipe: Connection, home: Path) -> None:
    """Serves as a worker whose results hold the seconds inside `train`."""
    from lab.run import training

    plain: Callable[..., Tree] = training.train

    def train(spec: RunSpec, home: Path) -> Tree:
        before = time.perf_counter()
        result = plain(spec, home)
        return {**result, "inside": time.perf_counter() - before}

    training.train = train  # type: ignore[assignment]
    PLAIN_SERVE(pipe, home)


PLAIN_SERVE = local.serve


class TimedWorkers(LocalWorkers[Any]):
    """Adds up the seconds inside `train` and notes when the first run ended."""

    inside = 0.0
    first = 0.0

    def outcomes(self) -> Any:
        for key, outcome in super().outcomes():
            assert outcome.result is not None, outcome.failure
            self.inside += outcome.result.pop("inside")
            self.first = self.first or time.perf_counter()
            yield key, outcome


def time_sweep(runs: int, workers: int, steps: int, batch: int) -> tuple[float, float, float]:
    """Returns the seconds of a sweep, those after its first run ended, and the sum of seconds inside `train`."""
    local.serve = timed_serve
    with tempfile.TemporaryDirectory() as name:
        study = declare(str(write_study(Path(name), runs, steps, batch)), "cpu", [])
        executor = TimedWorkers(Path(name) / "home", workers)
        events: list[RunEvent] = []
        before = time.perf_counter()
        Sweep(study, Path(name) / "home", events.append).run(executor)
        after = time.perf_counter()
        assert len(events) == study.runs == runs
        return after - before, after - executor.first, executor.inside


def overhead(runs: int, workers: int = 2) -> None:
    """Prints the time that a run takes in addition to its training."""
    seconds, _, inside = time_sweep(runs, workers, steps=1, batch=1)
    milliseconds = 1000 * (seconds * workers - inside) / runs
    print(f"{runs} runs of one step on {workers} workers: {seconds:.1f} s, {1000 * inside / runs:.1f} ms inside train")
    print(f"overhead {milliseconds:.1f} ms per run; load {os.getloadavg()[0]:.1f}")


def two_workers(runs: int) -> None:
    """Prints the throughput of one worker and of two."""
    rates = []
    for workers in (1, 2):
        _, seconds, _ = time_sweep(runs, workers, steps=150, batch=16)
        rates.append((runs - 1) / seconds)
        print(f"{workers} workers: {rates[-1]:.2f} runs per second; load {os.getloadavg()[0]:.1f}", flush=True)
    print(f"ratio {rates[1] / rates[0]:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurement", choices=["stored", "overhead", "workers", "make", "frames"])
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--runs", type=int)
    arguments = parser.parse_args()
    if arguments.measurement == "stored":
        stored([arguments.runs] if arguments.runs else [100, 1_000, 10_000])
    elif arguments.measurement == "overhead":
        overhead(arguments.runs or 1_000)
    elif arguments.measurement == "workers":
        two_workers(arguments.runs or 60)
    else:
        {"make": write_runs, "frames": read_frames}[arguments.measurement](*arguments.paths)
