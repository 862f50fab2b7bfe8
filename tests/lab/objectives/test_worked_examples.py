"""The examples in the docstrings of objectives on a next-token model, and what these objectives add."""

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
from lab.objectives.belief_state import draw_pairs
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


def answer_of(kind: str, samples: int, **settings: Any) -> Mask:
    """Returns which inputs of `a b = c d e` with the answer c, d, e are replaced in some samples."""
    loss = np.zeros((samples, 6), np.bool_)
    loss[:, 3:] = True
    batch = TensorBatch(torch.arange(6).expand(samples, -1), loss, np.arange(samples))
    replaced: Mask = build_objective_network(kind, **settings).replaced(batch).numpy()
    assert not replaced[:, :3].any(), "what comes before the answer is read"
    return replaced[:, 3:]


def test_the_second_row_reads_dummies_in_place_of_the_answer() -> None:
    assert answer_of("teacherless", 2).all()
    network, loss = build_objective_network("teacherless"), np.arange(6)[None] >= 3
    rows = [
        network.latent(TensorBatch(torch.tensor([[0, 1, 2, *answer]]), loss, np.arange(1)))
        for answer in ([3, 4, 5], [6, 3, 5], [3, 4, 0])
    ]
    assert torch.equal(rows[0][:, 5:], rows[1][:, 5:])
    assert not torch.allclose(rows[0][:, 3:5], rows[1][:, 3:5])
    assert torch.equal(rows[0], rows[2]), "the last token is no input"
    everything = TensorBatch(torch.arange(6)[None], np.ones((1, 6), np.bool_), np.arange(1))
    assert network.replaced(everything).tolist() == [[False, True, True, True, True]]


def test_a_masked_teacher_hides_a_share_of_the_answer_in_spans() -> None:
    singly, in_spans = (answer_of("masked_teacher", 4000, share=0.3, span=span) for span in (1, 2))
    for replaced in (singly, in_spans):
        np.testing.assert_allclose(replaced.mean(axis=0), 0.3, atol=0.025)
    agree = [(replaced[:, 0] == replaced[:, 1]).mean() for replaced in (singly, in_spans)]
    separate = 0.3**2 + 0.7**2
    np.testing.assert_allclose(agree, [separate, (1 + separate) / 2], atol=0.025)
    assert (answer_of("masked_teacher", 100, share=0.3) == singly[:100]).all()
    assert answer_of("masked_teacher", 100, share=1.0).all()


def test_pairs_are_drawn_uniformly_from_all_prefixes_and_suffixes_around_targets() -> None:
    """In `a b c d` with the targets c and d: `a b` and `d`, `a b` and nothing, `a b c` and nothing."""
    loss = np.array([[False, False, True, True, False], [True, False, False, False, False]]).repeat(1000, axis=0)
    sample_N, first_N, last_N, end_B = draw_pairs(loss, np.arange(2000), 3)
    assert (sample_N == np.arange(1000).repeat(3)).all(), "a sample whose only token is its first has no pair"
    assert set(end_B[:1000]) == {3}
    pairs, counts = np.unique([first_N, last_N], axis=1, return_counts=True)
    assert pairs.T.tolist() == [[2, 2], [2, 3], [3, 3]]
    np.testing.assert_allclose(counts / 3000, 1 / 3, atol=0.035)
    many = draw_pairs(np.ones((1, 40), np.bool_), np.array([7]), 4096)
    assert (many[1] >= 1).all()
    assert (many[1] <= many[2]).all()
    assert (many[2] <= 39).all()
    assert len(np.unique(many[1:3], axis=1).T) > 0.98 * 39 * 40 / 2


def test_a_pair_reads_neither_its_targets_nor_what_is_between_them() -> None:
    network, loss = build_objective_network("belief_state", pairs=1).double(), np.ones((1, 8), np.bool_)
    loss[:, 7] = False
    draws = {index: draw_pairs(loss, np.array([index]), 1)[1:3] for index in range(100)}
    index = next(index for index, (u, v) in draws.items() if (u, v) == (2, 5))

    def states(tokens: Tensor) -> Tensor:
        batch = TensorBatch(tokens, loss, np.array([index]))
        pairs = network.pairs(batch)
        prefix, suffix = network.latent(batch).flatten(0, 1), network.suffix_states(pairs).flatten(0, 1)
        return torch.cat((prefix[pairs.prefix_N], suffix[pairs.suffix_N]), dim=1)

    tokens = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 0]])
    places = torch.eye(8, dtype=torch.int64)
    read = [not torch.equal(states(tokens), states((tokens + place) % 7)) for place in places]
    assert read == [True, True, False, False, False, False, True, False]


def test_parameters_that_an_objective_adds_to_the_next_token_model() -> None:
    """Width 8 and a vocabulary of 7; the latent network has a norm, and biases."""
    for settings, name, count in (
        ({"kind": "next_latent"}, "latent network", 2 * 16 + (16 * 8 + 8) + (8 * 8 + 8) + (8 * 8 + 8)),
        ({"kind": "next_latent", "projection": 1.0}, "latent network", 2 * 16 + 17 * 16 + 17 * 16 + 17 * 8),
        ({"kind": "future_summary"}, "summary unembedding", 8 * 7),
        ({"kind": "joint"}, "window attention", 4 * 8 * 8),
        ({"kind": "teacherless"}, "dummy", 8),
        ({"kind": "masked_teacher"}, "dummy", 8),
    ):
        parts = build_objective_network(**settings).parameters_by_part()
        assert parts.pop(name) == count
        assert parts.keys() == {"embedding", "trunk", "norm", "unembedding"}
    added = build_objective_network("belief_state", layers=2).parameters_by_part()
    layer = build_objective_network("belief_state").trunk.layers[0]
    assert added["backward encoder"] == 8 + 2 * sum(value.numel() for value in layer.parameters()) + 8
    assert added["pair network"] == 2 * (16 * 16 + 16)
