"""The target of the ranking loss: shares by hand, at any distance, and what a window leaves out of them."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lab.model.config import ModelConfig
from lab.objectives.objective import DataShape
from lab.objectives.token_order import (
    TokenOrder,
    TokenOrderConfig,
    previous_occurrence,
    ranked_positions,
    upcoming_tokens,
)

VOCABULARY = 6


def shares(tokens: list[int], window: int, carries: list[bool] | None = None) -> Tensor:
    """The target at the first position [V], read off the gradient: with all logits 0 it is 1/V less the share."""
    model = ModelConfig(width=4, layers=1, attention_heads=1)
    network = TokenOrder(TokenOrderConfig(window=window), model, DataShape(VOCABULARY, len(tokens))).double()
    weight_VxD = torch.nn.init.zeros_(network.order_head.weight)
    loss = np.ones((1, len(tokens)), dtype=bool) if carries is None else np.array([carries])
    ahead = upcoming_tokens(torch.tensor([tokens]), loss, np.array([0]), window)
    network.ranking_loss(torch.eye(4, dtype=torch.float64)[:1], *ahead).backward()  # type: ignore[no-untyped-call]
    assert weight_VxD.grad is not None
    return 1 / VOCABULARY - weight_VxD.grad[:, 0]


def test_shares_by_hand() -> None:
    """Ahead of x comes a b a c: a, b, c as exp(-1), exp(-2), exp(-4); without the first a, as exp(-3), exp(-2), exp(-4)."""
    a, b, c, x = range(4)
    first, second, third, fourth = (math.exp(-d) for d in (1, 2, 3, 4))
    all_carry = shares([x, a, b, a, c], 4)
    assert all_carry.tolist() == pytest.approx(
        [each / (first + second + fourth) for each in (first, second, fourth, 0, 0, 0)]
    )
    carries = [True, False, True, True, True]
    some_carry = shares([x, a, b, a, c], 4, carries)
    assert some_carry.tolist() == pytest.approx(
        [each / (third + second + fourth) for each in (third, second, fourth, 0, 0, 0)]
    )
    assert shares([x, a, b, a, c], 1, carries=[True] * 5).tolist() == pytest.approx([1, 0, 0, 0, 0, 0])


def test_a_token_that_comes_alone_has_the_whole_share_however_far() -> None:
    """exp(-1500) is no number even in double precision."""
    carries = [False] * 1500 + [True]
    assert shares([0] * 1500 + [5], 1500, carries).tolist() == pytest.approx([0, 0, 0, 0, 0, 1])


@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_a_window_leaves_out_at_most_1_6_exp_of_minus_itself(window: int) -> None:
    """The worst case: one token fills the window, and new ones follow it."""
    tokens = [0] * (window + 1) + [1, 2, 3, 4, 5]
    whole = shares(tokens, len(tokens) - 1)
    left_out = 1 - float(whole[shares(tokens, window) > 1e-9].sum())
    assert 0.9 * math.exp(-window) / (1 + math.exp(-window)) < left_out < 1.6 * math.exp(-window)


def test_a_position_is_ranked_where_a_token_that_carries_loss_is_within_the_window() -> None:
    loss = np.array([[True, False, False, True, False, False], [False] * 6])
    assert ranked_positions(loss, 2).tolist() == [[False, True, True, False, False], [False] * 5]
    assert ranked_positions(loss, 5).tolist() == [[True, True, True, False, False], [False] * 5]


def test_the_time_before_in_long_samples() -> None:
    random = np.random.default_rng(0)
    tokens, carries = random.integers(0, 3, (2, 600)), random.random((2, 600)) < 0.7
    found = previous_occurrence(torch.from_numpy(tokens), torch.from_numpy(carries))
    for sample in range(2):
        last: dict[int, int] = {}
        for place in np.flatnonzero(carries[sample]).tolist():
            token = int(tokens[sample, place])
            assert found[sample, place] == last.get(token, -1)
            last[token] = place
