"""What the coordinator of a sweep costs, apart from training: many stored runs, many short ones, two workers.

    python -m benchmarks.sweeps stored      time and peak memory of what reads a finished study
    python -m benchmarks.sweeps overhead    1,000 runs of one step on two workers: what is not training
    python -m benchmarks.sweeps workers     runs a second of two workers over those of one

Stored runs are made by an executor that trains nothing and writes what a run leaves. Every figure is of a process of
its own. Results are in docs/clusters.md.
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
from studies.declared.loading import load
from studies.ledger.declared_study import find_study
from studies.running.executors import local
from studies.running.executors.executor import Outcome
from studies.running.executors.here import InProcess
from studies.running.executors.local import LocalWorkers
from studies.running.sweep import RunEvent, Sweep

RUNS_A_CELL = 10
STUDY = """
title = "Many small runs"
question = "What does a run cost beside its training?"
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


class Stub(InProcess[Any]):
    """Writes what a run leaves, of plausible size, and trains nothing."""

    def outcomes(self) -> Any:
        key, request = self.waiting.popleft()
        yield key, Outcome(self.made(parse_spec(request.tree, "a stub run")))

    def made(self, spec: RunSpec) -> Tree:
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


def make(study: Path, home: Path) -> None:
    os.fsync = lambda file: None  # type: ignore[assignment]  # nothing here has to survive a power cut
    Sweep(load(str(study), "cpu", []), home, lambda event: None).run(Stub(home))


def frames(study: Path, home: Path) -> None:
    from reports.frames.results import read_results

    read = find_study(home, study.stem, None)
    before, processor_before = time.perf_counter(), time.process_time()
    results = read_results(home, read)
    seconds = {"seconds": time.perf_counter() - before, "processor_seconds": time.process_time() - processor_before}
    print(json.dumps({**seconds, "rows": len(results.runs)}))


def measured(command: list[str]) -> tuple[str, float, str]:
    """Seconds of a process, by the clock and of processor time, its peak MB, and what it printed."""
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    seconds = f"{time.perf_counter() - before:.1f} ({usage.ru_utime + usage.ru_stime:.1f})"
    return seconds, usage.ru_maxrss / 1024, said


def stored(sizes: list[int]) -> None:
    """The table of what reads a finished study."""
    python = [sys.executable, "-m"]
    print("seconds by the clock (of processor time), peak MB; frames: without starting Python and without its imports")
    print("runs     made            status               frames               run again")
    for runs in sizes:
        with tempfile.TemporaryDirectory() as name:
            home = Path(name) / "home"
            study = write_study(Path(name), runs)
            made, _, _ = measured([*python, "benchmarks.sweeps", "make", str(study), str(home)])
            status = measured([*python, "lab", "study", "status", "many", "--home", str(home), "--json"])
            tidy = measured([*python, "benchmarks.sweeps", "frames", str(study), str(home)])
            again = measured([*python, "lab", "study", "run", str(study), "--home", str(home), "--json"])
            assert json.loads(again[2])["trained"] == 0
            within = json.loads(tidy[2])
            assert within["rows"] == runs
            tidied = f"{within['seconds']:.1f} ({within['processor_seconds']:.1f})"
            columns = [
                f"{text:<14}{size:<7.0f}" for text, size in ((status[0], status[1]), (tidied, tidy[1]), again[:2])
            ]
            print(f"{runs:<9,}{made:<16}{''.join(columns)}", flush=True)


def timed_serve(pipe: Connection, home: Path) -> None:
    """A worker whose results say how long `train` took."""
    from lab.run import training

    plain: Callable[..., Tree] = training.train

    def train(spec: RunSpec, home: Path) -> Tree:
        before = time.perf_counter()
        result = plain(spec, home)
        return {**result, "inside": time.perf_counter() - before}

    training.train = train  # type: ignore[assignment]
    PLAIN_SERVE(pipe, home)


PLAIN_SERVE = local.serve


class Timed(LocalWorkers[Any]):
    """Adds up what runs took inside `train`, and when the first one ended."""

    inside = 0.0
    first = 0.0

    def outcomes(self) -> Any:
        for key, outcome in super().outcomes():
            assert outcome.result is not None, outcome.failure
            self.inside += outcome.result.pop("inside")
            self.first = self.first or time.perf_counter()
            yield key, outcome


def swept(runs: int, workers: int, steps: int, batch: int) -> tuple[float, float, float]:
    """Seconds of a sweep, of it from the first end on, and the seconds inside `train` added up."""
    local.serve = timed_serve
    with tempfile.TemporaryDirectory() as name:
        study = load(str(write_study(Path(name), runs, steps, batch)), "cpu", [])
        executor = Timed(Path(name) / "home", workers)
        events: list[RunEvent] = []
        before = time.perf_counter()
        Sweep(study, Path(name) / "home", events.append).run(executor)
        after = time.perf_counter()
        assert len(events) == study.runs == runs
        return after - before, after - executor.first, executor.inside


def overhead(runs: int, workers: int = 2) -> None:
    """What a run costs beside its training."""
    seconds, _, inside = swept(runs, workers, steps=1, batch=1)
    each = 1000 * (seconds * workers - inside) / runs
    print(f"{runs} runs of one step on {workers} workers: {seconds:.1f} s, {1000 * inside / runs:.1f} ms inside train")
    print(f"overhead {each:.1f} ms a run; load {os.getloadavg()[0]:.1f}")


def two_workers(runs: int) -> None:
    """Throughput of one and of two."""
    rates = []
    for workers in (1, 2):
        _, seconds, _ = swept(runs, workers, steps=150, batch=16)
        rates.append((runs - 1) / seconds)
        print(f"{workers} workers: {rates[-1]:.2f} runs a second; load {os.getloadavg()[0]:.1f}", flush=True)
    print(f"ratio {rates[1] / rates[0]:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["stored", "overhead", "workers", "make", "frames"])
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--runs", type=int)
    given = parser.parse_args()
    if given.what == "stored":
        stored([given.runs] if given.runs else [100, 1_000, 10_000])
    elif given.what == "overhead":
        overhead(given.runs or 1_000)
    elif given.what == "workers":
        two_workers(given.runs or 60)
    else:
        {"make": make, "frames": frames}[given.what](*given.paths)
