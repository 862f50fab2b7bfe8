"""The training step on tasks whose answers alone carry loss, against the same step computed at every position.

Both steps take turns on the same batches. Batches are built anew for each step, as in training, so that the cost of
choosing the positions is included.
"""

import statistics
from itertools import cycle
from typing import Any

import numpy as np
import torch

from generators.foundation.settings import Settings, Tree
from generators.table import TASKS, build_task
from lab.bench.train import Step, training_config
from lab.model.batches import TensorBatch
from lab.model.config import DataShape
from lab.model.network import initialise
from lab.model.trunks.llama import LlamaConfig
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.run.step import OptimiserStep
from lab.timing import median_ratio, time_in_turns

STAR: Tree = {"kind": "star", "degree": 2, "length": 3, "nodes": 5}
POLYNOMIAL: Tree = {"kind": "polynomial", "p": 3, "k": 2, "operations_maximum": 3}
BATCHES = 8
EVERY, NEEDED = "every position", "needed positions"


class AnswerShape(Settings):
    """A task and a network with n parallel heads beyond the layers of the trunk (match = none)."""

    task: dict[str, Any]
    width: int
    n: int
    layers: int = 3


class AnswerBench(Settings):
    """Settings of the benchmark; tasks are those of the shipped studies."""

    shapes: tuple[AnswerShape, ...] = (
        AnswerShape(task=STAR, width=28, n=1),
        AnswerShape(task=STAR, width=52, n=2),
        AnswerShape(task=STAR, width=128, n=4),
        AnswerShape(task=POLYNOMIAL, width=48, n=2, layers=4),
        AnswerShape(task=POLYNOMIAL, width=128, n=4, layers=4),
    )
    samples: int = 32
    turns: int = 30


class EveryPosition(MultiToken):
    """The same network, computed at every position."""

    reads_targets_only = False


NETWORKS = {EVERY: EveryPosition, NEEDED: MultiToken}


def measure_answers(bench: AnswerBench) -> list[Tree]:
    """Measures the two steps of each shape on one CPU core and returns a row per shape."""
    torch.set_num_threads(1)
    rows: list[Tree] = []
    for shape in bench.shapes:
        steps = {name: answer_step(shape, bench.samples, network) for name, network in NETWORKS.items()}
        seconds = time_in_turns(steps, bench.turns)
        times = {name: 1e3 * statistics.median(turns) for name, turns in seconds.items()}
        row: Tree = {"task": shape.task["kind"], "width": shape.width, "n": shape.n}
        row |= {"milliseconds": times[NEEDED], "milliseconds_at_every_position": times[EVERY]}
        rows.append(row | {"to_every_position": median_ratio(seconds[NEEDED], seconds[EVERY])})
    return rows


def answer_step(shape: AnswerShape, samples: int, kind: type[MultiToken]) -> Step:
    """Returns an eager step in fp32, which trains on the next of a few batches."""
    task = build_task(TASKS.config(shape.task, "lab bench train"))
    model = LlamaConfig(width=shape.width, layers=shape.layers, attention_heads=max(1, shape.width // 32))
    config = MultiTokenConfig(n=shape.n, match="none" if shape.n > 1 else "layers")
    network = kind(config, model, DataShape(len(task.vocabulary), task.length))
    initialise(network, shape.layers, torch.Generator().manual_seed(0))
    indices = np.arange(samples)
    drawn = cycle([task.batch("train", indices + samples * number).trimmed() for number in range(BATCHES)])
    optimiser_step = OptimiserStep(network, training_config(samples, {}))
    return lambda: optimiser_step.take(TensorBatch.from_batch(next(drawn), torch.device("cpu"), indices), 0)
