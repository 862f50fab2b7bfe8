"""The examples in the docstrings of next-latent, future-summary and joint prediction, and what these objectives add."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from generators.foundation.errors import UserError
from generators.task import Batch, Mask
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from tests.lab.gradients import batch_of
from tests.lab.objectives.tiny_networks import build_objective_network


@torch.no_grad()
def terms_of(network: Objective, latent_BxSxD: Tensor, tokens: list[int], loss: Mask | None = None) -> dict[str, Term]:
    """Returns the terms of one sample by name."""
    mask = np.ones((1, len(tokens)), np.bool_) if loss is None else loss
    numpy_batch = Batch(tokens=np.array([tokens]), loss=mask, scored=mask)
    batch = TensorBatch.from_batch(numpy_batch, torch.device("cpu"), np.arange(1))
    return {term.name: term for term in network.terms(latent_BxSxD, batch, Graph())}


def test_a_latent_network_of_zeros_predicts_the_latent_before() -> None:
    network = build_objective_network("next_latent", horizon=2)
    network.norm = nn.Identity()
    for parameter in network.dynamics.parameters():
        nn.init.zeros_(parameter)
    terms = terms_of(network, torch.tensor([0.0, 0.5, 2.5]).view(1, 3, 1).expand(1, 3, 8), [0, 1, 2, 3])
    latent = [terms["latent_1"], terms["latent_2"]]
    assert [(float(term.value), term.count) for term in latent] == [(0.8125, 2), (2.0, 1)]
    assert sum(term.weight * float(term.value) for term in latent) == 1.40625


def test_the_latent_loss_ends_where_the_last_target_of_a_sample_is_predicted() -> None:
    network, tokens = build_objective_network("next_latent", horizon=3), list(range(7))
    loss = np.array([[False, True, False, True, False, False, False]])
    latent = torch.randn((1, 6, 8), generator=torch.Generator().manual_seed(0))
    before, counts = terms_of(network, latent, tokens, loss), {"latent_1": 2, "latent_2": 1, "latent_3": 0}
    assert {name: before[name].count for name in counts} == counts
    assert [before[f"kl_{step}"].count for step in (1, 2, 3)] == [1, 1, 0], "token 3 is 2 ahead of 1, and 3 ahead of 0"
    changed = torch.cat((latent[:, :3], 1 + latent[:, 3:]), dim=1)
    after = terms_of(network, changed, [*tokens[:4], 0, 0, 0], loss)
    assert all(torch.equal(after[name].value, before[name].value) for name in before)


def test_the_latent_loss_trains_no_true_latent_and_the_divergence_no_unembedding() -> None:
    network, batch = build_objective_network("next_latent", horizon=1), batch_of(1.1)
    latent = network.latent(batch).detach().requires_grad_()
    terms = {term.name: term.value for term in network.terms(latent, batch, Graph())}
    for name in ("latent_1", "kl_1"):
        unembedding, position = torch.autograd.grad(
            terms[name], (network.lm_head.weight, latent), retain_graph=True, allow_unused=True
        )
        assert unembedding is None
        assert not position[:, -1].any(), "no prediction begins at the last latent, which is a true one alone"
        assert position[:, 0].any()


@pytest.mark.parametrize(("window", "bag"), [(4, {0, 1, 2}), (3, {0, 1}), (2, {1})])
def test_the_bag_holds_the_tokens_after_the_next_one(window: int, bag: set[int]) -> None:
    """After `x` comes `a b a c`: the gradient of logits of 0 is (1/2 - a_v) / V."""
    a, b, c, x = range(4)
    network = build_objective_network("future_summary", window=window)
    nn.init.zeros_(network.summary_head.weight)
    latent = torch.ones((1, 4, 8))
    (term,) = [term for name, term in terms_of(network, latent, [x, a, b, a, c]).items() if name == "loss_summary"]
    assert float(term.value) == pytest.approx(math.log(2))
    alone = np.array([[False, True, True, True, True]])
    bags = network.bags(TensorBatch(torch.tensor([[x, a, b, a, c]]), alone, np.arange(1)))
    assert set(bags.tokens_NxW[0][bags.inside_NxW[0]].tolist()) == bag
    assert not bags.inside_NxW[3].any(), "the last target has an empty bag"
    masked = np.array([[False, True, False, False, True]])
    bags = network.bags(TensorBatch(torch.tensor([[x, a, b, a, c]]), masked, np.arange(1)))
    assert set(bags.tokens_NxW[0][bags.inside_NxW[0]].tolist()) == {c} & bag


def test_without_its_attention_layer_joint_prediction_predicts_all_tokens_from_one_latent() -> None:
    network, tokens = build_objective_network("joint", n=3), torch.tensor([[0, 1, 2, 3]])
    latent = torch.randn((1, 4, 8), generator=torch.Generator().manual_seed(0))
    before = [network.hidden(latent, lag, tokens)[:, 0] for lag in (1, 2, 3)]
    assert not torch.allclose(before[1], before[0])
    nn.init.zeros_(network.window_attention.o_proj.weight)
    for lag in (1, 2, 3):
        assert torch.equal(network.hidden(latent, lag, tokens)[:, 0], network.norm(latent)[:, 0])


@pytest.mark.parametrize("settings", [{"kind": "next_latent", "horizon": 3}, {"kind": "joint", "n": 4}], ids=str)
@torch.no_grad()
def test_a_draft_is_the_prediction_after_the_drafts_before_it(settings: dict[str, Any]) -> None:
    network = build_objective_network(**settings).double()
    tokens_BxP = batch_of(1.1).tokens_BxT[:, :6]
    latent_BxPxD = network.trunk(tokens_BxP)
    proposals = network.proposals(latent_BxPxD.flatten(0, 1), tokens_BxP.flatten(), 4, None).view(4, 5, 6, 8)
    known = tokens_BxP
    for lag in (1, 2, 3, 4):
        hidden_BxD = network.hidden(latent_BxPxD, lag, known)[:, -1]
        torch.testing.assert_close(proposals[lag - 1, :, -1], hidden_BxD, rtol=1e-12, atol=1e-12)
        known = torch.cat((known, network.unembed(hidden_BxD, lag).argmax(dim=-1, keepdim=True)), dim=1)
    with pytest.raises(UserError, match=r"--draft 5: .*give at most 4"):
        network.proposals(latent_BxPxD.flatten(0, 1), tokens_BxP.flatten(), 5, None)


def test_parameters_that_an_objective_adds_to_the_next_token_model() -> None:
    """Width 8 and a vocabulary of 7; the latent network has a norm, and biases."""
    for settings, name, count in (
        ({"kind": "next_latent"}, "latent network", 2 * 16 + (16 * 8 + 8) + (8 * 8 + 8) + (8 * 8 + 8)),
        ({"kind": "next_latent", "projection": 1.0}, "latent network", 2 * 16 + 17 * 16 + 17 * 16 + 17 * 8),
        ({"kind": "future_summary"}, "summary unembedding", 8 * 7),
        ({"kind": "joint"}, "window attention", 4 * 8 * 8),
    ):
        parts = build_objective_network(**settings).parameters_by_part()
        assert parts.pop(name) == count
        assert parts.keys() == {"embedding", "trunk", "norm", "unembedding"}
