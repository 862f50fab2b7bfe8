"""The part `small`: steps of small models, and the steps per second of several processes on one card.

Eager steps, which need no compiling, come first; recorded steps of star graphs come before those of dense batches.
"""

import statistics
from dataclasses import replace

from benchmarks.gpu.contenders import GRAPHS, LAB, Contender
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.pool import Pool
from benchmarks.gpu.step import take_turns
from lab.model.config import ModelShape

SHAPES = (ModelShape(28, 3, 1), ModelShape(64, 6, 2), ModelShape(128, 6, 4))
TASKS = ("dense", "star")
WORKERS, TURNS = 8, 8
PROCESSES = (1, 4, 8)
SECONDS_TOGETHER = 2.5
MARGIN_SECONDS = 4.0
N = 2


def measure(plan: Plan) -> None:
    """Measures steps that take turns and processes that train at the same time, wave after wave."""
    pool = Pool(plan.device, WORKERS if plan.on_gpu else 2)
    base = Contender(LAB, SHAPES[0], 64, 16 if not plan.quick else 2, 128 if not plan.quick else 16, N)
    shapes = SHAPES if not plan.quick else SHAPES[:1]
    measure_steps(plan, pool, [replace(base, task=task, shape=shape) for task in TASKS for shape in shapes])
    measure_processes(plan, pool, replace(base, shape=shapes[-1]))
    if plan.on_gpu and not plan.quick:
        recorded = replace(base, kind=GRAPHS)
        measure_steps(plan, pool, [replace(recorded, task="star", shape=shape) for shape in shapes])
        measure_steps(plan, pool, [replace(recorded, shape=shape) for shape in shapes])
        measure_processes(plan, pool, replace(recorded, shape=shapes[-1]))  # finds its code in torch's cache
    pool.close()


def measure_steps(plan: Plan, pool: Pool, contenders: list[Contender]) -> None:
    """Lets contenders take turns and writes the milliseconds per step of each, empty if it did not run."""
    firsts = pool.prepare(contenders, plan.seconds_left() - MARGIN_SECONDS)
    turns = take_turns(pool, contenders, TURNS if not plan.quick else 2)
    for contender in contenders:
        plan.write(
            task=contender.task,
            width=contender.shape.width,
            layers=contender.shape.layers,
            kind=contender.kind,
            n=contender.n,
            ms=1e3 * statistics.median(turns[contender]) if contender in turns else None,
            **{"first step s": firsts[contender]},
        )
    pool.drop()


def measure_processes(plan: Plan, pool: Pool, contender: Contender) -> None:
    """Lets 1, 4 and 8 processes train at the same time and writes their steps per second together."""
    processes = PROCESSES if plan.on_gpu else (1, 2)
    copies = [replace(contender, replica=number) for number in range(processes[-1])]
    pool.prepare(copies, plan.seconds_left() - MARGIN_SECONDS)
    rates = {}
    for count in processes:
        if plan.seconds_left() > SECONDS_TOGETHER + MARGIN_SECONDS:
            rates[count] = pool.run_together(copies[:count], SECONDS_TOGETHER if not plan.quick else 0.2)
    row = {f"{count} processes, steps/s": rate for count, rate in rates.items()}
    plan.write(task=contender.task, width=contender.shape.width, kind=contender.kind, n=contender.n, **row)
    pool.drop()
