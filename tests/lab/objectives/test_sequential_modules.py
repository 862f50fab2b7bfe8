"""Sequential modules keep the whole chain of causes, in batches of any length."""

import numpy as np
import pytest
import torch

from generators.task import Batch
from lab.loss.graph import Graph
from lab.loss.losses import LOSSES, accumulate_gradient
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig
from lab.model.network import initialise
from lab.objectives.objective import DataShape
from lab.objectives.sequential_modules import SequentialModules, SequentialModulesConfig
from tests.lab.gradients import assert_equal, gradients

LENGTH = 10


def network_of(n: int) -> SequentialModules:
    model = ModelConfig(width=8, layers=2, attention_heads=2)
    network = SequentialModules(SequentialModulesConfig(n=n), model, DataShape(LENGTH, LENGTH))
    initialise(network, 2, torch.Generator().manual_seed(3))
    return network.double()


def batch_of(tokens: list[int], carries: list[bool]) -> TensorBatch:
    loss = np.array([carries])
    return TensorBatch.from_batch(
        Batch(tokens=np.array([tokens]), loss=loss, scored=loss), torch.device("cpu"), np.arange(1)
    )


@pytest.mark.parametrize("target", [4, 7, 9])
def test_every_module_predicts_a_token_from_all_tokens_before_it_and_no_other(target: int) -> None:
    """A parallel head that looks k ahead reads only what stands k before its target; a module reads what is between too."""
    network = network_of(4)
    batch = batch_of(list(range(LENGTH)), [place == target for place in range(LENGTH)])
    for term in network.terms(network.latent(batch), batch, Graph()):
        (embedding,) = torch.autograd.grad(term.value, network.trunk.embed_tokens.weight, retain_graph=True)
        assert embedding.abs().sum(dim=1).gt(0).tolist() == [place < target for place in range(LENGTH)], term.name


def test_a_batch_shorter_than_the_last_module_looks_trains_those_that_have_targets() -> None:
    """Columns in which no sample has a target are cut off, so a batch may have fewer tokens than the task."""
    network, batch = network_of(4), batch_of([3, 1, 4], [True] * 3)
    assert accumulate_gradient(network, batch, "joint").keys() == {"loss_1", "loss_2"}
    expected = gradients(network)
    assert not any(name.startswith(("modules_ahead.1", "modules_ahead.2")) for name in expected)
    for loss in LOSSES:
        accumulate_gradient(network, batch, loss)
        assert_equal(gradients(network), expected, 1e-12)


def test_autocast_leaves_the_residual_stream_of_a_module_in_full_precision() -> None:
    network, tokens = network_of(3).float(), torch.arange(LENGTH)[None]
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        for lag in network.lags:
            assert network.hidden(network.trunk(tokens), lag, tokens).dtype == torch.float32
