"""Sequential modules read all tokens before their target, in batches of any length."""

import numpy as np
import pytest
import torch

from generators.task import Batch
from lab.loss.graph import Graph
from lab.loss.losses import LOSSES, accumulate_gradient
from lab.model.batches import TensorBatch
from lab.model.config import DataShape
from lab.model.layers import Block
from lab.model.network import initialise
from lab.model.trunks.llama import LlamaConfig
from lab.model.weights import count_parameters
from lab.objectives.sequential_modules import SequentialModules, SequentialModulesConfig
from tests.lab.gradients import assert_equal, batch_of, pop_gradients
from tests.lab.objectives.tiny_networks import MODEL, build_objective_network

LENGTH = 10


def network_of(n: int) -> SequentialModules:
    model = LlamaConfig(width=8, layers=2, attention_heads=2)
    network = SequentialModules(SequentialModulesConfig(n=n), model, DataShape(LENGTH, LENGTH))
    initialise(network, 2, torch.Generator().manual_seed(3))
    return network.double()


def one_sample(tokens: list[int], carries: list[bool]) -> TensorBatch:
    loss = np.array([carries])
    return TensorBatch.from_batch(
        Batch(tokens=np.array([tokens]), loss=loss, scored=loss), torch.device("cpu"), np.arange(1)
    )


@pytest.mark.parametrize("target", [4, 7, 9])
def test_every_module_reads_exactly_the_tokens_before_its_target(target: int) -> None:
    """A parallel head that looks k ahead reads no token less than k before its target; a module reads those too."""
    network = network_of(4)
    batch = one_sample(list(range(LENGTH)), [place == target for place in range(LENGTH)])
    for term in network.terms(network.latent(batch), batch, Graph()):
        (embedding,) = torch.autograd.grad(term.value, network.trunk.embed_tokens.weight, retain_graph=True)
        assert embedding.abs().sum(dim=1).gt(0).tolist() == [place < target for place in range(LENGTH)], term.name


def test_a_batch_too_short_for_the_last_modules_trains_the_others() -> None:
    """Trimming cuts off columns without a target, so a batch may have fewer tokens than the task."""
    network, batch = network_of(4), one_sample([3, 1, 4], [True] * 3)
    assert accumulate_gradient(network, batch, "joint").keys() == {"loss_1", "loss_2"}
    expected = pop_gradients(network)
    assert not any(name.startswith(("modules_ahead.1", "modules_ahead.2")) for name in expected)
    for loss in LOSSES:
        accumulate_gradient(network, batch, loss)
        assert_equal(pop_gradients(network), expected, 1e-12)


def test_each_module_has_the_weight_in_a_short_batch_that_it_has_in_a_long_one() -> None:
    network, weights = network_of(4), [1.0, 0.1, 0.1, 0.1]
    for length in (LENGTH, 3):
        batch = one_sample(list(range(length)), [True] * length)
        terms = list(network.terms(network.latent(batch), batch, Graph()))
        assert [term.weight for term in terms] == pytest.approx(weights[: length - 1])


def test_autocast_leaves_the_residual_stream_of_a_module_in_full_precision() -> None:
    network, tokens = network_of(3).float(), torch.arange(LENGTH)[None]
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        for lag in network.lags:
            assert network.hidden(network.trunk(tokens), lag, tokens).dtype == torch.float32


def test_modules_share_embedding_and_unembedding_and_own_the_rest() -> None:
    network = build_objective_network("sequential_modules", n=3)
    block = count_parameters(Block(8, 2, MODEL.shape.hidden))
    assert count_parameters(network) == 2 * 7 * 8 + 4 * block + 8 + 2 * (block + 2 * 8 * 8 + 3 * 8)
    assert sum(network.parameters_by_part().values()) == count_parameters(network)
    matched = build_objective_network("sequential_modules", n=3, match="layers")
    assert len(matched.trunk.layers) == 2


def test_predicting_from_known_tokens_equals_predicting_the_whole_sample() -> None:
    network, tokens = build_objective_network("sequential_modules", n=3).double(), batch_of(1.1).tokens_BxT[:, :8]
    for lag in (1, 2, 3):
        known = tokens[:, : 5 + lag - 1]
        from_known = network.hidden(network.trunk(known[:, :5]), lag, known)[:, -1]
        from_whole = network.hidden(network.trunk(tokens), lag, tokens)[:, 4]
        torch.testing.assert_close(from_known, from_whole, rtol=1e-12, atol=1e-12)


def test_the_weight_of_modules_changes_at_its_step() -> None:
    network = build_objective_network("sequential_modules", n=3, final_weight=0.1, final_weight_from_step=100)
    batch = batch_of(1.1)
    for step, weight in ((None, 0.3), (99, 0.3), (100, 0.1)):
        at = TensorBatch(batch.tokens_BxT, batch.loss, batch.indices, step)
        terms = list(network.terms(network.latent(at), at, Graph()))
        assert [term.weight for term in terms] == pytest.approx([1.0, weight / 2, weight / 2])
