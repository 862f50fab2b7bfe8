"""Registers read the tokens up to their own, and nothing reads registers."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from lab.model.batches import TensorBatch
from tests.lab.gradients import batch_of
from tests.lab.objectives.tiny_networks import build_objective_network


def test_a_register_reads_the_tokens_up_to_its_own_and_no_other_register() -> None:
    network, batch = build_objective_network("registers", horizon=1), batch_of(1.1)

    def register_latent(tokens: Tensor) -> Tensor:
        with torch.no_grad():
            z: Tensor = network.latent(TensorBatch(tokens, batch.loss, batch.indices))[0, 9 + 4]
        return z

    before = register_latent(batch.tokens_BxT)
    for place in range(10):
        changed = batch.tokens_BxT.clone()
        changed[0, place] = (changed[0, place] + 1) % 7
        assert torch.equal(before, register_latent(changed)) == (place > 4)


def test_predictions_do_not_change_without_registers() -> None:
    network, batch = build_objective_network("registers").double(), batch_of(1.1)
    with_registers = network.hidden(network.latent(batch), 1, batch.inputs_BxP)
    without = network.hidden(network.trunk(batch.inputs_BxP), 1, batch.inputs_BxP)
    torch.testing.assert_close(with_registers, without, rtol=1e-12, atol=1e-12)
    assert network.latent(batch).shape == (5, 18, 8)


def test_distances_are_uniform_over_the_horizon_and_depend_on_the_sample_alone() -> None:
    network = build_objective_network("registers", horizon=4)
    distances = network.distances(np.arange(4000))
    assert np.bincount(distances, minlength=5)[1:] == pytest.approx([1000] * 4, rel=0.12)
    assert (network.distances(np.arange(100, 200)) == distances[100:200]).all()


def test_registers_of_one_token_have_different_distances() -> None:
    network = build_objective_network("registers", horizon=4, per_token=3)
    distances = np.stack([network.distances(np.arange(1000), register) for register in range(3)])
    assert (np.diff(np.sort(distances, axis=0), axis=0) > 0).all()
    assert {tuple(column) for column in distances.T.tolist()} == set(permutations(range(1, 5), 3))
    layout = network.layout(batch_of(1.1))
    assert layout.positions_BxS.shape == (5, 9 + 3 * 9)
