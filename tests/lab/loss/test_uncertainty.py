"""Further heads learn no target behind a token that head 1 finds uncertain."""

from typing import Any

import pytest
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from lab.loss import graph
from lab.loss.losses import LOSSES, accumulate_gradient
from lab.loss.uncertainty import LEFT_OUT, count_boundaries, without_crossings
from lab.model.batches import TensorBatch
from lab.objectives.multi_token import MultiToken
from tests.conftest import Spec
from tests.lab.gradients import assert_equal, batch_of, pop_gradients
from tests.lab.networks import multi_token_network
from tests.lab.objectives.target_masks import MASKS, batch_with, largest_share

WIRINGS: list[dict[str, Any]] = [
    {},
    {"topology": "causal", "weights": (1.0, 0.1, 0.1, 0.1)},
    {"topology": "anticausal", "stride": 2, "n": 3},
    {"head": "linear"},
    {"head": "none", "unembedding": "replicated", "stride": 2, "n": 3},
]


def logits_of(network: MultiToken, tokens: Tensor, lag: int) -> Tensor:
    """Returns the logits of one sample [P, V]."""
    latent = network.trunk(tokens[None, :-1])
    return network.unembed(network.hidden(latent, lag, torch.zeros(1, len(tokens) + lag - 2))[0], lag)


def sharpened(settings: dict[str, Any], batch: TensorBatch) -> tuple[MultiToken, float]:
    """Returns a network whose predictions differ in entropy, and a limit that a third of the targets exceed."""
    network = multi_token_network({"n": 4, "entropy_at_most": 1.0, **settings}).double()
    with torch.no_grad():
        network.trunk.embed_tokens.weight.mul_(20)
        network.lm_head.weight.mul_(60)
    entropies = []
    for tokens, carries in zip(batch.tokens_BxT, torch.from_numpy(batch.loss), strict=True):
        log_p = logits_of(network, tokens, 1).detach().log_softmax(-1)
        entropies += (-(log_p.exp() * log_p).sum(-1))[carries[1:]].tolist()
    ordered = sorted(entropies)
    place = 2 * len(ordered) // 3
    limit = (ordered[place - 1] + ordered[min(place, len(ordered) - 1)]) / 2
    network.config = network.config.model_copy(update={"entropy_at_most": limit})
    return network, limit


def naive_loss(network: MultiToken, batch: TensorBatch, limit: float) -> tuple[dict[str, Tensor], Tensor, int]:
    """Computes each head's loss and their weighted sum target by target; returns the targets that are left out too."""
    left_out, total, values = 0, torch.zeros((), dtype=torch.float64), {}
    for head, lag in enumerate(network.lags, start=1):
        losses = []
        for tokens, carries in zip(batch.tokens_BxT, batch.loss, strict=True):
            next_p = logits_of(network, tokens, 1).detach().softmax(-1)
            log_p = logits_of(network, tokens, lag).log_softmax(-1)
            for t in range(len(tokens) - lag):
                if not carries[t + lag]:
                    continue
                on_the_way = [s for s in range(t + 1, t + lag + 1) if carries[s]]
                crosses = any(float(torch.special.entr(next_p[s - 1]).sum()) > limit for s in on_the_way)
                left_out += crosses and head > 1
                losses.append(torch.zeros(()) if crosses and head > 1 else -log_p[t, tokens[t + lag]])
        values[f"loss_{lag}"] = torch.stack(losses).sum() / len(losses) if losses else torch.zeros(())
        total = total + (network.config.weights or [1.0] * 4)[head - 1] * values[f"loss_{lag}"]
    return values, total, left_out


@pytest.mark.parametrize("mask", ["all", "scattered", "samples of unequal length", "answers at one place"])
@pytest.mark.parametrize("settings", WIRINGS, ids=str)
def test_three_losses_and_micro_batches_give_the_gradient_of_a_naive_loop(
    settings: dict[str, Any], mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "ROWS_AT_ONCE", 7)
    network, limit = sharpened(settings, batch_with(MASKS[mask]))
    means, total, left_out = naive_loss(network, batch_with(MASKS[mask]), limit)
    targets = sum(int(MASKS[mask][:, lag:].sum()) for lag in network.lags[1:])
    assert 0.2 * targets < left_out < 0.95 * targets
    total.backward()  # type: ignore[no-untyped-call]
    expected = pop_gradients(network)
    for loss in LOSSES:
        with largest_share(0.95 if loss == "joint" else 0):
            values = accumulate_gradient(network, batch_with(MASKS[mask]), loss, 2 if loss == "chunked" else 1)
        assert {name: float(value) for name, value in values.items()} == pytest.approx(
            {name: float(value.detach()) for name, value in means.items()}, rel=1e-9
        )
        assert_equal(pop_gradients(network), expected, 1e-9)


def test_the_documented_example() -> None:
    """In `x C0 a7 a6 a2 y` only a7 is uncertain."""
    batch = TensorBatch(torch.arange(6)[None], batch_of(1.1).loss[:1, :6], torch.arange(1).numpy(), step=0)
    unembedding = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    certain, uncertain = [50.0, 0.0], [0.0, 0.0]
    hidden = torch.tensor([[certain, uncertain, certain, certain, certain]])
    boundaries = count_boundaries(lambda *_: hidden, unembedding, hidden, batch, 0.5)
    assert boundaries.tolist() == [[0, 0, 1, 1, 1, 1]]
    kept = {lag: without_crossings(batch.targets(lag), batch.targets(lag), lag, boundaries) for lag in (2, 3)}
    assert kept[2].tokens_N.tolist() == [LEFT_OUT, LEFT_OUT, 4, 5]
    assert kept[3].tokens_N.tolist() == [LEFT_OUT, LEFT_OUT, 5]
    assert (kept[2].count, kept[3].count) == (4, 3)


def test_the_limit_changes_neither_the_next_token_loss_nor_evaluation() -> None:
    """Every token is uncertain at this limit, so only head 1 learns."""
    for step in (0, None):
        limited, plain = (multi_token_network({"n": 3, **more}) for more in ({"entropy_at_most": 1e-6}, {}))
        batch = batch_with(MASKS["all"], step)
        values = accumulate_gradient(limited, batch, "joint")
        expected = accumulate_gradient(plain, batch, "joint")
        assert values["loss_1"] == expected["loss_1"]
        gradients = pop_gradients(limited)
        if step is None:
            assert values == expected
            assert_equal(gradients, pop_gradients(plain), 0.0)
        else:
            assert float(values["loss_2"]) == float(values["loss_3"]) == 0
            pop_gradients(plain)
            alone = multi_token_network({"n": 3, "weights": (1.0, 0.0, 0.0)})
            accumulate_gradient(alone, batch, "joint")
            assert_equal(gradients, pop_gradients(alone), 1e-6)


def test_what_is_left_out_depends_on_no_token_from_the_target_on() -> None:
    network, limit = sharpened({"n": 3}, batch_with(MASKS["all"]))
    batch = batch_with(MASKS["all"])

    def counts(tokens_BxT: Tensor) -> Tensor:
        changed = TensorBatch(tokens_BxT, batch.loss, batch.indices, 0)
        return count_boundaries(network.hidden, network.lm_head.weight, network.latent(changed), changed, limit)

    before = counts(batch.tokens_BxT)
    for place in range(10):
        tokens = batch.tokens_BxT.clone()
        tokens[:, place] = (tokens[:, place] + 1) % 7
        assert torch.equal(counts(tokens)[:, : place + 1], before[:, : place + 1])


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        ({"n": 1}, "entropy_at_most has no effect with n = 1"),
        ({"n": 2, "weights": [0.0, 1.0]}, "entropy_at_most reads the predictions of head 1"),
        ({"n": 2, "entropy_at_most": 0.0}, "entropy_at_most"),
    ],
)
def test_a_limit_without_effect_is_refused(tiny: Spec, objective: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        tiny(objective={"kind": "multi_token", "entropy_at_most": 0.5} | objective)
