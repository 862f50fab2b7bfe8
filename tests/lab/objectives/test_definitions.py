"""Every objective but `multi_token` equals its published definition, written out here and in `naive_losses`."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from lab.loss.graph import Graph
from lab.loss.losses import LOSSES, accumulate_gradient
from lab.model.batches import TensorBatch
from lab.objectives.belief_state import BeliefStateConfig
from lab.objectives.future_summary import FutureSummaryConfig
from lab.objectives.joint import JointConfig
from lab.objectives.next_latent import NextLatentConfig
from lab.objectives.objective import Objective
from lab.objectives.registers import Registers, RegistersConfig
from lab.objectives.sequential_modules import SequentialModules, SequentialModulesConfig
from lab.objectives.table import OBJECTIVES
from lab.objectives.token_order import TokenOrder, TokenOrderConfig
from tests.lab.gradients import assert_equal, batch_of, pop_gradients
from tests.lab.objectives.naive_losses import (
    Naive,
    naive_belief_state,
    naive_joint,
    naive_next_latent,
    naive_replaced,
    naive_summary,
)
from tests.lab.objectives.tiny_networks import build_objective_network, cross_entropy, mean, trunk_of


def naive_modules(network: SequentialModules, batch: TensorBatch) -> Naive:
    """Equations 21 to 25 of the report, sample by sample."""
    config = network.config
    losses: dict[int, list[Tensor]] = {lag: [] for lag in range(1, config.n + 1)}
    for tokens, carries in zip(batch.tokens_BxT, batch.loss, strict=True):
        h = trunk_of(network, tokens[:-1])
        for lag in range(1, config.n + 1):
            norm = network.norm
            if lag > 1:
                module = network.modules_ahead[lag - 2]
                e = network.trunk.embed_tokens(tokens[lag - 1 : -1])
                both = torch.cat([module.hnorm(h[: len(e)]), module.enorm(e)], dim=1)
                h = module.block((both @ module.eh_proj.weight.T)[None], network.trunk.rotary(len(e)))[0]
                norm = module.norm
            for t in range(10 - lag):
                if carries[t + lag]:
                    losses[lag].append(cross_entropy(network.lm_head.weight @ norm(h[t]), tokens[t + lag]))
    means = {f"loss_{lag}": mean(values) for lag, values in losses.items()}
    further = [value for name, value in means.items() if name != "loss_1"]
    return means, means["loss_1"] + (config.weight * mean(further) if further else 0.0)


def naive_order(network: TokenOrder, batch: TensorBatch) -> Naive:
    """Computes the next-token loss and the ranking loss from dense scores.

    A token of the vocabulary scores window - d if its next occurrence in the loss mask is d <= window tokens ahead,
    else minus infinity. The ranking loss is the cross-entropy between the softmax of the scores and that of the
    ranking head.
    """
    window = network.config.window
    next_token, ranking = [], []
    for tokens, carries in zip(batch.tokens_BxT, batch.loss, strict=True):
        h = network.norm(trunk_of(network, tokens[:-1]))
        for t in range(9):
            if carries[t + 1]:
                next_token.append(cross_entropy(network.lm_head.weight @ h[t], tokens[t + 1]))
            scores = torch.full((7,), -math.inf, dtype=h.dtype)
            for d in range(min(window, 9 - t), 0, -1):
                if carries[t + d]:
                    scores[tokens[t + d]] = window - d
            if network.config.ranking == "hinge" and scores.max() > -math.inf:
                logits = network.order_head.weight @ h[t]
                order = [v for v in scores.argsort(descending=True).tolist() if scores[v] > -math.inf]
                pairs = [(logits[v], logits[w]) for v, w in pairwise(order)]
                if others := [logits[v] for v in range(7) if v not in order]:
                    pairs.append((logits[order[-1]], torch.stack(others).max()))
                hinges = [(1 - above + below).clamp(min=0) for above, below in pairs]
                ranking.append(torch.stack(hinges).sum() / len(order))
            elif scores.max() > -math.inf:
                log_q = (network.order_head.weight @ h[t]).log_softmax(0)
                ranking.append(-(scores.softmax(0) * log_q).sum())
    means = {"loss_1": mean(next_token), "loss_order": mean(ranking)}
    return means, means["loss_1"] + network.config.weight * means["loss_order"]


def naive_registers(network: Registers, batch: TensorBatch) -> Naive:
    """Interleaves registers with the tokens, as published: x_0 r_0 x_1 r_1 ..."""
    next_token, registers = [], []
    group = 1 + network.config.per_token
    distances = [network.distances(batch.indices, register) for register in range(group - 1)]
    place = torch.arange(9 * group)
    is_register = place % group > 0
    mask = (place[:, None] >= place) & (~is_register | (place[:, None] == place))
    for tokens, carries, *ahead in zip(batch.tokens_BxT, batch.loss, *distances, strict=True):
        embedded = network.trunk.embed_tokens(tokens[:-1])
        x = torch.stack([embedded, *[network.register_embedding.weight.expand(9, -1) for _ in ahead]], dim=1)
        x = x.reshape(1, 9 * group, 8)
        further = torch.tensor([1, *ahead])[place % group]
        positions = (place // group + further - 1).clamp(max=8)
        rotary = network.trunk.rotary(9)[:, positions]
        for layer in network.trunk.layers:
            x = layer(x, rotary, mask)
        h = network.norm(x[0])
        for t in range(9):
            if carries[t + 1]:
                next_token.append(cross_entropy(network.lm_head.weight @ h[group * t], tokens[t + 1]))
            for register, d in enumerate(ahead, start=1):
                if t + d < 10 and carries[t + d]:
                    registers.append(cross_entropy(network.lm_head.weight @ h[group * t + register], tokens[t + d]))
    means = {"loss_1": mean(next_token), "loss_registers": mean(registers)}
    a = network.config.weight
    return means, (1 - a) * means["loss_1"] + a * means["loss_registers"]


CASES: list[tuple[str, dict[str, Any], Any]] = [
    *(("sequential_modules", {"n": n, "match": match}, naive_modules) for n in (1, 2, 4) for match in ("layers", "none")),
    ("sequential_modules", {"n": 3, "weight": 0.7}, naive_modules),
    *(("token_order", {"window": window}, naive_order) for window in (1, 3, 9, 32)),
    ("token_order", {"window": 4, "weight": 0.25}, naive_order),
    ("token_order", {"window": 5, "ranking": "hinge"}, naive_order),
    *(("registers", {"horizon": horizon}, naive_registers) for horizon in (1, 2, 4, 9)),
    ("registers", {"horizon": 3, "weight": 0.8}, naive_registers),
    ("registers", {"horizon": 5, "per_token": 2}, naive_registers),
    ("registers", {"horizon": 3, "per_token": 3}, naive_registers),
    ("next_latent", {"horizon": 8}, naive_next_latent),
    ("next_latent", {"horizon": 2, "latent_weight": 0.3, "kl_weight": 2.0, "projection": 1.0}, naive_next_latent),
    ("future_summary", {}, naive_summary),
    ("future_summary", {"window": 5, "weight": 3.0}, naive_summary),
    ("joint", {"n": 4}, naive_joint),
    ("joint", {"n": 2, "latent_scale": 1.5}, naive_joint),
    ("teacherless", {"weight": 0.7}, naive_replaced),
    ("masked_teacher", {"span": 2}, naive_replaced),
    ("belief_state", {"pairs": 5, "layers": 2}, naive_belief_state),
]  # fmt: skip


@pytest.mark.parametrize("share", [1.1, 0.4], ids=["all", "masked"])
@pytest.mark.parametrize(("kind", "settings", "naive"), CASES)
def test_three_losses_give_the_gradient_of_the_definition(
    kind: str, settings: dict[str, Any], naive: Any, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.loss.graph.ROWS_AT_ONCE", 7)
    for dtype, relative in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        network, batch = build_objective_network(kind, **settings).to(dtype), batch_of(share)
        means, total = naive(network, batch)
        total.backward()
        expected = pop_gradients(network)
        for loss in LOSSES:
            values = accumulate_gradient(network, batch, loss)
            assert values.keys() == means.keys()
            for name, value in values.items():
                assert float(value) == pytest.approx(float(means[name].detach()), rel=relative)
            assert_equal(pop_gradients(network), expected, relative)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", OBJECTIVES.rows)
def test_micro_batches_of_uneven_weight_add_up_to_the_whole_batch(kind: str, loss: str) -> None:
    network, batch = build_objective_network(kind).double(), batch_of(0.3)
    batch.loss[0] = False
    values = accumulate_gradient(network, batch, loss)
    expected = pop_gradients(network)
    sums = accumulate_gradient(network, batch, loss, 5)
    assert {name: float(value) for name, value in sums.items()} == pytest.approx(
        {name: float(value) for name, value in values.items()}, rel=1e-12
    )
    assert_equal(pop_gradients(network), expected, 1e-12)


def terms_of(network: Objective, batch: TensorBatch) -> list[tuple[str, float, float]]:
    """Returns the name, value and weight of every term."""
    with torch.no_grad():
        terms = network.terms(network.latent(batch), batch, Graph())
        return [(term.name, float(term.value), term.weight) for term in terms]


@pytest.mark.parametrize(
    ("kind", "key", "values"),
    [
        ("sequential_modules", "weight", (0.3, 0.7)),
        ("token_order", "window", (1, 9)),
        ("registers", "horizon", (1, 9)),
        ("next_latent", "horizon", (2, 5)),
        ("future_summary", "window", (2, 9)),
        ("joint", "n", (2, 4)),
        ("masked_teacher", "share", (0.2, 1.0)),
        ("belief_state", "pairs", (3, 5)),
    ],
)
def test_two_networks_of_different_settings_may_read_one_batch(kind: str, key: str, values: tuple[float, ...]) -> None:
    """A batch keeps what objectives derive from it, which differs between the settings."""
    first, second = (build_objective_network(kind, **{key: value}).double() for value in values)
    shared = batch_of(0.4)
    terms = terms_of(first, shared)
    assert terms_of(second, shared) == terms_of(second, batch_of(0.4)) != terms


def test_a_prediction_reads_only_tokens_before_its_target() -> None:
    """A module, a rollout and a window read up to the token before their target; all others up to their position."""
    for kind, settings, allowed in (
        ("sequential_modules", {"n": 4}, {1: 0, 2: 1, 3: 2, 4: 3}),
        ("token_order", {}, {1: 0}),
        ("registers", {}, {1: 0}),
        ("next_latent", {"horizon": 3}, {1: 0, 2: 1, 3: 2, 4: 3}),
        ("future_summary", {}, {1: 0}),
        ("joint", {"n": 4}, {1: 0, 2: 1, 3: 2, 4: 3}),
        ("teacherless", {}, {1: 0}),
        ("masked_teacher", {}, {1: 0}),
        ("belief_state", {}, {1: 0}),
    ):
        network = build_objective_network(kind, **settings)
        tokens = batch_of(1.1).tokens_BxT[:1]
        for lag, further in allowed.items():
            before = network.hidden(network.trunk(tokens), lag, tokens)[0, 4]
            for place in range(10):
                changed = tokens.clone()
                changed[0, place] = (changed[0, place] + 1) % 7
                after = network.hidden(network.trunk(changed), lag, changed)[0, 4]
                assert torch.equal(before, after) == (place > 4 + further), (kind, lag, place)


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("sequential_modules", {"n": 5, "match": "layers"}, "leave no trunk"),
        ("sequential_modules", {"n": 10}, "looks 10 tokens ahead, but samples have 10"),
        ("sequential_modules", {"final_weight": 0.1}, "give both or neither"),
        ("registers", {"horizon": 10}, "objective.horizon = 10: should be smaller than the 10 tokens of a sample"),
        ("registers", {"weight": 1.5}, "less than or equal to 1"),
        ("registers", {"horizon": 3, "per_token": 4}, "per_token = 4 should be at most horizon = 3"),
        ("token_order", {"window": 0}, "greater than or equal to 1"),
        ("next_latent", {"horizon": 9}, "objective.horizon = 9: should be smaller than 9, the number of latents"),
        ("future_summary", {"window": 1}, "greater than or equal to 2"),
        ("joint", {"n": 1}, "greater than or equal to 2"),
        ("joint", {"n": 10}, "looks 10 tokens ahead, but samples have 10"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(kind: str, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match="objective") as error:
        build_objective_network(kind, **settings)
    assert reason in str(error.value)


def test_settings_have_the_published_defaults() -> None:
    assert SequentialModulesConfig().weight == 0.3
    assert TokenOrderConfig().weight == 1.0
    assert RegistersConfig().weight == 0.3
    assert (NextLatentConfig().latent_weight, NextLatentConfig().kl_weight, NextLatentConfig().projection) == (
        1,
        1,
        0.5,
    )
    assert FutureSummaryConfig().weight == 1.0
    assert JointConfig().latent_scale == 0.5
    assert (BeliefStateConfig().pairs, BeliefStateConfig().weight) == (16, 0.25)
