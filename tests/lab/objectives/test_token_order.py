"""The target of the ranking loss has the shares computed by hand, at any distance and with a window."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lab.model.config import DataShape
from lab.model.trunks.llama import LlamaConfig
from lab.objectives.token_order import (
    TokenOrder,
    TokenOrderConfig,
    previous_occurrence,
    ranked_positions,
    upcoming_tokens,
)
from tests.lab.objectives.tiny_networks import build_objective_network

VOCABULARY = 6


def shares(tokens: list[int], window: int, carries: list[bool] | None = None) -> Tensor:
    """Returns the target at the first position [V] from the gradient, which with all logits 0 is 1/V minus the share."""
    model = LlamaConfig(width=4, layers=1, attention_heads=1)
    network = TokenOrder(TokenOrderConfig(window=window), model, DataShape(VOCABULARY, len(tokens))).double()
    weight_VxD = torch.nn.init.zeros_(network.order_head.weight)
    loss = np.ones((1, len(tokens)), dtype=bool) if carries is None else np.array([carries])
    ahead = upcoming_tokens(torch.tensor([tokens]), loss, np.array([0]), window)
    network.ranking_loss(torch.eye(4, dtype=torch.float64)[:1], *ahead).backward()  # type: ignore[no-untyped-call]
    assert weight_VxD.grad is not None
    return 1 / VOCABULARY - weight_VxD.grad[:, 0]


def test_shares_by_hand() -> None:
    """After x comes a b a c: a, b, c have exp(-1), exp(-2), exp(-4); if the first a is masked, a has exp(-3)."""
    a, b, c, x = range(4)
    first, second, third, fourth = (math.exp(-d) for d in (1, 2, 3, 4))
    all_carry = shares([x, a, b, a, c], 4)
    assert all_carry.tolist() == pytest.approx(
        [weight / (first + second + fourth) for weight in (first, second, fourth, 0, 0, 0)]
    )
    carries = [True, False, True, True, True]
    some_carry = shares([x, a, b, a, c], 4, carries)
    assert some_carry.tolist() == pytest.approx(
        [weight / (third + second + fourth) for weight in (third, second, fourth, 0, 0, 0)]
    )
    assert shares([x, a, b, a, c], 1, carries=[True] * 5).tolist() == pytest.approx([1, 0, 0, 0, 0, 0])


def test_hinges_by_hand() -> None:
    """After x comes a b a c: the scores 3, 1 and 0.5 of a, b and c are 2, 0.5 and, above the 0 of others, 0.5 apart."""
    network = build_objective_network("token_order", ranking="hinge").double()
    with torch.no_grad():
        network.order_head.weight.zero_()[:3, 0] = torch.tensor([3, 1, 0.5])
    rows = upcoming_tokens(torch.tensor([[3, 0, 1, 0, 2]]), np.ones((1, 5), np.bool_), np.array([0]), 4)
    loss = network.hinge_loss(torch.eye(8, dtype=torch.float64)[:1], *rows)
    assert loss.item() == pytest.approx(1 / 3)
    for settings, left_out in (({}, True), ({"ranking": "listnet"}, True), ({"ranking": "hinge"}, False)):
        assert ("ranking" not in TokenOrderConfig(**settings).model_dump(mode="json")) == left_out


def test_a_single_upcoming_token_has_the_whole_share_at_any_distance() -> None:
    """exp(-1500) underflows even in double precision."""
    carries = [False] * 1500 + [True]
    assert shares([0] * 1500 + [5], 1500, carries).tolist() == pytest.approx([0, 0, 0, 0, 0, 1])


@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_a_window_leaves_out_at_most_1_6_exp_of_minus_itself(window: int) -> None:
    """In the worst case one token fills the window, and new ones follow it."""
    tokens = [0] * (window + 1) + [1, 2, 3, 4, 5]
    without_window = shares(tokens, len(tokens) - 1)
    left_out = 1 - float(without_window[shares(tokens, window) > 1e-9].sum())
    assert 0.9 * math.exp(-window) / (1 + math.exp(-window)) < left_out < 1.6 * math.exp(-window)


def test_a_position_is_ranked_if_a_token_within_the_window_carries_loss() -> None:
    loss = np.array([[True, False, False, True, False, False], [False] * 6])
    assert ranked_positions(loss, 2).tolist() == [[False, True, True, False, False], [False] * 5]
    assert ranked_positions(loss, 5).tolist() == [[True, True, True, False, False], [False] * 5]


def test_previous_occurrences_in_long_samples() -> None:
    random = np.random.default_rng(0)
    tokens, carries = random.integers(0, 3, (2, 600)), random.random((2, 600)) < 0.7
    previous = previous_occurrence(torch.from_numpy(tokens), torch.from_numpy(carries))
    for sample in range(2):
        last: dict[int, int] = {}
        for place in np.flatnonzero(carries[sample]).tolist():
            token = int(tokens[sample, place])
            assert previous[sample, place] == last.get(token, -1)
            last[token] = place


def test_ranked_tokens_by_hand() -> None:
    """After `x` comes `a b a c`, where b is outside the loss mask: a is at distance 1 and c at 4."""
    a, b, c, x = range(4)
    tokens = torch.tensor([[x, a, b, a, c]])
    loss = np.array([[True, True, False, True, True]])
    tokens_ahead, ranked = upcoming_tokens(tokens, loss, np.array([0, 1, 3]), 4)
    assert tokens_ahead[0].tolist() == [a, b, a, c]
    assert ranked[0].tolist() == [True, False, False, True]
    assert tokens_ahead[1].tolist()[:3] == [b, a, c]
    assert ranked[1].tolist() == [False, True, True, False]
    assert ranked[2].tolist() == [True, False, False, False]
