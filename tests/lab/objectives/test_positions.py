"""Leaving out what no target needs changes no loss and no gradient, whatever the mask, the objective and the loss."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from generators.task import Mask
from lab.loss.graph import Graph
from lab.loss.losses import LOSSES, accumulate_gradient
from lab.loss.term import Term
from lab.model import batches, windows
from lab.model.batches import TensorBatch
from lab.model.network import initialise
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.objectives.objective import Objective
from tests.lab.gradients import assert_equal, pop_gradients
from tests.lab.networks import COMBINATIONS
from tests.lab.objectives.target_masks import LENGTH, MASKS, SAMPLES, batch_with, largest_share
from tests.lab.objectives.tiny_networks import DATA, MODEL, build_objective_network
from tests.lab.objectives.variants import name_of

WIRINGS = [
    {"kind": "multi_token", **wiring} for wiring in COMBINATIONS if (wiring["n"], wiring["match"]) == (3, "none")
]
CURRICULUM = {"kind": "multi_token", "n": 3, "curriculum": "reverse", "stage_steps": 4, "topology": "causal"}
OBJECTIVES: list[dict[str, Any]] = [
    *WIRINGS,
    {"kind": "multi_token", "n": 1},
    {"kind": "multi_token", "n": 1, "head": "none"},
    {"kind": "multi_token", "n": 3, "stride": 2},
    CURRICULUM,
    CURRICULUM | {"head": "linear"},
    CURRICULUM | {"curriculum": "forward"},
    {"kind": "sequential_modules", "n": 1},
    {"kind": "sequential_modules", "n": 4},
    {"kind": "token_order"},
    {"kind": "token_order", "window": 2},
    {"kind": "token_order", "ranking": "hinge"},
    {"kind": "registers"},
    {"kind": "registers", "horizon": 7},
    {"kind": "registers", "horizon": 5, "per_token": 3},
    {"kind": "next_latent", "horizon": 3},
    {"kind": "future_summary", "window": 3},
    {"kind": "joint", "n": 3},
    {"kind": "teacherless"},
    {"kind": "masked_teacher", "span": 2},
    {"kind": "belief_state", "pairs": 3},
]
"""Settings of every objective; at step 5 one head of the reverse curricula is left out, and one of the forward one."""
LEADERS = [objective for objective in OBJECTIVES if objective in WIRINGS[:3] or objective["kind"] != "multi_token"]


def losses_and_gradient(
    network: Objective, loss_mask: Mask, loss: str = "joint", pieces: int = 1
) -> tuple[dict[str, float], dict[str, Tensor]]:
    values = accumulate_gradient(network, batch_with(loss_mask), loss, pieces)
    return {name: float(value) for name, value in values.items()}, pop_gradients(network)


def assert_same(
    some: tuple[dict[str, float], dict[str, Tensor]], every: tuple[dict[str, float], dict[str, Tensor]]
) -> None:
    assert some[0] == pytest.approx(every[0], rel=1e-9, abs=1e-12)
    assert_equal(some[1], every[1], 1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
def test_losses_and_gradients_are_those_of_all_positions(objective: dict[str, Any]) -> None:
    network = build_objective_network(**objective).double()
    for loss_mask in MASKS.values():
        with largest_share(0):
            every = losses_and_gradient(network, loss_mask)
        with largest_share(1):
            assert_same(losses_and_gradient(network, loss_mask), every)


@pytest.mark.parametrize("mask", ["answers at one place", "answers where samples end", "answers and an end"])
@pytest.mark.parametrize("objective", LEADERS, ids=name_of)
def test_so_are_those_of_the_other_losses_and_of_micro_batches(objective: dict[str, Any], mask: str) -> None:
    network = build_objective_network(**objective).double()
    with largest_share(0):
        every = losses_and_gradient(network, MASKS[mask])
    with largest_share(1):
        for loss in LOSSES:
            assert_same(losses_and_gradient(network, MASKS[mask], loss, 1 if loss != "joint" else 2), every)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(OBJECTIVES), arrays(np.bool_, (SAMPLES, LENGTH)), st.sampled_from([0.6, 0.75, 0.9, 1.0]))
def test_so_are_those_of_any_mask_whatever_share_of_the_positions_is_left_out(
    objective: dict[str, Any], loss_mask: Mask, share: float
) -> None:
    network = build_objective_network(**objective).double()
    with largest_share(0):
        every = losses_and_gradient(network, loss_mask)
    with largest_share(share):
        assert_same(losses_and_gradient(network, loss_mask), every)


def test_samples_that_end_at_different_places_are_packed_and_few_targets_get_a_window() -> None:
    expected = {
        "answers at one place": (False, 5),
        "answers at one place, a sample without": (True, "gathered"),
        "answers where samples end": (True, "gathered"),
        "answers and an end": (False, "gathered"),
        "samples of unequal length": (True, "all"),
        "scattered": (True, "gathered"),
        "one target": (True, 4),
        "first tokens": (True, "all"),
        "all": (False, "all"),
    }
    for name, mask in MASKS.items():
        batch = batch_with(mask)
        window = batch.window((1,))
        place = "all" if window is None else "gathered" if window.start is None else window.start
        assert (batch.packing() is not None, place) == expected[name], name


@pytest.mark.parametrize("shift", [-1, 1])
@pytest.mark.parametrize("mask", ["answers at one place", "answers and an end"])
def test_a_window_next_to_the_targets_is_noticed(mask: str, shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_objective_network("multi_token", n=3, match="none").double()
    with largest_share(0):
        every = losses_and_gradient(network, MASKS[mask])
    monkeypatch.setattr(
        batches, "window_of", lambda needed, device: windows.window_of(np.roll(needed, shift, axis=1), device)
    )
    with pytest.raises(AssertionError):
        assert_same(losses_and_gradient(network, MASKS[mask]), every)


class ReadsAllLatents(MultiToken):
    """Adds a term that reads the latent at every position, and does not say so."""

    config: MultiTokenConfig

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        yield from super().terms(latent_BxSxD, batch, graph)
        yield Term("spread", latent_BxSxD.square().sum() / len(batch.whole.loss), len(batch.whole.loss))


def test_another_objective_reads_every_position_unless_it_says_otherwise() -> None:
    config = MultiTokenConfig(n=2, head="linear")
    network = ReadsAllLatents(config, MODEL, DATA)
    initialise(network, MODEL.shape.layers, torch.Generator().manual_seed(0))
    network.double()
    assert MultiToken.reads_targets_only
    assert not ReadsAllLatents.reads_targets_only
    with largest_share(0):
        every = losses_and_gradient(network, MASKS["answers where samples end"])
    with largest_share(1):
        assert_same(losses_and_gradient(network, MASKS["answers where samples end"]), every)
        network.reads_targets_only = True
        wrong = losses_and_gradient(network, MASKS["answers where samples end"])
    assert wrong[0]["spread"] != pytest.approx(every[0]["spread"], rel=1e-4)
