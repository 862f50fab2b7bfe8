"""`lab bench loss`: peak memory and time of the three losses as n grows.

Memory is what a process that does nothing else holds at its peak, above what the model and its gradients hold
before the pass; every figure has a process of its own. Time is of forward and backward passes taking turns in
one process, so that a machine that slows down slows all of them.
"""

import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from generators.foundation.errors import WorkFailed
from generators.foundation.settings import Settings, Tree
from generators.task import Batch
from lab.loss.losses import LOSSES, descend
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig
from lab.model.network import initialise
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.objectives.objective import DataShape, Objective

STATUS = Path("/proc/self/status")


class LossBench(Settings):
    """What is measured: parallel transformer heads on a trunk that keeps its layers, whatever n is."""

    heads: tuple[int, ...] = (1, 2, 4, 8)
    classes: int = 16384
    width: int = 256
    attention_heads: int = 8
    trunk_layers: int = 1
    samples: int = 4
    length_tokens: int = 1024
    turns: int = 5


def measure(bench: LossBench) -> list[Tree]:
    """A row for each n and loss: peak_mb, seconds, and both as ratios to joint at the same n; memory also to n = 1."""
    rows: list[Tree] = []
    for n in bench.heads:
        seconds = times(bench, n)
        for loss in LOSSES:
            rows.append({"n": n, "loss": loss, "peak_mb": peak_alone(bench, n, loss), "seconds": seconds[loss]})
    found = {(row["loss"], row["n"]): row for row in rows}
    for row in rows:
        joint, first = found["joint", row["n"]], found[row["loss"], bench.heads[0]]
        row["memory_to_first"] = row["peak_mb"] / first["peak_mb"]
        row["memory_to_joint"] = row["peak_mb"] / joint["peak_mb"]
        row["time_to_joint"] = statistics.median(
            mine / theirs for mine, theirs in zip(row["seconds"], joint["seconds"], strict=True)
        )
    return [{**row, "seconds": statistics.median(row["seconds"])} for row in rows]


def built(bench: LossBench, n: int) -> tuple[Objective, TensorBatch]:
    """The model with its gradients allocated, and a batch of random tokens of which all carry loss."""
    torch.set_num_threads(1)
    model = ModelConfig(width=bench.width, layers=bench.trunk_layers + 1, attention_heads=bench.attention_heads)
    data = DataShape(bench.classes, bench.length_tokens + 1)
    network = MultiToken(MultiTokenConfig(n=n, match="none"), model, data)
    initialise(network, model.shape.layers, torch.Generator().manual_seed(0))
    for parameter in network.parameters():
        parameter.grad = torch.empty_like(parameter).fill_(0)  # zeros would not be in memory until they are written
    tokens = np.random.default_rng(0).integers(bench.classes, size=(bench.samples, bench.length_tokens + 1))
    mask = np.ones(tokens.shape, dtype=bool)
    batch = Batch(tokens=tokens, loss=mask, scored=mask)
    return network, TensorBatch.of(batch, torch.device("cpu"), np.arange(bench.samples))


def times(bench: LossBench, n: int) -> dict[str, list[float]]:
    """Seconds of a forward and backward pass with each loss, a turn each; the first turn warms up and is dropped."""
    network, batch = built(bench, n)
    found: dict[str, list[float]] = {loss: [] for loss in LOSSES}
    for _ in range(bench.turns + 1):
        for loss, seconds in found.items():
            before = time.perf_counter()
            descend(network, batch, loss)
            seconds.append(time.perf_counter() - before)
    return {loss: seconds[1:] for loss, seconds in found.items()}


def peak_alone(bench: LossBench, n: int, loss: str) -> float:
    """`peak` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(peak, bench, n, loss).result()


def peak(bench: LossBench, n: int, loss: str) -> float:
    """Megabytes (10^6 bytes) that one pass takes above what this process holds before it."""
    network, batch = built(bench, n)
    before = resident("VmRSS")
    descend(network, batch, loss)
    return resident("VmHWM") - before


def resident(figure: str) -> float:
    """A figure of this process's memory in megabytes: VmRSS now, VmHWM at its highest."""
    if not STATUS.exists():
        raise WorkFailed(f"lab bench loss reads {STATUS}, which this system does not have; run it on Linux")
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(figure))
    return int(line.split()[1]) * 1024 / 1e6
