"""`lab bench data`: what drawing a task's data costs beside a training step, taking turns in one process."""

import statistics
import time

import numpy as np
import torch

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from generators.table import TASKS
from lab.model.batches import TensorBatch
from lab.run.assembly import assemble
from lab.run.spec import parse_spec
from lab.run.step import OptimiserStep
from lab.run.training import DRAWN_AT_ONCE

BATCH_SIZE = 16
REPEATS = 7
STEPS = 8
SHARE_MAXIMUM = 0.02


def data(corpus: str | None) -> list[Tree]:
    """For each task: samples and tokens a second, and what share of a training step drawing its data costs.

    The step is that of the smallest CPU size, `30k` with n = 1, at 16 samples, one thread. Drawing and stepping take
    turns, and the medians over the turns are compared, so that a machine that slows down slows both.

    Args:
        corpus: a text file for the tasks that cannot be built without one; without it they are named and left out.
    """
    torch.set_num_threads(1)
    rows: list[Tree] = []
    for kind in TASKS.rows:
        try:
            rows.append(measure(kind, {}))
        except UserError as error:
            if corpus is None:
                rows.append({"task": kind, "left_out": f"{error}; give --corpus FILE"})
            else:
                rows.append(measure(kind, {"corpus": corpus}))
    return rows


def measure(kind: str, settings: Tree) -> Tree:
    """One task's row."""
    tree: Tree = {
        "task": {"kind": kind, **settings},
        "model": {"size": "30k"},
        "objective": {"kind": "multi_token", "n": 1},
        "training": {"steps": 1000, "batch_size": BATCH_SIZE, "learning_rate": 1e-3, "evaluate_every_steps": 1000},
    }
    spec = parse_spec(tree, "lab bench data")
    parts = assemble(spec)
    optimiser_step = OptimiserStep(parts.network, spec.training)
    draws, steps = [], []
    for repeat in range(REPEATS + 1):
        first = repeat * BATCH_SIZE * DRAWN_AT_ONCE
        before = time.perf_counter()
        batch = parts.task.batch("train", np.arange(first, first + BATCH_SIZE * DRAWN_AT_ONCE))
        draws.append((time.perf_counter() - before) / DRAWN_AT_ONCE)
        pieces = [batch.take(np.arange(k * BATCH_SIZE, (k + 1) * BATCH_SIZE)) for k in range(STEPS)]
        before = time.perf_counter()
        for piece in pieces:
            optimiser_step.take(TensorBatch.of(piece.trimmed(), parts.device, np.arange(BATCH_SIZE)), 0)
        steps.append((time.perf_counter() - before) / STEPS)
    draw, step = statistics.median(draws[1:]), statistics.median(steps[1:])  # the first turn warms up
    return {
        "task": kind,
        "tokens_a_sample": parts.task.length,
        "samples_per_second": BATCH_SIZE / draw,
        "tokens_per_second": BATCH_SIZE * parts.task.length / draw,
        "draw_ms": 1e3 * draw,
        "step_ms": 1e3 * step,
        "share_of_step": draw / step,
        "within": draw / step < SHARE_MAXIMUM,
    }
