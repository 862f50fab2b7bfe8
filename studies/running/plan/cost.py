"""The cost of a study before it runs: its runs, their floating-point operations, and an estimate of the time.

Operations are those of matrix products and attention (`lab.bench.operations`).

Time comes from steps timed on this machine, of the smallest and of the largest cell; the seconds of a step are taken to
be linear in its operations. If this machine lacks the study's device, steps that were measured on a named GPU replace
them for CUDA, and an assumed rate for other devices.
"""

import math
import statistics
import time
from dataclasses import dataclass
from itertools import islice

import torch

from generators.foundation.errors import UserError
from generators.table import build_task
from generators.task import Task
from lab.bench.operations import flops_of_sample
from lab.run.assembly import assemble, usable_device
from lab.run.spec import RunSpec
from lab.run.step import OptimiserStep, deterministic
from lab.run.training_data import training_batches
from lab.timing import wait_for
from studies.declared.study import Cell, Study

FLOPS_RATE = 1e14
"""Operations per second assumed for a device other than CUDA that this machine lacks."""
COUNTED_NETWORKS = 64
"""Networks whose operations are counted at most; those of a study's other networks are set to the mean."""
PROBE_SECONDS = 1.5
PROBE_STEPS = 20
RECORDING_STEPS = 3
"""Steps in which CUDA graphs warm up and record."""


@dataclass(frozen=True)
class RunCost:
    """The operations of one run: operations per optimiser step times steps, plus the operations of all evaluations."""

    step_flops: float
    steps: int
    evaluation_flops: float

    @property
    def flops(self) -> float:
        """The operations of the whole run."""
        return self.step_flops * self.steps + self.evaluation_flops

    @property
    def steps_with_evaluation(self) -> float:
        """The steps of the run, and those that its evaluations are worth in operations."""
        return self.steps + self.evaluation_flops / self.step_flops


@dataclass(frozen=True)
class GroupCost:
    """`count` runs that differ in nothing that changes their cost; `spec` is one of them."""

    spec: RunSpec
    run: RunCost
    count: int


@dataclass(frozen=True)
class StudyPlan:
    """The runs of a study, the runs that those start from, and the cost of both.

    Attributes:
        counted: number of networks whose operations were counted, out of `networks` different ones.
    """

    runs: int
    start_runs: int
    groups: list[GroupCost]
    counted: int
    networks: int

    @property
    def flops(self) -> float:
        """The operations of all runs."""
        return sum(group.run.flops * group.count for group in self.groups)


@dataclass(frozen=True)
class TimeEstimate:
    """Seconds of a whole study, one run after the other, and what they were estimated from."""

    seconds: float
    basis: str


def plan_study(study: Study) -> StudyPlan:
    """Counts the runs of a study and their operations. A run that stops early costs less."""
    groups: dict[str, tuple[RunSpec, int]] = {}
    starts: dict[str, tuple[RunSpec, int]] = {}
    for cell in study.cells:
        spec = study.spec(cell, study.middle, 0)
        key = cost_key(spec)
        groups[key] = spec, groups.get(key, (spec, 0))[1] + study.tuning_runs + study.seeds
        if spec.start is not None:
            run = spec.start.run
            count = start_runs(study, cell, run)
            name = repr(run) if count == study.declaration.tuning.seeds + study.seeds else f"{cell.label} {run!r}"
            starts[name] = run, count
    grouped = [*groups.values(), *starts.values()]
    costs, counted, networks = costs_of([spec for spec, _ in grouped])
    priced = [GroupCost(spec, cost, count) for (spec, count), cost in zip(grouped, costs, strict=True)]
    return StudyPlan(study.runs, sum(count for _, count in starts.values()), priced, counted, networks)


def cost_key(spec: RunSpec) -> str:
    """Returns everything that decides what a run costs: all of its spec but the seed and the learning rate."""
    training = spec.training.model_copy(update={"learning_rate": 1.0})
    return repr((spec.task, spec.model, spec.objective, training, spec.start))


def start_runs(study: Study, cell: Cell, run: RunSpec) -> int:
    """Counts the runs that a cell's runs start from: one per seed, or one per trial and seed if the start is tuned
    too."""
    elsewhere = {key: span.low for key, span in study.declaration.tuning.search.items()}
    other = study.spec(cell, elsewhere, 0).start
    assert other is not None
    return (study.declaration.tuning.seeds if other.run == run else study.tuning_runs) + study.seeds


def costs_of(specs: list[RunSpec]) -> tuple[list[RunCost], int, int]:
    """Counts the operations of runs.

    Returns:
        the cost of each run; the number of networks that were counted; the number of different networks.
    """
    names = [repr((spec.task, spec.model, spec.objective, spec.start)) for spec in specs]
    different = dict(zip(names, specs, strict=True))
    every = max(1, -(-len(different) // COUNTED_NETWORKS))
    per_sample = {name: flops_of_sample(spec) for name, spec in list(different.items())[::every]}
    means = tuple(statistics.fmean(flops) for flops in zip(*per_sample.values(), strict=True))
    costs = []
    for name, spec in zip(names, specs, strict=True):
        training, forward = per_sample.get(name, means)
        samples = evaluated_samples(spec, build_task(spec.task))
        costs.append(RunCost(training * spec.training.batch_size, spec.training.steps, forward * samples))
    return costs, len(per_sample), len(different)


def evaluated_samples(spec: RunSpec, task: Task) -> int:
    """Counts the samples a run is evaluated on: validation at every checkpoint, and all held-out splits at two
    checkpoints.
    """
    held_out = sum(size for split, size in task.splits.items() if size is not None and split != "train")
    evaluations = -(-spec.training.steps // spec.training.evaluate_every_steps)
    return evaluations * (task.splits["validation"] or 0) + 2 * held_out


def estimate_time(plan: StudyPlan, rate: float | None, *, probe: bool) -> TimeEstimate | None:
    """Estimates the time of a study from timed steps, or from a rate.

    Args:
        rate: operations per second, used instead of timed steps.
        probe: whether to time steps; without timed steps and without a rate there is no estimate, unless this machine
            lacks the device.
    """
    device = plan.groups[0].spec.training.device
    try:
        usable_device(device)
    except UserError:
        if rate is None and device.partition(":")[0] == "cuda":
            return time_on_card(plan)
        rate = rate or FLOPS_RATE
    if rate is not None:
        return TimeEstimate(plan.flops / rate, f"at {rate:z.3g} operations per second on each {device} device")
    if not probe:
        return None
    smallest, largest = (end(plan.groups, key=lambda group: group.run.step_flops) for end in (min, max))
    points = [(smallest.run.step_flops, seconds_of_step(smallest.spec))]
    expected = points[0][1] * largest.run.step_flops / smallest.run.step_flops
    if largest.run.step_flops > smallest.run.step_flops and expected < PROBE_SECONDS:
        points.append((largest.run.step_flops, seconds_of_step(largest.spec)))
    (low, fast), (high, slow) = points[0], points[-1]
    slope = (slow - fast) / (high - low) if high > low and slow > fast else fast / low
    seconds = 0.0
    for group in plan.groups:
        seconds += group.count * (fast + slope * (group.run.step_flops - low)) * group.run.steps_with_evaluation
    measured = " and ".join(
        f"{1e3 * time_of_step:z.3g} ms for {flops:z.3g} operations" for flops, time_of_step in points
    )
    return TimeEstimate(seconds, f"from steps timed here, one thread: {measured}")


def time_on_card(plan: StudyPlan) -> TimeEstimate:
    """Estimates the time of a study on the card of `studies.running.plan.measured_steps`."""
    from studies.running.plan.measured_steps import CARD, RUN_SECONDS, compiling_seconds, measured_seconds

    seconds = 0.0
    for group in plan.groups:
        step = measured_seconds(group.spec, group.run.step_flops)
        seconds += group.count * (step * group.run.steps_with_evaluation + RUN_SECONDS) + compiling_seconds(group.spec)
    return TimeEstimate(seconds, f"from steps measured on {CARD}, one process")


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


def duration_text(seconds: float) -> str:
    """Returns a duration in the unit that people would use."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:z.0f} {unit}"
    return f"{max(1, round(seconds))} s"
