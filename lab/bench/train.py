"""`lab bench train`: the lab's training step against those of peers and against its own matrix products.

All contenders of a shape take turns in one process with one thread: the lab's network at several n, transformers' Llama
and a plain GPT, each eager and compiled, with the same shapes, batch, optimiser and clipping; and the floor, which is
nothing but the matrix products and the attention of a forward and backward pass on preallocated tensors. Ratios are
medians over turns of ratios within a turn: below 1, the lab is faster. On a GPU, the time of a step includes the work
that is still running when the call returns.
"""

import statistics
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from generators.foundation.settings import Settings, Tree
from generators.task import Batch
from lab.bench.peers import PlainGPT, floor_step, peer_backward, transformers_llama
from lab.model.batches import TensorBatch
from lab.model.config import DataShape, ModelShape
from lab.model.network import initialise
from lab.model.trunks.llama import LlamaConfig
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.run.assembly import usable_device
from lab.run.spec import TrainingConfig
from lab.run.step import Backward, OptimiserStep
from lab.timing import median_ratio, time_in_turns, wait_for

Step = Callable[[], object]
Precision = Literal["fp32", "bf16"]
KINDS: dict[str, Tree] = {"eager": {}, "compiled": {"compile": True}}
"""How a step runs, as settings of training."""
OURS, TRANSFORMERS, GPT, FLOOR = "ours", "transformers", "plain GPT", "floor"


class DenseShape(Settings):
    """A network whose every token is a target; its heads take their layers from the trunk (match = layers)."""

    width: int
    layers: int = 6
    length_tokens: int = 128
    heads: tuple[int, ...] = (1, 2, 4)

    @property
    def model(self) -> ModelShape:
        """The shape of the network, with one attention head per 32 numbers."""
        return ModelShape(self.width, self.layers, max(1, self.width // 32))


class TrainBench(Settings):
    """Settings of the benchmark; without `precisions`, bf16 is measured if the hardware supports it."""

    shapes: tuple[DenseShape, ...] = (
        DenseShape(width=28, layers=3, length_tokens=64, heads=(1, 2)),
        DenseShape(width=64),
        DenseShape(width=128),
    )
    precisions: tuple[Precision, ...] | None = None
    vocabulary: int = 64
    samples: int = 16
    turns: int = 15
    device: str = "cpu"


def measure_training(bench: TrainBench) -> list[Tree]:
    """Measures a step of every contender at every shape and returns one row per contender."""
    torch.set_num_threads(1)
    device = usable_device(bench.device, "--device")
    precisions = bench.precisions or usual_precisions(device)
    rows = []
    for dense in bench.shapes:
        size = (bench.samples, dense.length_tokens + 1)
        batch = unmasked_batch(np.random.default_rng(0).integers(bench.vocabulary, size=size), device)
        steps: dict[str, Step] = {}
        for kind, settings in KINDS.items():
            for precision in precisions:
                for n in dense.heads:
                    name = f"{OURS} n={n} {precision} {kind}"
                    training = {"precision": precision, **settings}
                    steps[name] = our_step(dense.model, n, bench.vocabulary, batch, training)
            for name, build in ((TRANSFORMERS, transformers_llama), (GPT, PlainGPT)):
                with device:
                    peer = build(dense.model, bench.vocabulary, dense.length_tokens + 1)
                steps[f"{name} {kind}"] = optimiser_step(peer, batch, {}, peer_backward(peer, kind))
        steps[FLOOR] = floor_step(dense.model, bench.vocabulary, bench.samples, dense.length_tokens, device)
        seconds = time_in_turns({name: waiting(step, device) for name, step in steps.items()}, bench.turns)
        rows += dense_rows(dense, seconds)
    return rows


def usual_precisions(device: torch.device) -> tuple[Precision, ...]:
    """Returns the precisions worth measuring: bf16 takes several times as long as fp32 on a CPU without AVX-512."""
    without = device.type == "cpu" and torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")
    return ("fp32",) if without else ("fp32", "bf16")


def dense_rows(dense: DenseShape, seconds: Mapping[str, list[float]]) -> list[Tree]:
    """Compares the contenders of one shape.

    Args:
        seconds: contender -> seconds of each turn.
    """
    rows: list[Tree] = []
    for name, turns in seconds.items():
        row: Tree = {"width": dense.width, "step": name, "milliseconds": 1e3 * statistics.median(turns)}
        others = {
            "to_transformers_eager": f"{TRANSFORMERS} eager",
            "to_transformers_compiled": f"{TRANSFORMERS} compiled",
            "to_plain_gpt_compiled": f"{GPT} compiled",
            "to_floor": FLOOR,
        }
        if name.startswith(f"{OURS} n="):
            others["to_first_n"] = f"{OURS} n={dense.heads[0]} {name.split(maxsplit=2)[2]}"
        rows.append(row | {key: median_ratio(turns, seconds[other]) for key, other in others.items()})
    return rows


def waiting(step: Step, device: torch.device) -> Step:
    """Returns the step followed by a wait for the device to finish it."""
    if device.type == "cpu":
        return step

    def step_and_wait() -> None:
        step()
        wait_for(device)

    return step_and_wait


def optimiser_step(network: nn.Module, batch: TensorBatch, settings: Tree, backward: Backward | None = None) -> Step:
    """Returns a whole optimiser step on a batch, with the backward pass of the joint loss unless another is given.

    Args:
        settings: settings of training, such as compile and precision.
    """
    training = training_config(len(batch.loss), {"device": str(batch.tokens_BxT.device), **settings})
    step = OptimiserStep(network, training, backward)
    return lambda: step.take(batch, 0)


def training_config(batch_size: int, settings: Tree) -> TrainingConfig:
    """Returns the settings of training of a benchmark, which takes too few steps for most of them to matter."""
    tree = {"steps": 1000, "batch_size": batch_size, "learning_rate": 1e-3, "evaluate_every_steps": 1000}
    return TrainingConfig.model_validate(tree | settings)


def unmasked_batch(tokens: "np.ndarray[Any, Any]", device: torch.device) -> TensorBatch:
    """Returns a batch with all tokens in the loss mask."""
    mask = np.ones(tokens.shape, dtype=bool)
    return TensorBatch.from_batch(Batch(tokens=tokens, loss=mask, scored=mask), device, np.arange(len(tokens)))


def our_step(shape: ModelShape, n: int, vocabulary: int, batch: TensorBatch, settings: Tree) -> Step:
    """Returns a step of the lab's network with n parallel heads under match = layers and these settings of training."""
    model = LlamaConfig(width=shape.width, layers=shape.layers, attention_heads=shape.attention_heads)
    network = MultiToken(MultiTokenConfig(n=n), model, DataShape(vocabulary, batch.tokens_BxT.shape[1]))
    initialise(network, shape.layers, torch.Generator().manual_seed(0))
    network.to(batch.tokens_BxT.device)
    return optimiser_step(network, batch, settings)
