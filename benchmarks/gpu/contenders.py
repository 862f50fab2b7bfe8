"""The training steps that the parts `step` and `small` measure, and the operations that each needs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from generators.foundation.settings import Tree
from lab.bench.peers import peer_backward, transformers_llama
from lab.bench.train import KINDS, optimiser_step, our_step, unmasked_batch
from lab.model.config import ModelShape
from lab.run.assembly import assemble
from lab.run.spec import parse_spec
from lab.run.step import OptimiserStep, deterministic
from lab.run.training_data import training_batches

GRAPHS = "CUDA graphs"
SETTINGS: dict[str, Tree] = {**KINDS, GRAPHS: {"compile": True, "cuda_graphs": True}}
STAR: Tree = {"kind": "star", "validation_samples": 8, "test_samples": 8}
LAB, TRANSFORMERS = "lab", "transformers"


@dataclass(frozen=True)
class Contender:
    """One training step: its model, its batch, and how it runs.

    Attributes:
        model: the lab's network, or transformers' Llama with the same shapes.
        precision: fp32, tf32 (fp32 whose products run in TF32) or bf16.
        kind: a key of `SETTINGS`.
        task: "dense" for random tokens that are all targets, or "star" for samples whose answers alone are.
        replica: the number that tells equal contenders of several processes apart.
    """

    model: str
    shape: ModelShape
    vocabulary: int
    samples: int
    length: int
    n: int = 1
    precision: str = "fp32"
    kind: str = "eager"
    task: str = "dense"
    replica: int = 0

    @property
    def tokens(self) -> int:
        """The tokens of a step."""
        return self.samples * self.length

    def operations(self) -> float:
        """Returns the floating-point operations of a dense step: products and causal attention, forward and backward.

        An addition and a multiplication count as two; the backward pass takes twice as many as the forward pass.
        """
        width, layers = self.shape.width, self.shape.layers
        weights = layers * (4 * width**2 + 3 * width * self.shape.hidden) + self.n * width * self.vocabulary
        attention = 2 * layers * self.length * width  # half of the products with a causal mask
        return 3.0 * self.tokens * (2 * weights + attention)


def build_step(contender: Contender, device: torch.device) -> Callable[[], object]:
    """Builds the network of a contender and returns its step; the lab's step is deterministic, as in training."""
    bf16 = "bf16" if contender.precision == "bf16" else "fp32"
    settings = {"precision": bf16, **SETTINGS[contender.kind]}
    if contender.task == "star":
        return deterministic_step(star_step(contender, device, settings), device)
    tokens = np.random.default_rng(0).integers(contender.vocabulary, size=(contender.samples, contender.length + 1))
    batch = unmasked_batch(tokens, device)
    if contender.model == LAB:
        step = our_step(contender.shape, contender.n, contender.vocabulary, batch, settings)
        return deterministic_step(step, device)
    with device:
        peer = transformers_llama(contender.shape, contender.vocabulary, contender.length + 1)
    return optimiser_step(peer, batch, settings, peer_backward(peer, contender.kind))


def deterministic_step(step: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """Returns a step that runs with deterministic algorithms."""

    def take() -> None:
        with deterministic(device):
            step()

    return take


def star_step(contender: Contender, device: torch.device, settings: Tree) -> Callable[[], object]:
    """Returns a step of a run on star graphs."""
    shape = contender.shape
    training = {"steps": 8, "batch_size": contender.samples, "learning_rate": 1e-3, "evaluate_every_steps": 8}
    tree = {
        "seed": 0,
        "task": STAR,
        "model": {"width": shape.width, "layers": shape.layers, "attention_heads": shape.attention_heads},
        "objective": {"kind": "multi_token", "n": contender.n},
        "training": {**training, "device": str(device), **settings},
    }
    spec = parse_spec(tree, "benchmarks.gpu")
    parts = assemble(spec)
    batch = next(iter(training_batches(parts.task, spec, parts.device, 0)))
    optimiser = OptimiserStep(parts.network, spec.training)
    return lambda: optimiser.take(batch, 0)
