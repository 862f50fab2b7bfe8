"""Joint, sequential and chunked losses and micro-batches, against a loss written naively here."""

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lab.loss import graph
from lab.loss.losses import LOSSES, accumulate_gradient
from lab.model.batches import TensorBatch
from lab.objectives.multi_token import MultiToken
from tests.lab.gradients import STEP, assert_equal, batch_of, pop_gradients
from tests.lab.networks import COMBINATIONS, CURRICULA, STRIDES_AND_WEIGHTS, multi_token_network, name_of

PIECES = "chunked in pieces"
"""The chunked loss of torch versions before 2.13."""
PATHS = [*LOSSES, PIECES]


def select_loss(path: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns the name of the loss of a path, after switching torch's own chunked loss on or off."""
    monkeypatch.undo()
    if path == PIECES:
        monkeypatch.setattr(graph, "FUSED", None)
        monkeypatch.setattr(graph, "ROWS_AT_ONCE", 16)
    return path.split()[0]


def naive_loss(network: MultiToken, batch: TensorBatch) -> tuple[dict[str, Tensor], Tensor]:
    """Computes the mean of every head and their weighted sum as in appendix B, one target at a time."""
    config, n = network.config, network.config.n
    modules: dict[int, nn.Module] = {1: network.head, **dict(enumerate(network.extra_heads, start=2))}
    unembeddings = {1: network.lm_head, **dict(enumerate(network.extra_lm_heads, start=2))}
    stage = STEP // config.stage_steps if config.stage_steps else 0
    trained = {"none": n, "forward": stage + 1, "reverse": n - stage}[config.curriculum]
    means, total = {}, torch.zeros((), dtype=network.lm_head.weight.dtype)
    for head in range(1, min(n, trained) + 1):
        path = {"parallel": [head], "causal": list(range(1, head + 1)), "anticausal": list(range(n, head - 1, -1))}
        x = network.trunk.embed_tokens(batch.inputs_BxP)
        for layer in network.trunk.layers:
            x = layer(x, network.trunk.rotary(9))
        for step in path[config.topology]:
            x = modules[step](x, network.trunk.rotary(9)) if config.head == "transformer" else modules[step](x)
        unembedding = unembeddings[head if config.unembedding == "replicated" else 1]
        log_p = unembedding(network.norm(x)).log_softmax(-1)
        lag = 1 + config.stride * (head - 1)
        places = [(b, t) for b in range(5) for t in range(10 - lag) if batch.loss[b, t + lag]]
        samples, positions = torch.tensor(places).unbind(1)
        tokens = torch.tensor([int(batch.tokens_BxT[b, t + lag]) for b, t in places])
        means[f"loss_{lag}"] = -log_p[samples, positions, tokens].mean()
        total = total + (config.weights[head - 1] if config.weights else 1.0) * means[f"loss_{lag}"]
    return means, total


SETTINGS = [*COMBINATIONS, *STRIDES_AND_WEIGHTS, *CURRICULA]


@pytest.mark.parametrize(
    ("settings", "share", "dtype", "relative"),
    [
        *(
            pytest.param(own, 0.4, torch.float64, 1e-9, id=f"{name_of(own)}, masked, double precision")
            for own in SETTINGS
        ),
        *(
            pytest.param(
                own,
                1.1,
                torch.float32,
                1e-4,
                id=f"{name_of(own)}, all, single precision",
                marks=[pytest.mark.slow] if number % 8 else [],
            )
            for number, own in enumerate(SETTINGS)
        ),
    ],
)
def test_three_losses_give_the_gradient_of_a_naive_one(
    settings: dict[str, Any], share: float, dtype: torch.dtype, relative: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, batch = multi_token_network(settings).to(dtype), batch_of(share)
    means, total = naive_loss(network, batch)
    total.backward()
    expected = pop_gradients(network)
    assert len(expected) > 20
    for path in PATHS:
        values = accumulate_gradient(network, batch, select_loss(path, monkeypatch))
        assert values.keys() == means.keys()
        for name, value in values.items():
            assert float(value) == pytest.approx(float(means[name].detach()), rel=relative)
        assert_equal(pop_gradients(network), expected, relative)


@pytest.mark.parametrize("pieces", [2, 3, 5])
@pytest.mark.parametrize("path", PATHS)
def test_micro_batches_of_uneven_weight_add_up_to_the_whole_batch(
    path: str, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = select_loss(path, monkeypatch)
    network = multi_token_network({"n": 3, "topology": "causal", "head": "linear"}).double()
    batch = batch_of(0.3)
    batch.loss[0] = False  # of five pieces, the first has no target at all
    values = accumulate_gradient(network, batch, loss)
    expected = pop_gradients(network)
    sums = accumulate_gradient(network, batch, loss, pieces)
    assert {name: float(value) for name, value in sums.items()} == pytest.approx(
        {name: float(value) for name, value in values.items()}, rel=1e-12
    )
    assert_equal(pop_gradients(network), expected, 1e-12)


@pytest.mark.parametrize("path", PATHS)
def test_only_targets_that_carry_loss_are_unembedded(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = select_loss(path, monkeypatch)
    monkeypatch.setattr(graph, "ROWS_AT_ONCE", 512)
    rows: list[int] = []
    names = [name for name in ("cross_entropy", "linear_cross_entropy") if hasattr(nn.functional, name)]
    originals = {name: getattr(nn.functional, name) for name in names}

    def spy(name: str) -> Any:
        def record(hidden: Tensor, *others: Any, **settings: Any) -> Tensor:
            rows.append(len(hidden))
            loss: Tensor = originals[name](hidden, *others, **settings)
            return loss

        return record

    for name in names:
        monkeypatch.setattr(nn.functional, name, spy(name))
    batch = batch_of(0.3)
    accumulate_gradient(multi_token_network({"n": 2}), batch, loss)
    distinct = list(dict.fromkeys(rows))  # the backward pass unembeds pieces a second time
    assert distinct == [batch.loss[:, 1:].sum(), batch.loss[:, 2:].sum()]
    assert 0 < distinct[1] < 5 * 8


@pytest.mark.parametrize("path", PATHS)
def test_autocast_gives_nearly_the_same_gradient(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = select_loss(path, monkeypatch)
    network, batch = multi_token_network({"n": 2}), batch_of(1.1)
    accumulate_gradient(network, batch, loss)
    expected = pop_gradients(network)
    with torch.autocast("cpu", torch.bfloat16):
        accumulate_gradient(network, batch, loss)
    for name, value in pop_gradients(network).items():
        assert float((value - expected[name]).norm()) < 0.1 * float(expected[name].norm()), name


@pytest.mark.parametrize(("path", "alive"), [("joint", 4), ("sequential", 1), ("chunked", 0), (PIECES, 0)])
def test_only_the_joint_loss_keeps_more_logits_alive_with_more_heads(
    path: str, alive: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backward pass of a head keeps its log-softmax [N, V]; kept tensors are counted by their address in memory."""

    class Kept:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor

    kept: weakref.WeakSet[Kept] = weakref.WeakSet()
    most = 0

    def keep(tensor: Tensor) -> Kept:
        nonlocal most
        holder = Kept(tensor)
        if tensor.dim() == 2 and tensor.shape[1] == 7 and tensor.shape[0] > 20:
            kept.add(holder)
            most = max(most, len({other.tensor.data_ptr() for other in kept}))
        return holder

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda holder: holder.tensor):
        accumulate_gradient(multi_token_network({"n": 4}), batch_of(1.1), select_loss(path, monkeypatch))
    assert most == alive
