"""The part `stacked`: star graphs in stacks of 1 to 64 runs, beside the same runs in worker processes of their own.

Rates are those of all runs together; a run has 1,500 steps, and evaluations are timed apart. A stack draws new data for
every run at every step, as in training, while each worker repeats one batch.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from benchmarks.gpu.contenders import GRAPHS, LAB, STAR, Contender
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.pool import Pool
from benchmarks.gpu.small import MARGIN_SECONDS, SECONDS_TOGETHER, N
from generators.foundation.settings import Tree
from lab.model.config import ModelShape
from lab.run.assembly import assemble
from lab.run.evaluation import Evaluator
from lab.run.spec import RunSpec, parse_spec
from lab.run.stacking.batch_stack import BatchStack
from lab.run.stacking.network_stack import NetworkStack
from lab.run.stacking.stacked_step import StackedStep, compiler_of
from lab.run.step import deterministic
from lab.run.training_data import drawn_batches
from lab.timing import wait_for

SHAPE, QUICK_SHAPE = ModelShape(128, 6, 4), ModelShape(8, 3, 1)
SAMPLES = 16
SIZES, PROCESSES = (1, 4, 16, 64), (1, 4, 8)
QUICK_SIZES, QUICK_PROCESSES = (1, 4), (1, 2)
RECORDED_SIZE = 16
"""The size of the stack whose kernels are recorded, which has to be compiled first."""
RUN_STEPS = 1500
SECONDS, QUICK_SECONDS = 2.0, 0.1
EVALUATED_SAMPLES = 256
STEPS_TO_WARM_UP = 3


def measure(plan: Plan) -> None:
    """Measures eager stacks of every size, then worker processes, and recorded kernels while there is time."""
    shape = QUICK_SHAPE if plan.quick else SHAPE
    processes = QUICK_PROCESSES if plan.quick else PROCESSES
    worker = Contender(LAB, shape, 64, SAMPLES, 0, N, task="star")
    for size in QUICK_SIZES if plan.quick else SIZES:
        measure_stack(plan, spec_of(shape, size, plan.device))
    pool = Pool(plan.device, processes[-1])
    measure_workers(plan, pool, worker, processes)
    if plan.on_gpu and not plan.quick:  # compiling comes last
        measure_workers(plan, pool, replace(worker, kind=GRAPHS), processes)
        measure_stack(plan, spec_of(shape, RECORDED_SIZE, plan.device, GRAPHS), GRAPHS)
    pool.close()


def spec_of(shape: ModelShape, size: int, device: str) -> RunSpec:
    """Returns the spec of the runs of a stack."""
    training: Tree = {
        "steps": RUN_STEPS,
        "batch_size": SAMPLES,
        "learning_rate": 1e-3,
        "evaluate_every_steps": RUN_STEPS,
    }
    tree = {
        "task": STAR | {"validation_samples": EVALUATED_SAMPLES},
        "model": {"width": shape.width, "layers": shape.layers, "attention_heads": shape.attention_heads},
        "objective": {"kind": "multi_token", "n": N},
        "training": training | {"evaluate_every_steps": RUN_STEPS, "stack": size, "device": device},
    }
    return parse_spec(tree, "benchmarks.gpu")


def measure_stack(plan: Plan, spec: RunSpec, kind: str = "eager") -> None:
    """Writes the rate of one stack, the time of its evaluation and its peak memory."""
    parts, size, device = assemble(spec), spec.training.stack, torch.device(plan.device)
    stack = NetworkStack(parts.network, size, compiler_of(spec.training))
    stack.fill([parts.network] * size)
    stacked_step = StackedStep(stack, spec.training)
    data = [drawn_batches(parts.task, spec.model_copy(update={"seed": seed}), 0) for seed in range(size)]
    evaluator = Evaluator(parts.task, "validation", device)

    def take() -> None:
        drawn = [next(batches) for batches in data]
        step, indices, _ = drawn[0]
        stacked_step.take(BatchStack.of([batch for _, _, batch in drawn], device, indices, step), step)

    with deterministic(device):
        if plan.on_gpu:
            torch.cuda.reset_peak_memory_stats(device)
        seconds = seconds_of_step(take, device, QUICK_SECONDS if plan.quick else SECONDS)
        stack.scores(evaluator)
        before = time.perf_counter()
        stack.scores(evaluator)
        evaluation = time.perf_counter() - before
    plan.write(
        runs=size,
        how="one stack",
        kind=kind,
        **rates(size / seconds),
        **{"step ms": 1e3 * seconds, "evaluation ms": 1e3 * evaluation},
        **{"peak GB": torch.cuda.max_memory_allocated(device) / 1e9 if plan.on_gpu else None},
    )


def seconds_of_step(take: Callable[[], None], device: torch.device, seconds: float) -> float:
    """Returns the seconds per step of steps in a row that take about some seconds, after a few that warm up."""
    for _ in range(STEPS_TO_WARM_UP):
        take()
    wait_for(device)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds and count < RUN_STEPS - STEPS_TO_WARM_UP:
        take()
        count += 1
    wait_for(device)
    return (time.perf_counter() - begin) / count


def measure_workers(plan: Plan, pool: Pool, contender: Contender, processes: tuple[int, ...]) -> None:
    """Writes the rate of 1, 4 and 8 processes that each train a run at the same time."""
    copies = [replace(contender, replica=number) for number in range(processes[-1])]
    pool.prepare(copies, plan.seconds_left() - MARGIN_SECONDS)
    for count in processes:
        if plan.seconds_left() > SECONDS_TOGETHER + MARGIN_SECONDS:
            rate = pool.run_together(copies[:count], QUICK_SECONDS if plan.quick else SECONDS_TOGETHER)
            plan.write(runs=count, how="worker processes", kind=contender.kind, **rates(rate))
    pool.drop()


def rates(steps_per_second: float) -> dict[str, float]:
    """Returns the columns with the rates of all runs together."""
    return {"steps/s": steps_per_second, "runs/hour": 3600 * steps_per_second / RUN_STEPS}
