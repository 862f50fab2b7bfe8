"""`lab bench data`: the time to generate a task's data, as a share of a training step."""

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
from lab.run.training_data import STEPS_DRAWN_AT_ONCE

BATCH_SIZE = 16
TURNS = 7
STEPS_PER_TURN = 8
SHARE_MAXIMUM = 0.02


def measure_data(corpus: str | None) -> list[Tree]:
    """Measures every task of this lab: samples and tokens per second, and the share of a training step.

    The step is that of the smallest CPU size, `30k` with n = 1, at 16 samples on one thread. Generating and stepping
    take turns in one process, so that a machine that slows down slows both, and their medians over the turns are
    compared.

    Args:
        corpus: a text file for the tasks that cannot be built without one. Without it they are listed as left out.
    """
    torch.set_num_threads(1)
    rows: list[Tree] = []
    for kind in TASKS.rows:
        try:
            rows.append(measure_task(kind, {}))
        except UserError as error:
            if corpus is None:
                rows.append({"task": kind, "left_out": f"{error}; give --corpus FILE"})
            else:
                rows.append(measure_task(kind, {"corpus": corpus}))
    return rows


def measure_task(kind: str, settings: Tree) -> Tree:
    """Measures one task and returns its row."""
    tree: Tree = {
        "task": {"kind": kind, **settings},
        "model": {"size": "30k"},
        "objective": {"kind": "multi_token", "n": 1},
        "training": {"steps": 1000, "batch_size": BATCH_SIZE, "learning_rate": 1e-3, "evaluate_every_steps": 1000},
    }
    spec = parse_spec(tree, "lab bench data")
    parts = assemble(spec)
    optimiser_step = OptimiserStep(parts.network, spec.training)
    draw_seconds, step_seconds = [], []
    for turn in range(TURNS + 1):
        first = turn * BATCH_SIZE * STEPS_DRAWN_AT_ONCE
        before = time.perf_counter()
        batch = parts.task.batch("train", np.arange(first, first + BATCH_SIZE * STEPS_DRAWN_AT_ONCE))
        draw_seconds.append((time.perf_counter() - before) / STEPS_DRAWN_AT_ONCE)
        pieces = [batch.take(np.arange(k * BATCH_SIZE, (k + 1) * BATCH_SIZE)) for k in range(STEPS_PER_TURN)]
        before = time.perf_counter()
        for piece in pieces:
            optimiser_step.take(TensorBatch.from_batch(piece.trimmed(), parts.device, np.arange(BATCH_SIZE)), 0)
        step_seconds.append((time.perf_counter() - before) / STEPS_PER_TURN)
    draw, step = statistics.median(draw_seconds[1:]), statistics.median(step_seconds[1:])  # the first turn warms up
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
