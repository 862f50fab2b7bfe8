"""What a study costs before anything of it runs: runs, floating-point operations, and the time they may take.

Operations are those of matrix products and attention, counted by torch on networks that have shapes and no weights
(`FlopCounterMode` on the meta device), on the targets that real samples of the task have. For a plain transformer that
is the usual 6 N + 12 L D T of a token: N parameters in matrices, of which an unembedding counts once for each head
that reads it, and L layers of width D over T tokens. Operations on numbers one by one are left out, as usual.

Time comes from steps timed on this machine, of the smallest and of the largest cell: seconds of a step are taken to be
linear in its operations. Where the device of the study is not on this machine a stated rate stands in for them.
"""

import math
import statistics
import time
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from generators.foundation.errors import UserError
from generators.table import build_task
from generators.task import Task
from lab.loss.graph import Graph
from lab.model.batches import TensorBatch
from lab.run.assembly import assemble, usable_device
from lab.run.finetuning import meta_network
from lab.run.spec import RunSpec
from lab.run.step import OptimiserStep, deterministic
from lab.run.timing import wait_for
from lab.run.training import training_batches
from studies.declared.study import Cell, Study

FLOPS_RATE = 1e14
"""Operations a second of a device that is not here: about a third of the peak of an A100 in bf16."""
COUNTED_SAMPLES = 4
COUNTED_NETWORKS = 64
"""Networks that are counted; a study of more has the others at the mean of these."""
PROBE_SECONDS = 1.5
PROBE_STEPS = 20
RECORDING_STEPS = 3
"""Steps in which CUDA graphs warm up and record."""


@dataclass(frozen=True)
class Work:
    """Of one run: operations of an optimiser step, its steps, and operations of everything it is evaluated on."""

    step_flops: float
    steps: int
    evaluation_flops: float

    @property
    def flops(self) -> float:
        return self.step_flops * self.steps + self.evaluation_flops


@dataclass(frozen=True)
class Plan:
    """Of a study: its own runs, the runs that those start from, and the operations of both."""

    runs: int
    start_runs: int
    work: list[tuple[RunSpec, Work, int]]
    """A spec of each kind of run, what one of them takes, and how many there are."""
    counted: int
    networks: int

    @property
    def flops(self) -> float:
        return sum(work.flops * count for _, work, count in self.work)


@dataclass(frozen=True)
class Estimate:
    """Seconds of the whole study one run after the other, and what they were estimated from."""

    seconds: float
    basis: str


def plan_of(study: Study) -> Plan:
    """What is going to run. A run that stops early takes less."""
    kinds: dict[str, tuple[RunSpec, int]] = {}
    starts: dict[str, tuple[RunSpec, int]] = {}
    for cell in study.cells:
        spec = study.spec(cell, study.middle, 0)
        key = kind_of_run(spec)
        kinds[key] = spec, kinds.get(key, (spec, 0))[1] + study.tuning_runs + study.seeds
        if spec.start is not None:
            run = spec.start.run
            count = start_runs(study, cell, run)
            name = repr(run) if count == study.declaration.tuning.seeds + study.seeds else f"{cell.label} {run!r}"
            starts[name] = run, count
    grouped = [*kinds.values(), *starts.values()]
    work, counted, networks = works([spec for spec, _ in grouped])
    total = [(spec, each, count) for (spec, count), each in zip(grouped, work, strict=True)]
    return Plan(study.runs, sum(count for _, count in starts.values()), total, counted, networks)


def kind_of_run(spec: RunSpec) -> str:
    """What decides what a run takes: everything but the seed and the rate."""
    training = spec.training.model_copy(update={"learning_rate": 1.0})
    return repr((spec.task, spec.model, spec.objective, training, spec.start))


def start_runs(study: Study, cell: Cell, run: RunSpec) -> int:
    """Runs that a cell's runs start from: one a seed, of tuning too, there for each trial if the start is tuned."""
    elsewhere = {key: span.low for key, span in study.declaration.tuning.search.items()}
    other = study.spec(cell, elsewhere, 0).start
    assert other is not None
    return (study.declaration.tuning.seeds if other.run == run else study.tuning_runs) + study.seeds


def works(specs: list[RunSpec]) -> tuple[list[Work], int, int]:
    """The work of each run; how many different networks were counted, and how many there are."""
    names = [repr((spec.task, spec.model, spec.objective, spec.start)) for spec in specs]
    different = dict(zip(names, specs, strict=True))
    every = max(1, -(-len(different) // COUNTED_NETWORKS))
    per_sample = {name: flops_of_sample(spec) for name, spec in list(different.items())[::every]}
    usual = tuple(statistics.fmean(each) for each in zip(*per_sample.values(), strict=True))
    found = []
    for name, spec in zip(names, specs, strict=True):
        training, forward = per_sample.get(name, usual)
        samples = evaluated_samples(spec, build_task(spec.task))
        found.append(Work(training * spec.training.batch_size, spec.training.steps, forward * samples))
    return found, len(per_sample), len(different)


def flops_of_sample(spec: RunSpec) -> tuple[float, float]:
    """Operations of one sample: forward and backward with every head training, and forward alone.

    Backward is twice forward, for the weights and for what they are multiplied with; nothing below a frozen trunk.
    """
    network, task = meta_network(spec), build_task(spec.task)
    indices = np.arange(COUNTED_SAMPLES)
    drawn = task.batch("train", indices, spec.seed).trimmed()
    batch = TensorBatch.from_batch(drawn, torch.device("meta"), indices)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        latent = network.latent(batch)
        below = counter.get_total_flops()
        for _ in network.terms(latent, batch, Graph()):
            pass
    forward = counter.get_total_flops()
    frozen = below if spec.start is not None and spec.start.freeze == "trunk" else 0
    return (3 * forward - 2 * frozen) / COUNTED_SAMPLES, forward / COUNTED_SAMPLES


def evaluated_samples(spec: RunSpec, task: Task) -> int:
    """Validation at every checkpoint, and every held-out split for the last one and the best."""
    held_out = sum(size for split, size in task.splits.items() if size is not None and split != "train")
    evaluations = -(-spec.training.steps // spec.training.evaluate_every_steps)
    return evaluations * (task.splits["validation"] or 0) + 2 * held_out


def estimate(plan: Plan, rate: float | None, *, probe: bool) -> Estimate | None:
    """Time from timed steps, or from a rate in operations a second; None where neither is wanted.

    A rate that is given replaces the timed steps; FLOPS_RATE does where the device is not on this machine.
    """
    device = plan.work[0][0].training.device
    try:
        usable_device(device)
    except UserError:
        rate = rate or FLOPS_RATE
    if rate is not None:
        return Estimate(plan.flops / rate, f"at {rate:.3g} operations a second on each {device} device")
    if not probe:
        return None
    smallest, largest = (end(plan.work, key=lambda row: row[1].step_flops) for end in (min, max))
    points = [(smallest[1].step_flops, seconds_of_step(smallest[0]))]
    expected = points[0][1] * largest[1].step_flops / smallest[1].step_flops
    if largest[1].step_flops > smallest[1].step_flops and expected < PROBE_SECONDS:
        points.append((largest[1].step_flops, seconds_of_step(largest[0])))
    (low, fast), (high, slow) = points[0], points[-1]
    slope = (slow - fast) / (high - low) if high > low and slow > fast else fast / low
    seconds = sum(
        count * (fast + slope * (work.step_flops - low)) * (work.steps + work.evaluation_flops / work.step_flops)
        for _, work, count in plan.work
    )
    told = " and ".join(f"{1e3 * each:.3g} ms for {flops:.3g} operations" for flops, each in points)
    return Estimate(seconds, f"from steps timed here, one thread: {told}")


def seconds_of_step(spec: RunSpec) -> float:
    """Returns the median seconds of a few real optimiser steps after the first ones, and stores nothing."""
    torch.set_num_threads(1)
    parts = assemble(spec)
    optimiser_step = OptimiserStep(parts.network, spec.training)
    warm_up = RECORDING_STEPS if spec.training.cuda_graphs else 1
    seconds: list[float] = []
    stop = math.inf
    with deterministic(parts.device):
        for step, batch in enumerate(islice(training_batches(parts.task, spec, parts.device, 0), PROBE_STEPS)):
            before = time.perf_counter()
            optimiser_step.take(batch, step)
            wait_for(parts.device)
            after = time.perf_counter()
            seconds.append(after - before)
            if step + 1 == warm_up:
                stop = after + PROBE_SECONDS
            if after > stop:
                break
    return statistics.median(seconds[warm_up:] or seconds)


def spoken(seconds: float) -> str:
    """A duration in the unit people would use."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, round(seconds))} s"
