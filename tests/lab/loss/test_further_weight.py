"""The factor on all losses but that of the next token: its values, its gradient, and what it leaves as it was."""

from typing import Any

import pytest
import torch

from generators.foundation.errors import UserError
from lab.loss.further_weight import FurtherWeight
from lab.loss.graph import Graph
from lab.loss.losses import LOSSES, accumulate_gradient
from lab.objectives.table import OBJECTIVES
from tests.conftest import Spec
from tests.lab.gradients import STEP, assert_equal, batch_of, pop_gradients
from tests.lab.objectives.tiny_networks import build_objective_network

HALVED = {"first": 1.0, "last": 0.0, "step": 2 * STEP}
"""A factor that is one half at the step of the batch."""
SETTINGS: dict[str, dict[str, Any]] = {"multi_token": {"n": 3, "weights": [0.8, 0.6, 0.4]}}


def test_the_factor_of_the_example() -> None:
    linear, at_once = (FurtherWeight(shape=shape, first=0.3, last=0.1, step=1000) for shape in ("linear", "step"))
    steps = (None, 0, 500, 999, 1000, 5000)
    assert [linear.at(step) for step in steps] == pytest.approx([0.3, 0.3, 0.2, 0.1002, 0.1, 0.1])
    assert [at_once.at(step) for step in steps] == pytest.approx([0.3, 0.3, 0.3, 0.3, 0.1, 0.1])


@pytest.mark.parametrize("kind", OBJECTIVES.rows)
def test_all_losses_but_that_of_the_next_token_are_multiplied(kind: str) -> None:
    network = build_objective_network(kind, further_weight=HALVED, **SETTINGS.get(kind, {})).double()
    batch = batch_of(0.4)
    total = torch.zeros((), dtype=torch.float64)
    for term in network.terms(network.latent(batch), batch, Graph()):
        total = total + (1 if term.name == "loss_1" else 0.5) * term.weight * term.value
    total.backward()  # type: ignore[no-untyped-call]
    expected = pop_gradients(network)
    for loss in LOSSES:
        accumulate_gradient(network, batch, loss, 1 if loss == "chunked" else 2)
        assert_equal(pop_gradients(network), expected, 1e-9)


def test_a_run_without_the_factor_keeps_its_identity(tiny: Spec) -> None:
    for kind in OBJECTIVES.rows:
        assert (
            not {"further_weight", "ranking", "per_token", "entropy_at_most"}
            & tiny(objective={"kind": kind}).canonical()["objective"].keys()
        )
    objective = {"kind": "token_order", "further_weight": {"first": 0.3, "last": 0.1, "step": 5}}
    weighted = tiny(objective=objective)
    assert weighted.canonical()["objective"]["further_weight"] == {**objective["further_weight"], "shape": "linear"}  # type: ignore[dict-item]
    assert weighted.identity != tiny(objective={"kind": "token_order"}).identity


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        ({"kind": "multi_token"}, "further_weight has no effect with n = 1"),
        ({"kind": "sequential_modules", "n": 1}, "further_weight has no effect with n = 1"),
        ({"kind": "sequential_modules", "final_weight": 0.1, "final_weight_from_step": 3}, "give one of them"),
        ({"kind": "token_order", "further_weight": {"first": 1.0, "last": 0.1, "step": 100}}, r"steps = \d+ end before it"),
        ({"kind": "token_order", "further_weight": {"first": 1.0, "last": 0.1}}, "further_weight.step is missing"),
        ({"kind": "token_order", "further_weight": {"shape": "cosine"} | HALVED}, "further_weight.shape = \"cosine\""),
    ],
)  # fmt: skip
def test_a_factor_without_effect_is_refused(tiny: Spec, objective: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        tiny(objective={"further_weight": {"first": 0.3, "last": 0.1, "step": 5}} | objective)
