"""The part `small`: steps of small models, and the steps per second of several processes on one card."""

import statistics
from dataclasses import replace

from benchmarks.gpu.contenders import GRAPHS, LAB, Contender
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.pool import Pool
from benchmarks.gpu.step import MARGIN_SECONDS, take_turns
from lab.model.config import ModelShape

KINDS = ("eager", "compiled", GRAPHS)
SHAPES = (ModelShape(28, 3, 1), ModelShape(64, 6, 2), ModelShape(128, 6, 4))
TASKS = ("dense", "star")
WORKERS, TURNS = 9, 8
PROCESSES = (1, 4, 8)
SECONDS_TOGETHER = 2.5
N = 2


def measure(plan: Plan) -> None:
    """Measures each shape and task with every kind of step, then processes that train at the same time."""
    kinds = (KINDS if plan.on_gpu else KINDS[:2]) if not plan.quick else KINDS[:1]
    shapes = SHAPES if not plan.quick else SHAPES[:1]
    pool = Pool(plan.device, WORKERS if plan.on_gpu else 2)
    base = Contender(LAB, SHAPES[0], 64, 16 if not plan.quick else 2, 128 if not plan.quick else 16, N)
    for task in TASKS:
        contenders = [replace(base, shape=shape, task=task, kind=kind) for shape in shapes for kind in kinds]
        firsts = pool.prepare(contenders, plan.seconds_left() - MARGIN_SECONDS)
        turns = take_turns(pool, contenders, TURNS if not plan.quick else 2)
        for shape in shapes:
            of_shape = {c.kind: 1e3 * statistics.median(seconds) for c, seconds in turns.items() if c.shape == shape}
            plan.write(task=task, width=shape.width, layers=shape.layers, **{f"{k} ms": of_shape.get(k) for k in kinds})
        for contender, first in firsts.items():
            width, kind = contender.shape.width, contender.kind
            plan.write_detail(task=task, width=width, kind=kind, first_step_seconds=first)
        pool.drop()
    measure_processes(plan, pool, base, kinds, shapes[-1])
    pool.close()


def measure_processes(plan: Plan, pool: Pool, base: Contender, kinds: tuple[str, ...], shape: ModelShape) -> None:
    """Lets 1, 4 and 8 processes train at the same time and writes their steps per second together."""
    processes = PROCESSES if plan.on_gpu else (1, 2)
    for kind in kinds if not plan.quick else kinds[:1]:
        copies = [replace(base, shape=shape, kind=kind, replica=number) for number in range(processes[-1])]
        pool.prepare(copies, plan.seconds_left() - MARGIN_SECONDS)
        rates = {}
        for count in processes:
            if plan.seconds_left() > SECONDS_TOGETHER + MARGIN_SECONDS:
                seconds = SECONDS_TOGETHER if not plan.quick else 0.2
                rates[count] = pool.run_together(copies[:count], seconds)
        row = {f"{count} processes, steps/s": rate for count, rate in rates.items()}
        plan.write(width=shape.width, kind=kind, n=N, **row)
        pool.drop()
