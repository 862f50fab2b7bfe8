"""Sequential modules, token order and registers, each against its published definition written out here."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from lab.loss.graph import Graph
from lab.loss.losses import LOSSES, accumulate_gradient
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig
from lab.model.layers import Block, rotary_table
from lab.model.network import count_parameters, initialise
from lab.objectives.objective import DataShape, Objective
from lab.objectives.registers import Registers, RegistersConfig
from lab.objectives.sequential_modules import SequentialModules, SequentialModulesConfig
from lab.objectives.table import OBJECTIVES
from lab.objectives.token_order import TokenOrder, TokenOrderConfig, upcoming_tokens
from tests.lab.gradients import assert_equal, batch_of, gradients

MODEL = ModelConfig(width=8, layers=4, attention_heads=2)
DATA = DataShape(vocabulary=7, length=10)
Naive = tuple[dict[str, Tensor], Tensor]


def built(kind: str, **settings: Any) -> Any:
    config = OBJECTIVES.config({"kind": kind, **settings}, "a spec")
    network: Objective = OBJECTIVES.find(kind, "a spec")(config, MODEL, DATA)
    initialise(network, 4, torch.Generator().manual_seed(3))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(len(parameter)))
    return network


def surprise(logits_V: Tensor, token: Tensor) -> Tensor:
    return logits_V.logsumexp(0) - logits_V[token]


def trunk_of(network: Objective, tokens_P: Tensor) -> Tensor:
    x = network.trunk.embed_tokens(tokens_P)[None]
    for layer in network.trunk.layers:
        x = layer(x, network.trunk.rotary(len(tokens_P)))
    return x[0]


def mean(found: list[Tensor]) -> Tensor:
    return torch.stack(found).mean()


def naive_modules(network: SequentialModules, batch: TensorBatch) -> Naive:
    """Equations 21 to 25 of the report, sample by sample."""
    config = network.config
    found: dict[int, list[Tensor]] = {lag: [] for lag in range(1, config.n + 1)}
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
                    found[lag].append(surprise(network.lm_head.weight @ norm(h[t]), tokens[t + lag]))
    means = {f"loss_{lag}": mean(each) for lag, each in found.items()}
    further = [value for name, value in means.items() if name != "loss_1"]
    return means, means["loss_1"] + (config.weight * mean(further) if further else 0.0)


def naive_order(network: TokenOrder, batch: TensorBatch) -> Naive:
    """Dense scores, window - d or minus infinity, and the cross-entropy of two softmaxes."""
    window = network.config.window
    next_token, ranking = [], []
    for tokens, carries in zip(batch.tokens_BxT, batch.loss, strict=True):
        h = network.norm(trunk_of(network, tokens[:-1]))
        for t in range(9):
            if carries[t + 1]:
                next_token.append(surprise(network.lm_head.weight @ h[t], tokens[t + 1]))
            scores = torch.full((7,), -math.inf, dtype=h.dtype)
            for d in range(min(window, 9 - t), 0, -1):
                if carries[t + d]:
                    scores[tokens[t + d]] = window - d
            if scores.max() > -math.inf:
                log_q = (network.order_head.weight @ h[t]).log_softmax(0)
                ranking.append(-(scores.softmax(0) * log_q).sum())
    means = {"loss_1": mean(next_token), "loss_order": mean(ranking)}
    return means, means["loss_1"] + network.config.weight * means["loss_order"]


def naive_registers(network: Registers, batch: TensorBatch) -> Naive:
    """Registers interleaved with the tokens, as published: x_0 r_0 x_1 r_1 ..."""
    next_token, registers = [], []
    d_of = network.distances(batch.indices)
    place = torch.arange(18)
    is_register = place % 2 == 1
    mask = (place[:, None] >= place) & (~is_register | (place[:, None] == place))
    for tokens, carries, d in zip(batch.tokens_BxT, batch.loss, d_of, strict=True):
        x = torch.stack(
            [network.trunk.embed_tokens(tokens[:-1]), network.register_embedding.weight.expand(9, -1)], dim=1
        )
        x = x.reshape(1, 18, 8)
        positions = torch.where(is_register, (place // 2 + int(d) - 1).clamp(max=8), place // 2)
        rotary = network.trunk.rotary(9)[:, positions]
        for layer in network.trunk.layers:
            x = layer(x, rotary, mask)
        h = network.norm(x[0])
        for t in range(9):
            if carries[t + 1]:
                next_token.append(surprise(network.lm_head.weight @ h[2 * t], tokens[t + 1]))
            if t + d < 10 and carries[t + d]:
                registers.append(surprise(network.lm_head.weight @ h[2 * t + 1], tokens[t + d]))
    means = {"loss_1": mean(next_token), "loss_registers": mean(registers)}
    a = network.config.weight
    return means, (1 - a) * means["loss_1"] + a * means["loss_registers"]


CASES: list[tuple[str, dict[str, Any], Any]] = [
    *(("sequential_modules", {"n": n, "match": match}, naive_modules) for n in (1, 2, 4) for match in ("layers", "none")),
    ("sequential_modules", {"n": 3, "weight": 0.7}, naive_modules),
    *(("token_order", {"window": window}, naive_order) for window in (1, 3, 9, 32)),
    ("token_order", {"window": 4, "weight": 0.25}, naive_order),
    *(("registers", {"horizon": horizon}, naive_registers) for horizon in (1, 2, 4, 9)),
    ("registers", {"horizon": 3, "weight": 0.8}, naive_registers),
]  # fmt: skip


@pytest.mark.parametrize("share", [1.1, 0.4], ids=["all", "masked"])
@pytest.mark.parametrize(("kind", "settings", "naive"), CASES)
def test_three_losses_give_the_gradient_of_the_definition(
    kind: str, settings: dict[str, Any], naive: Any, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.loss.graph.ROWS_AT_ONCE", 7)
    for dtype, relative in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        network, batch = built(kind, **settings).to(dtype), batch_of(share)
        means, total = naive(network, batch)
        total.backward()
        expected = gradients(network)
        for loss in LOSSES:
            values = accumulate_gradient(network, batch, loss)
            assert values.keys() == means.keys()
            for name, value in values.items():
                assert float(value) == pytest.approx(float(means[name].detach()), rel=relative)
            assert_equal(gradients(network), expected, relative)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", OBJECTIVES.rows)
def test_micro_batches_of_uneven_weight_add_up_to_the_whole_batch(kind: str, loss: str) -> None:
    network, batch = built(kind).double(), batch_of(0.3)
    batch.loss[0] = False
    values = accumulate_gradient(network, batch, loss)
    expected = gradients(network)
    found = accumulate_gradient(network, batch, loss, 5)
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {name: float(value) for name, value in values.items()}, rel=1e-12
    )
    assert_equal(gradients(network), expected, 1e-12)


def test_what_is_ranked_by_hand() -> None:
    """Ahead of `x` comes a b a c, of which b carries no loss: a at distance 1, c at 4."""
    a, b, c, x = range(4)
    tokens = torch.tensor([[x, a, b, a, c]])
    loss = np.array([[True, True, False, True, True]])
    found, ranked = upcoming_tokens(tokens, loss, np.array([0, 1, 3]), 4)
    assert found[0].tolist() == [a, b, a, c]
    assert ranked[0].tolist() == [True, False, False, True]
    assert found[1].tolist()[:3] == [b, a, c]
    assert ranked[1].tolist() == [False, True, True, False]
    assert ranked[2].tolist() == [True, False, False, False]


def test_a_prediction_reads_only_tokens_before_its_target() -> None:
    """Module k may read up to the token before the one it predicts; registers and the order only what stands there."""
    for kind, settings, allowed in (
        ("sequential_modules", {"n": 4}, {1: 0, 2: 1, 3: 2, 4: 3}),
        ("token_order", {}, {1: 0}),
        ("registers", {}, {1: 0}),
    ):
        network = built(kind, **settings)
        tokens = batch_of(1.1).tokens_BxT[:1]
        for lag, further in allowed.items():
            before = network.hidden(network.trunk(tokens), lag, tokens)[0, 4]
            for place in range(10):
                changed = tokens.clone()
                changed[0, place] = (changed[0, place] + 1) % 7
                after = network.hidden(network.trunk(changed), lag, changed)[0, 4]
                assert torch.equal(before, after) == (place > 4 + further), (kind, lag, place)


def test_a_register_reads_the_tokens_up_to_its_own_and_no_other_register() -> None:
    network, batch = built("registers", horizon=1), batch_of(1.1)

    def register(tokens: Tensor) -> Tensor:
        with torch.no_grad():
            z: Tensor = network.latent(TensorBatch(tokens, batch.loss, batch.indices))[0, 9 + 4]
        return z

    before = register(batch.tokens_BxT)
    for place in range(10):
        changed = batch.tokens_BxT.clone()
        changed[0, place] = (changed[0, place] + 1) % 7
        assert torch.equal(before, register(changed)) == (place > 4)


def test_registers_are_not_missed_at_inference() -> None:
    network, batch = built("registers").double(), batch_of(1.1)
    with_registers = network.hidden(network.latent(batch), 1, batch.inputs_BxP)
    without = network.hidden(network.trunk(batch.inputs_BxP), 1, batch.inputs_BxP)
    torch.testing.assert_close(with_registers, without, rtol=1e-12, atol=1e-12)
    assert network.latent(batch).shape == (5, 18, 8)


def test_distances_of_registers_are_drawn_evenly_from_the_horizon_by_sample_alone() -> None:
    network = built("registers", horizon=4)
    distances = network.distances(np.arange(4000))
    assert np.bincount(distances, minlength=5)[1:] == pytest.approx([1000] * 4, rel=0.12)
    assert (network.distances(np.arange(100, 200)) == distances[100:200]).all()


def test_modules_share_embedding_and_unembedding_and_own_the_rest() -> None:
    network = built("sequential_modules", n=3)
    block = count_parameters(Block(8, 2, MODEL.shape.hidden))
    assert count_parameters(network) == 2 * 7 * 8 + 4 * block + 8 + 2 * (block + 2 * 8 * 8 + 3 * 8)
    assert sum(network.parameters_by_part().values()) == count_parameters(network)
    matched = built("sequential_modules", n=3, match="layers")
    assert len(matched.trunk.layers) == 2


def test_drafting_a_module_at_a_time_equals_predicting_with_the_truth_between() -> None:
    network, tokens = built("sequential_modules", n=3).double(), batch_of(1.1).tokens_BxT[:, :8]
    for lag in (1, 2, 3):
        known = tokens[:, : 5 + lag - 1]
        alone = network.hidden(network.trunk(known[:, :5]), lag, known)[:, -1]
        together = network.hidden(network.trunk(tokens), lag, tokens)[:, 4]
        torch.testing.assert_close(alone, together, rtol=1e-12, atol=1e-12)


def test_the_weight_of_modules_changes_at_its_step() -> None:
    network = built("sequential_modules", n=3, final_weight=0.1, final_weight_from_step=100)
    batch = batch_of(1.1)
    for step, weight in ((None, 0.3), (99, 0.3), (100, 0.1)):
        at = TensorBatch(batch.tokens_BxT, batch.loss, batch.indices, step)
        terms = list(network.terms(network.latent(at), at, Graph()))
        assert [term.weight for term in terms] == pytest.approx([1.0, weight / 2, weight / 2])


def test_a_rotary_table_row_for_each_sample_turns_as_a_shared_one() -> None:
    block, x = Block(8, 2, 24), torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    table = rotary_table(5, 4, 100.0)
    apart = table[:, torch.arange(5).expand(3, -1)].unsqueeze(2)
    torch.testing.assert_close(block(x, table), block(x, apart))


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("sequential_modules", {"n": 5, "match": "layers"}, "leave no trunk"),
        ("sequential_modules", {"n": 10}, "looks 10 tokens ahead, but samples have 10"),
        ("sequential_modules", {"final_weight": 0.1}, "give both or neither"),
        ("registers", {"horizon": 10}, "objective.horizon = 10: should be smaller than the 10 tokens of a sample"),
        ("registers", {"weight": 1.5}, "less than or equal to 1"),
        ("token_order", {"window": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(kind: str, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match="objective") as error:
        built(kind, **settings)
    assert reason in str(error.value)


def test_settings_have_the_published_defaults() -> None:
    assert SequentialModulesConfig().weight == 0.3
    assert TokenOrderConfig().weight == 1.0
    assert RegistersConfig().weight == 0.3
