"""`lab bench train`: our training step beside transformers' Llama and beside its bare matrix products.

Everything takes turns in one process with one thread: ours and transformers' LlamaForCausalLM, each eager and compiled,
with the same shapes, batch, optimiser and clipping; and the floor, the matrix products and the attention of a forward
and backward pass on preallocated tensors and nothing else. Ratios are medians over turns of ratios within a turn. On
a GPU a step's time ends when the GPU has done it.
"""

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, Tree
from generators.task import Batch
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig, Shape
from lab.model.layers import NORM_EPSILON
from lab.model.network import initialise
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.objectives.objective import DataShape
from lab.run.assembly import usable_device
from lab.run.spec import TrainingConfig
from lab.run.step import Backward, OptimiserStep
from lab.run.timing import median_ratio, take_turns, wait_for

Step = Callable[[], object]


class TrainBench(Settings):
    """What is measured."""

    widths: tuple[int, ...] = (32, 64, 128)
    heads: tuple[int, ...] = (1, 2, 4)
    layers: int = 6
    classes: int = 64
    samples: int = 16
    length_tokens: int = 128
    turns: int = 15
    device: str = "cpu"


def measure(bench: TrainBench) -> list[Tree]:
    """A row for each width: milliseconds a step of every contender, and what the aims are about as ratios."""
    torch.set_num_threads(1)
    device = usable_device(bench.device)
    rows = []
    for width in bench.widths:
        shape = Shape(width, bench.layers, max(1, width // 32))
        tokens = np.random.default_rng(0).integers(bench.classes, size=(bench.samples, bench.length_tokens + 1))
        steps: dict[str, Step] = {}
        for compiled in (False, True):
            kind = "compiled" if compiled else "eager"
            for n in bench.heads:
                steps[f"ours n={n} {kind}"] = ours(shape, n, bench.classes, tokens, compiled, device)
            steps[f"transformers {kind}"] = theirs(shape, bench.classes, tokens, compiled, device)
        steps["floor"] = floor(shape, bench.classes, bench.samples, bench.length_tokens, device)
        seconds = take_turns({name: awaited(step, device) for name, step in steps.items()}, bench.turns)

        def ratio(one: str, other: str, seconds: dict[str, list[float]] = seconds) -> float:
            return median_ratio(seconds[one], seconds[other])

        first, last = bench.heads[0], bench.heads[-1]
        rows.append(
            {
                "width": width,
                "milliseconds": {name: 1e3 * statistics.median(each) for name, each in seconds.items()},
                "faster_than_transformers_eager": ratio("transformers eager", f"ours n={first} compiled"),
                "eager_faster_than_transformers_eager": ratio("transformers eager", f"ours n={first} eager"),
                "faster_than_transformers_compiled": ratio("transformers compiled", f"ours n={first} compiled"),
                "share_of_floor": ratio("floor", f"ours n={first} compiled"),
                "eager_share_of_floor": ratio("floor", f"ours n={first} eager"),
                "cost_of_heads": ratio(f"ours n={last} compiled", f"ours n={first} compiled"),
                "eager_cost_of_heads": ratio(f"ours n={last} eager", f"ours n={first} eager"),
            }
        )
    return rows


def awaited(step: Step, device: torch.device) -> Step:
    """The step, which returns when the device has done it."""
    if device.type == "cpu":
        return step

    def done() -> None:
        step()
        wait_for(device)

    return done


def stepping(network: nn.Module, batch: TensorBatch, compiled: bool, backward: Backward | None = None) -> Step:
    """A whole optimiser step, with the backward pass of the joint loss or with another."""
    training = TrainingConfig(
        steps=1000, batch_size=len(batch.loss), learning_rate=1e-3, evaluate_every_steps=1000, compile=compiled
    )
    optimiser_step = OptimiserStep(network, training, backward)
    return lambda: optimiser_step.take(batch, 0)


def batch_of(tokens: "np.ndarray[Any, Any]", device: torch.device) -> TensorBatch:
    """A batch of which all tokens carry loss."""
    mask = np.ones(tokens.shape, dtype=bool)
    return TensorBatch.of(Batch(tokens=tokens, loss=mask, scored=mask), device, np.arange(len(tokens)))


def ours(
    shape: Shape, n: int, classes: int, tokens: "np.ndarray[Any, Any]", compiled: bool, device: torch.device
) -> Step:
    """Our step: n parallel heads under match = layers."""
    model = ModelConfig(width=shape.width, layers=shape.layers, attention_heads=shape.attention_heads)
    network = MultiToken(MultiTokenConfig(n=n), model, DataShape(classes, tokens.shape[1]))
    initialise(network, shape.layers, torch.Generator().manual_seed(0))
    network.to(device)
    return stepping(network, batch_of(tokens, device), compiled)


def theirs(shape: Shape, classes: int, tokens: "np.ndarray[Any, Any]", compiled: bool, device: torch.device) -> Step:
    """transformers' step with the same shapes."""
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        raise UserError("lab bench train compares with transformers; pip install -e '.[export]' brings it") from None
    config = LlamaConfig(
        vocab_size=classes,
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

    return stepping(llama, batch_of(tokens, device), compiled=False, backward=backward)


def floor(shape: Shape, classes: int, samples: int, length: int, device: torch.device) -> Step:
    """The matrix products and the attention of one forward and backward pass, nothing between them."""
    rows, width, hidden = samples * length, shape.width, shape.hidden
    linear = [(width, 3 * width), (width, width), (width, 2 * hidden), (hidden, width)] * shape.layers
    products: list[tuple[Tensor, ...]] = []
    for inputs, outputs in [*linear, (width, classes)]:
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
