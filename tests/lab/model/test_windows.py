"""A window holds the positions that are needed, and a layer computes there what it computes everywhere."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor

from generators.foundation.randomness import Integers
from generators.task import Mask
from lab.model import layers, windows
from lab.model.layers import Block, rotary_table
from lab.model.network import initialise
from lab.model.windows import Window, covering_places, window_at

CPU = torch.device("cpu")
EQUAL = np.array([[2, 3, 4]] * 3)
SHIFTED = np.array([[2, 3, 4], [0, 1, 2], [3, 4, 5]])
SCATTERED = np.array([[0, 3, 5], [1, 2, 5], [0, 1, 4]])


def window_with(places: Integers, length: int = 6) -> Window:
    window = window_at(places, length, CPU)
    assert window is not None
    return window


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_a_window_holds_all_needed_positions_and_no_more_of_a_row_than_the_neediest_has(needed: Mask) -> None:
    places = covering_places(needed)
    assert places.shape == (len(needed), max(1, needed.sum(axis=1).max()))
    assert (np.diff(places, axis=1) > 0).all()
    assert places.min() >= 0
    assert places.max() < needed.shape[1]
    chosen = np.zeros_like(needed)
    np.put_along_axis(chosen, places, True, axis=1)
    assert (chosen | ~needed).all()


def test_answers_at_one_place_give_a_window_with_a_start_even_if_a_sample_has_none_or_fewer() -> None:
    needed = np.zeros((4, 9), np.bool_)
    needed[[0, 1, 3], 4:7] = True
    assert window_with(covering_places(needed), 9).start == 4
    needed[3, 6] = False
    assert window_with(covering_places(needed), 9).start == 4


def test_a_window_of_most_positions_is_none() -> None:
    assert window_at(np.array([[0, 1, 2]]), 4, CPU) is not None
    assert window_at(np.array([[0, 1, 2, 3]]), 5, CPU) is None


@pytest.mark.parametrize("places", [EQUAL, SHIFTED, SCATTERED], ids=["equal", "shifted", "scattered"])
@pytest.mark.parametrize("mask", ["causal", "shared", "per row"])
@pytest.mark.parametrize("rotary", ["shared", "per row"])
def test_a_layer_computes_at_a_window_what_it_computes_everywhere(places: Integers, mask: str, rotary: str) -> None:
    block = block_of_random_weights()
    noise = torch.Generator().manual_seed(1)
    x = torch.randn(3, 6, 8, generator=noise, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, places.shape[1], 8, generator=noise, dtype=torch.float64)
    table = rotary_table(6, 4, 100.0)
    if rotary == "per row":
        table = table[:, torch.randint(6, (3, 6), generator=noise)].unsqueeze(2)
    size = {"causal": None, "shared": (6, 6), "per row": (3, 1, 6, 6)}[mask]
    visible = None if size is None else torch.rand(size, generator=noise).lt(0.5) | torch.eye(6, dtype=torch.bool)

    def gradients(output: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((output * weights).sum(), (x, *block.parameters()))

    rows = torch.arange(3)[:, None]
    everywhere = block(x, table, visible)[rows, torch.from_numpy(places)]
    in_window = block(x, table, visible, window_with(places))
    torch.testing.assert_close(in_window, everywhere)
    torch.testing.assert_close(gradients(in_window), gradients(everywhere))


def block_of_random_weights() -> Block:
    block = Block(8, 2, 20)
    initialise(block, 1, torch.Generator().manual_seed(0))
    return block.double()


@pytest.mark.parametrize("places", [EQUAL, SHIFTED, SCATTERED], ids=["equal", "shifted", "scattered"])
def test_values_of_a_window_return_to_their_positions(places: Integers) -> None:
    window, x = window_with(places), torch.randn(3, 6, 2)
    spread = window.spread(window.select(x))
    chosen = torch.zeros(3, 6, dtype=torch.bool).scatter(1, torch.from_numpy(places), True)
    assert torch.equal(spread, torch.where(chosen[..., None], x, 0.0))
    row, place = np.nonzero(chosen.numpy())
    assert window.index(row * 6 + place).tolist() == list(range(places.size))


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_window_that_sees_one_position_more_or_less_is_noticed(shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    block, x, table = block_of_random_weights(), torch.randn(3, 6, 8, dtype=torch.float64), rotary_table(6, 4, 100.0)
    window = window_with(EQUAL)
    expected = block(x, table)[:, 2:5]
    monkeypatch.setattr(windows.Window, "mask", lambda window, _: torch.ones(3, 6, dtype=torch.bool).tril(2 + shift))
    assert not torch.allclose(block(x, table, None, window), expected)


@pytest.mark.parametrize("window", [None, window_with(EQUAL)], ids=["all positions", "window"])
def test_attention_on_a_cpu_stays_in_fp32_while_products_are_in_bf16(
    window: Window | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, types = Block(8, 1, 20), []
    attend = layers.F.scaled_dot_product_attention

    def recorded(*tensors: Tensor, **options: Any) -> Tensor:
        types.extend(tensor.dtype for tensor in tensors)
        return attend(*tensors, **options)

    monkeypatch.setattr(layers.F, "scaled_dot_product_attention", recorded)
    with torch.autocast("cpu", torch.bfloat16):
        block(torch.randn(3, 6, 8), rotary_table(6, 8, 100.0), None, window)
    assert types == [torch.float32] * 3
