"""`lab bench loss`: peak memory and time of the three losses as n grows.

Memory is the peak of a process that does nothing else, above the model and its gradients; every figure comes from its
own process. On a CUDA device it is the memory that torch has allocated. Time is that of forward and backward passes,
which take turns in one process, so that a machine that slows down slows all of them.
"""

import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from generators.foundation.errors import WorkFailed
from generators.foundation.processes import safe_path
from generators.foundation.settings import Settings, Tree
from generators.task import Batch
from lab.loss.losses import LOSSES, accumulate_gradient
from lab.model.batches import TensorBatch
from lab.model.config import DataShape
from lab.model.network import initialise
from lab.model.trunks.llama import LlamaConfig
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.objectives.objective import Objective
from lab.timing import median_ratio, wait_for

STATUS = Path("/proc/self/status")


class LossBench(Settings):
    """Settings of the benchmark: parallel transformer heads on a trunk that has the same layers for every n."""

    heads: tuple[int, ...] = (1, 2, 4, 8)
    vocabulary: int = 16384
    width: int = 256
    attention_heads: int = 8
    trunk_layers: int = 1
    samples: int = 4
    length_tokens: int = 1024
    turns: int = 5
    device: str = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"


def measure_losses(bench: LossBench) -> list[Tree]:
    """Measures every loss at every n and returns their rows."""
    peaks, seconds = {}, {}
    for n in bench.heads:
        for loss, turns in pass_seconds(bench, n).items():
            seconds[n, loss] = turns
        for loss in LOSSES:
            peaks[n, loss] = peak_of_process(bench, n, loss)
    return loss_rows(peaks, seconds)


def loss_rows(peaks: Mapping[tuple[int, str], float], seconds: Mapping[tuple[int, str], list[float]]) -> list[Tree]:
    """Compares losses.

    Args:
        peaks: (n, loss) -> megabytes.
        seconds: (n, loss) -> seconds of each turn.

    Returns:
        One row per n and loss: peak and median time; the peak relative to the first n; peak and time relative to joint
        at the same n.
    """
    first = next(iter(peaks))[0]
    return [
        {
            "n": n,
            "loss": loss,
            "peak_mb": peak,
            "seconds": statistics.median(seconds[n, loss]),
            "memory_to_first": peak / peaks[first, loss],
            "memory_to_joint": peak / peaks[n, "joint"],
            "time_to_joint": median_ratio(seconds[n, loss], seconds[n, "joint"]),
        }
        for (n, loss), peak in peaks.items()
    ]


def build_network(bench: LossBench, n: int) -> tuple[Objective, TensorBatch]:
    """Builds the model with its gradients allocated, and a batch of random tokens that are all in the loss mask."""
    torch.set_num_threads(1)
    model = LlamaConfig(width=bench.width, layers=bench.trunk_layers + 1, attention_heads=bench.attention_heads)
    data = DataShape(bench.vocabulary, bench.length_tokens + 1)
    network = MultiToken(MultiTokenConfig(n=n, match="none"), model, data)
    initialise(network, model.shape.layers, torch.Generator().manual_seed(0))
    device = torch.device(bench.device)
    network.to(device)
    for parameter in network.parameters():
        parameter.grad = torch.empty_like(parameter).fill_(0)  # zeros would take memory only once they are written
    tokens = np.random.default_rng(0).integers(bench.vocabulary, size=(bench.samples, bench.length_tokens + 1))
    mask = np.ones(tokens.shape, dtype=bool)
    batch = Batch(tokens=tokens, loss=mask, scored=mask)
    return network, TensorBatch.from_batch(batch, device, np.arange(bench.samples))


def pass_seconds(bench: LossBench, n: int) -> dict[str, list[float]]:
    """Returns the seconds of a forward and backward pass with each loss, turn by turn, after a turn that warms up."""
    network, batch = build_network(bench, n)
    seconds: dict[str, list[float]] = {loss: [] for loss in LOSSES}
    for _ in range(bench.turns + 1):
        for loss, turns in seconds.items():
            before = time.perf_counter()
            take_pass(bench, network, batch, loss)
            turns.append(time.perf_counter() - before)
    return {loss: turns[1:] for loss, turns in seconds.items()}


def take_pass(bench: LossBench, network: Objective, batch: TensorBatch, loss: str) -> None:
    """Computes a forward and backward pass in the precision of the benchmark and waits until the device has
    finished.
    """
    with torch.autocast(batch.tokens_BxT.device.type, torch.bfloat16, enabled=bench.precision == "bf16"):
        accumulate_gradient(network, batch, loss)
    wait_for(batch.tokens_BxT.device)


def peak_of_process(bench: LossBench, n: int, loss: str) -> float:
    """Returns the result of `peak_megabytes` in a new process."""
    with safe_path(), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(peak_megabytes, bench, n, loss).result()


def peak_megabytes(bench: LossBench, n: int, loss: str) -> float:
    """Returns the megabytes (10^6 bytes) that one pass takes above what this process holds before it.

    On a CUDA device these are the bytes that torch's allocator has handed out.
    """
    network, batch = build_network(bench, n)
    if batch.tokens_BxT.device.type == "cuda":
        take_pass(bench, network, batch, loss)  # the workspaces of cuBLAS, which later passes use again
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        take_pass(bench, network, batch, loss)
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    resident = process_memory("VmRSS")
    take_pass(bench, network, batch, loss)
    return process_memory("VmHWM") - resident


def process_memory(field: str) -> float:
    """Returns the memory of this process in megabytes: VmRSS is the current value, VmHWM the peak.

    Raises:
        WorkFailed: the system has no /proc.
    """
    if not STATUS.exists():
        raise WorkFailed(f"lab bench loss reads {STATUS}, which this system does not have; run it on Linux")
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6
