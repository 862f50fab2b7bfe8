"""The networks of all wirings: parameters, what a prediction reads, and the terms of a step."""

from itertools import pairwise
from typing import Any

import pytest
import torch

from lab.loss.losses import accumulate_gradient
from lab.model.batches import TensorBatch
from lab.model.weights import count_parameters
from tests.lab.gradients import batch_of
from tests.lab.networks import COMBINATIONS, MODEL, STRIDES_AND_WEIGHTS, multi_token_network, name_of

BLOCK = 4 * 8 * 8 + 3 * 8 * MODEL.shape.hidden + 2 * 8


def test_every_combination_that_is_not_refused_is_tested() -> None:
    assert len(COMBINATIONS) == 2 * 4 * (3 * 2 + 3 * 2 + 1) + 2


@pytest.mark.parametrize("settings", COMBINATIONS, ids=name_of)
def test_heads_share_exactly_the_parameters_of_their_wiring(settings: dict[str, Any]) -> None:
    network = multi_token_network(settings)
    n, chained = settings["n"], settings["head"] == "transformer"
    layers = {"transformer": BLOCK, "linear": 64, "none": 0}[settings["head"]]
    unembeddings = n if settings["unembedding"] == "replicated" else 1
    trunk = 6 - (0 if not chained else n if settings["match"] == "layers" else 1)
    assert count_parameters(network) == 7 * 8 + trunk * BLOCK + n * layers + 8 + unembeddings * 7 * 8
    assert sum(network.parameters_by_part().values()) == count_parameters(network)
    addresses = [parameter.data_ptr() for parameter in network.parameters()]
    assert len(set(addresses)) == len(addresses)
    for head, next_head in pairwise(network.extra_heads):
        assert all(
            (a != b).any() for a, b in zip(head.parameters(), next_head.parameters(), strict=True) if a.dim() == 2
        )


@pytest.mark.parametrize("settings", [*COMBINATIONS, *STRIDES_AND_WEIGHTS], ids=name_of)
def test_no_prediction_reads_a_token_after_its_position(settings: dict[str, Any]) -> None:
    network, tokens = multi_token_network(settings), batch_of(1.1).inputs_BxP[:1]
    embedded = network.trunk.embed_tokens(tokens).detach().requires_grad_()
    latent = network.trunk.run(embedded, network.trunk.rotary(9))
    for lag in network.lags:
        logits = network.unembed(network.hidden(latent, lag, torch.zeros(1, 9 + lag - 1))[0, 4], lag)
        (gradient,) = torch.autograd.grad(logits.square().sum(), embedded, retain_graph=True)
        assert (gradient[0, :5].abs().sum(dim=1) > 0).all()
        assert not gradient[0, 5:].any()


def test_curriculum_and_stride_choose_the_terms() -> None:
    batch = batch_of(1.1)
    steps = {"forward": [1, 2, 3, 3], "reverse": [3, 2, 1, 1]}
    for curriculum, heads in steps.items():
        network = multi_token_network({"n": 3, "curriculum": curriculum, "stage_steps": 2})
        for stage, count in enumerate(heads):
            at = TensorBatch(batch.tokens_BxT, batch.loss, batch.indices, step=2 * stage + 1)
            assert list(accumulate_gradient(network, at, "joint")) == [f"loss_{lag}" for lag in range(1, count + 1)]
    assert list(accumulate_gradient(multi_token_network({"n": 3, "stride": 4}), batch, "joint")) == [
        "loss_1",
        "loss_5",
        "loss_9",
    ]
