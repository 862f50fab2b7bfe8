"""`lab bench train`: our training step against transformers' Llama and against its own matrix products.

All contenders take turns in one process with one thread. They are our model and transformers' LlamaForCausalLM, eager
and compiled, with the same shapes, batch, optimiser and clipping; and the floor, which is nothing but the matrix
products and the attention of a forward and backward pass on preallocated tensors. Ratios are medians over turns of
ratios within a turn. On a GPU, the time of a step includes the work that the call leaves running.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, Tree
from generators.task import Batch
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig, ModelShape
from lab.model.layers import NORM_EPSILON
from lab.model.network import initialise
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.objectives.objective import DataShape
from lab.run.assembly import usable_device
from lab.run.spec import TrainingConfig
from lab.run.step import Backward, OptimiserStep
from lab.run.timing import median_ratio, time_in_turns, wait_for

Step = Callable[[], object]


class TrainBench(Settings):
    """Settings of the benchmark."""

    widths: tuple[int, ...] = (32, 64, 128)
    heads: tuple[int, ...] = (1, 2, 4)
    layers: int = 6
    vocabulary: int = 64
    samples: int = 16
    length_tokens: int = 128
    turns: int = 15
    device: str = "cpu"


def measure_training(bench: TrainBench) -> list[Tree]:
    """Measures a step of every contender at every width and returns one row per width."""
    torch.set_num_threads(1)
    device = usable_device(bench.device, "--device")
    rows = []
    for width in bench.widths:
        shape = ModelShape(width, bench.layers, max(1, width // 32))
        tokens = np.random.default_rng(0).integers(bench.vocabulary, size=(bench.samples, bench.length_tokens + 1))
        steps: dict[str, Step] = {}
        for compiled in (False, True):
            kind = "compiled" if compiled else "eager"
            for n in bench.heads:
                steps[f"ours n={n} {kind}"] = our_step(shape, n, bench.vocabulary, tokens, compiled, device)
            steps[f"transformers {kind}"] = transformers_step(shape, bench.vocabulary, tokens, compiled, device)
        steps["floor"] = floor_step(shape, bench.vocabulary, bench.samples, bench.length_tokens, device)
        seconds = time_in_turns({name: waiting(step, device) for name, step in steps.items()}, bench.turns)
        rows.append(training_row(width, bench.heads, seconds))
    return rows


def training_row(width: int, heads: Sequence[int], seconds: Mapping[str, list[float]]) -> Tree:
    """Compares the contenders of one width.

    Args:
        seconds: contender -> seconds of each turn.
    """
    first, last = f"ours n={heads[0]}", f"ours n={heads[-1]}"

    def ratio(numerator: str, denominator: str) -> float:
        return median_ratio(seconds[numerator], seconds[denominator])

    return {
        "width": width,
        "milliseconds": {name: 1e3 * statistics.median(turns) for name, turns in seconds.items()},
        "faster_than_transformers_eager": ratio("transformers eager", f"{first} compiled"),
        "eager_faster_than_transformers_eager": ratio("transformers eager", f"{first} eager"),
        "faster_than_transformers_compiled": ratio("transformers compiled", f"{first} compiled"),
        "share_of_floor": ratio("floor", f"{first} compiled"),
        "eager_share_of_floor": ratio("floor", f"{first} eager"),
        "cost_of_heads": ratio(f"{last} compiled", f"{first} compiled"),
        "eager_cost_of_heads": ratio(f"{last} eager", f"{first} eager"),
    }


def waiting(step: Step, device: torch.device) -> Step:
    """Returns the step followed by a wait for the device to finish it."""
    if device.type == "cpu":
        return step

    def step_and_wait() -> None:
        step()
        wait_for(device)

    return step_and_wait


def optimiser_step(network: nn.Module, batch: TensorBatch, compiled: bool, backward: Backward | None = None) -> Step:
    """Returns a whole optimiser step on a batch, with the backward pass of the joint loss unless another is given."""
    training = TrainingConfig(
        steps=1000, batch_size=len(batch.loss), learning_rate=1e-3, evaluate_every_steps=1000, compile=compiled
    )
    step = OptimiserStep(network, training, backward)
    return lambda: step.take(batch, 0)


def unmasked_batch(tokens: "np.ndarray[Any, Any]", device: torch.device) -> TensorBatch:
    """Returns a batch with all tokens in the loss mask."""
    mask = np.ones(tokens.shape, dtype=bool)
    return TensorBatch.from_batch(Batch(tokens=tokens, loss=mask, scored=mask), device, np.arange(len(tokens)))


def our_step(
    shape: ModelShape, n: int, vocabulary: int, tokens: "np.ndarray[Any, Any]", compiled: bool, device: torch.device
) -> Step:
    """Returns a step of our model with n parallel heads under match = layers."""
    model = ModelConfig(width=shape.width, layers=shape.layers, attention_heads=shape.attention_heads)
    network = MultiToken(MultiTokenConfig(n=n), model, DataShape(vocabulary, tokens.shape[1]))
    initialise(network, shape.layers, torch.Generator().manual_seed(0))
    network.to(device)
    return optimiser_step(network, unmasked_batch(tokens, device), compiled)


def transformers_step(
    shape: ModelShape, vocabulary: int, tokens: "np.ndarray[Any, Any]", compiled: bool, device: torch.device
) -> Step:
    """Returns a step of transformers' Llama with the same shapes.

    Raises:
        UserError: transformers is not installed.
    """
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        raise UserError(
            "lab bench train compares with transformers, which is not installed; pip install 'mtp-lab[export]'"
        ) from None
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.attention_heads,
        max_position_embeddings=tokens.shape[1],
        rms_norm_eps=NORM_EPSILON,
        use_cache=False,
    )
    with device:
        llama = LlamaForCausalLM(config)
    forward = torch.compile(llama) if compiled else llama

    def backward(batch: TensorBatch) -> dict[str, Tensor]:
        loss: Tensor = forward(input_ids=batch.tokens_BxT, labels=batch.tokens_BxT).loss
        loss.backward()  # type: ignore[no-untyped-call]
        return {"loss_1": loss.detach()}

    return optimiser_step(llama, unmasked_batch(tokens, device), compiled=False, backward=backward)


def floor_step(shape: ModelShape, vocabulary: int, samples: int, length: int, device: torch.device) -> Step:
    """Returns a step of nothing but the matrix products and the attention of one forward and backward pass."""
    rows, width, hidden = samples * length, shape.width, shape.hidden
    linear = [(width, 3 * width), (width, width), (width, 2 * hidden), (hidden, width)] * shape.layers
    products: list[tuple[Tensor, ...]] = []
    for inputs, outputs in [*linear, (width, vocabulary)]:
        x, w, y = (torch.randn(size, device=device) for size in ((rows, inputs), (outputs, inputs), (rows, outputs)))
        products.append((x, w, y, torch.empty_like(x), torch.empty_like(w), torch.empty_like(y)))
    heads = (samples, shape.attention_heads, length, width // shape.attention_heads)
    q, k, v = (torch.randn(heads, device=device, requires_grad=True) for _ in range(3))
    gradient = torch.randn(heads, device=device)

    def step() -> None:
        for x, w, _, _, _, out in products:
            torch.mm(x, w.T, out=out)
        for _ in range(shape.layers):
            torch.autograd.grad(F.scaled_dot_product_attention(q, k, v, is_causal=True), (q, k, v), gradient)
        for x, w, y, x_gradient, w_gradient, _ in products:
            torch.mm(y, w, out=x_gradient)
            torch.mm(y.T, x, out=w_gradient)

    return step
