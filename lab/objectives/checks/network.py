"""The network and the batches of all checks: tiny, in float64, and the same in every process."""

import numpy as np
import torch
from torch import Tensor

from generators.foundation.randomness import Integers
from generators.task import Batch, Mask
from lab.model.batches import TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.model.network import initialise
from lab.model.trunks.llama import LlamaConfig
from lab.objectives.objective import Objective, ObjectiveConfig
from lab.objectives.table import build_objective

SAMPLES = 4
"""Samples of a random batch, and samples with the same target in a staggered one."""
MODEL: ModelConfig = LlamaConfig(width=16, layers=12, attention_heads=2)
DATA = DataShape(vocabulary=SAMPLES * 23 * 24 + 5, length=24)
"""The vocabulary is large enough for the distinct tokens of a staggered batch."""
LONG = 200
"""Tokens of the long samples, in which a leak is looked for that shorter samples do not have."""
LONG_TARGETS = (47, 98, 145, 198)
TOLERANCE = 1e-8
"""Maximum distance between two gradients in float64, relative to their length."""


def build_network(
    config: ObjectiveConfig, torch_seed: int, model: ModelConfig | None = None, length: int | None = None
) -> Objective:
    """Builds the network in float64 with weights drawn from seed 0.

    Args:
        torch_seed: seed of torch's global generator, which no objective may use.
        model: the settings of the model, by default those of a Llama.
        length: the tokens of a sample, by default those of the batches of most checks.
    """
    model = model or MODEL
    data = DataShape(DATA.vocabulary, length or DATA.length)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed)
        network = build_objective(config, model, data)
    noise = torch.Generator().manual_seed(0)
    initialise(network, model.shape.layers, noise)
    network.double()
    with torch.no_grad():  # the noise opens gates that start at zero, and moves gains away from 1
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64))
    return network


def data_shape() -> DataShape:
    """Returns vocabulary and length of the batches."""
    return DATA


def random_batch() -> TensorBatch:
    """Draws a few samples with different shares of their tokens in the loss mask."""
    random = np.random.default_rng(0)
    tokens = distinct_tokens(SAMPLES)
    return as_tensors(tokens, random.random(tokens.shape) < np.linspace(0.2, 0.9, SAMPLES)[:, None])


def ragged_batch() -> TensorBatch:
    """Draws samples that end at different places, each with its last three tokens in the loss mask."""
    end_B = DATA.length * (1 + np.arange(SAMPLES))[:, None] // SAMPLES
    place_T = np.arange(DATA.length)
    return as_tensors(distinct_tokens(SAMPLES), (place_T < end_B) & (place_T >= end_B - 3))


def staggered_batch() -> tuple[TensorBatch, Tensor]:
    """Draws samples with one token each in the loss mask; returns them with the position [B] of that token.

    `SAMPLES` samples have their token at each position from 1 on, because an objective may draw something per sample.
    """
    target_B = 1 + np.arange(SAMPLES * (DATA.length - 1)) % (DATA.length - 1)
    batch = as_tensors(distinct_tokens(len(target_B)), np.arange(DATA.length) == target_B[:, None])
    return batch, torch.from_numpy(target_B)


def long_batch() -> tuple[TensorBatch, Tensor]:
    """Draws one long sample for each of `LONG_TARGETS`; returns them with the position [B] of their only target."""
    tokens = np.random.default_rng(0).integers(DATA.vocabulary, size=(len(LONG_TARGETS), LONG))
    target_B = np.array(LONG_TARGETS)
    return as_tensors(tokens, np.arange(LONG) == target_B[:, None]), torch.from_numpy(target_B)


def distinct_tokens(samples: int) -> Integers:
    """Draws tokens [samples, T]; no token occurs twice, in the same sample or in different ones."""
    random = np.random.default_rng(0)
    return random.permutation(DATA.vocabulary)[: samples * DATA.length].reshape(samples, DATA.length)


def as_tensors(tokens: Integers, loss: Mask) -> TensorBatch:
    """Makes a batch of the samples 0, 1, ... of a split."""
    batch = Batch(tokens=tokens, loss=loss, scored=loss)
    return TensorBatch.from_batch(batch, torch.device("cpu"), np.arange(len(tokens)))


def with_changed_tokens(batch: TensorBatch, changed_BxT: Tensor) -> TensorBatch:
    """Returns the batch with other tokens at some positions."""
    tokens_BxT = torch.where(changed_BxT, (batch.tokens_BxT + 1) % DATA.vocabulary, batch.tokens_BxT)
    return TensorBatch(tokens_BxT, batch.loss, batch.indices, batch.step)
