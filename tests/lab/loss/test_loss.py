"""Joint, sequential and chunked losses, and micro-batches, against a loss written naively here."""

import weakref
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lab.loss import graph
from lab.loss.losses import LOSSES, accumulate_gradient
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig
from lab.model.network import count_parameters, initialise
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.objectives.objective import DataShape
from lab.objectives.wiring import combination_error
from tests.lab.gradients import STEP, assert_equal, batch_of, gradients

MODEL = ModelConfig(width=8, layers=6, attention_heads=2)
DATA = DataShape(vocabulary=7, length=10)
BLOCK = 4 * 8 * 8 + 3 * 8 * MODEL.shape.hidden + 2 * 8

COMBINATIONS = [
    {"head": head, "topology": topology, "unembedding": unembedding, "n": n, "match": match}
    for head, topology, unembedding, n, match in product(
        ("transformer", "linear", "none"), ("parallel", "causal", "anticausal"), ("shared", "replicated"), (1, 2, 3, 5),
        ("layers", "none"),
    )
    if combination_error(head, topology, unembedding, n) is None
]  # fmt: skip
EXTRAS: list[dict[str, Any]] = [
    {"n": 3, "stride": 2},
    {"n": 3, "weights": (1.0, 0.25, 0.0), "topology": "causal"},
    {"n": 3, "weights": (0.5, 2.0, 1.0), "topology": "anticausal", "stride": 2},
    {"n": 3, "curriculum": "forward", "stage_steps": 10, "topology": "causal"},
    {"n": 3, "curriculum": "reverse", "stage_steps": 4, "topology": "anticausal"},
]


def name_of(settings: dict[str, Any]) -> str:
    return " ".join(str(value) for value in settings.values())


def network_of(settings: dict[str, Any]) -> MultiToken:
    network = MultiToken(MultiTokenConfig(**settings), MODEL, DATA)
    initialise(network, 6, torch.Generator().manual_seed(3))
    with torch.no_grad():  # norms that are not one, so that a norm left out or taken twice shows
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(len(parameter)))
    return network


PIECES = "chunked in pieces"
"""The chunked loss as it is before torch 2.13."""
PATHS = [*LOSSES, PIECES]


def taking(path: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the loss of a path, which is taken from here on."""
    monkeypatch.undo()
    if path == PIECES:
        monkeypatch.setattr(graph, "FUSED", None)
        monkeypatch.setattr(graph, "ROWS_AT_ONCE", 16)
    return path.split()[0]


def naive(network: MultiToken, batch: TensorBatch) -> tuple[dict[str, Tensor], Tensor]:
    """Every head's mean and their weighted sum: appendix B written out, logits at every position, one target at a time."""
    config, n = network.config, network.config.n
    modules: dict[int, nn.Module] = {1: network.head, **dict(enumerate(network.extra_heads, start=2))}
    readers = {1: network.lm_head, **dict(enumerate(network.extra_lm_heads, start=2))}
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
        reader = readers[head if config.unembedding == "replicated" else 1]
        log_p = reader(network.norm(x)).log_softmax(-1)
        lag = 1 + config.stride * (head - 1)
        found = [
            -log_p[b, t, batch.tokens_BxT[b, t + lag]] for b in range(5) for t in range(10 - lag) if batch.loss[b, t + lag]
        ]  # fmt: skip
        means[f"loss_{lag}"] = torch.stack(found).mean()
        total = total + (config.weights[head - 1] if config.weights else 1.0) * means[f"loss_{lag}"]
    return means, total


@pytest.mark.parametrize("share", [1.1, 0.4], ids=["all", "masked"])
@pytest.mark.parametrize("settings", [*COMBINATIONS, *EXTRAS], ids=name_of)
def test_three_losses_give_the_gradient_of_a_naive_one(
    settings: dict[str, Any], share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for dtype, relative in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        network, batch = network_of(settings).to(dtype), batch_of(share)
        means, total = naive(network, batch)
        total.backward()
        expected = gradients(network)
        assert len(expected) > 20
        for path in PATHS:
            values = accumulate_gradient(network, batch, taking(path, monkeypatch))
            assert values.keys() == means.keys()
            for name, value in values.items():
                assert float(value) == pytest.approx(float(means[name].detach()), rel=relative)
            assert_equal(gradients(network), expected, relative)


def test_there_are_a_few_hundred_combinations_and_none_is_lost() -> None:
    assert len(COMBINATIONS) == 2 * 4 * (3 * 2 + 3 * 2 + 1) + 2
    assert len(COMBINATIONS) * 2 > 200


@pytest.mark.parametrize("settings", COMBINATIONS, ids=name_of)
def test_heads_share_the_parameters_they_should_and_no_other(settings: dict[str, Any]) -> None:
    network = network_of(settings)
    n, chained = settings["n"], settings["head"] == "transformer"
    layers = {"transformer": BLOCK, "linear": 64, "none": 0}[settings["head"]]
    unembeddings = n if settings["unembedding"] == "replicated" else 1
    trunk = 6 - (0 if not chained else n if settings["match"] == "layers" else 1)
    assert count_parameters(network) == 7 * 8 + trunk * BLOCK + n * layers + 8 + unembeddings * 7 * 8
    assert sum(network.parameters_by_part().values()) == count_parameters(network)
    addresses = [parameter.data_ptr() for parameter in network.parameters()]
    assert len(set(addresses)) == len(addresses)
    for one, other in zip(network.extra_heads, list(network.extra_heads)[1:], strict=False):
        assert all((a != b).any() for a, b in zip(one.parameters(), other.parameters(), strict=True) if a.dim() == 2)


@pytest.mark.parametrize("settings", [*COMBINATIONS, *EXTRAS[:3]], ids=name_of)
def test_no_prediction_reads_a_token_after_its_position(settings: dict[str, Any]) -> None:
    network, tokens = network_of(settings), batch_of(1.1).inputs_BxP[:1]
    embedded = network.trunk.embed_tokens(tokens).detach().requires_grad_()
    latent = network.trunk.run(embedded, network.trunk.rotary(9))
    for lag in network.lags:
        logits = network.unembed(network.hidden(latent, lag, torch.zeros(1, 9 + lag - 1))[0, 4], lag)
        (gradient,) = torch.autograd.grad(logits.square().sum(), embedded, retain_graph=True)
        assert (gradient[0, :5].abs().sum(dim=1) > 0).all()
        assert not gradient[0, 5:].any()


@pytest.mark.parametrize("pieces", [2, 3, 5])
@pytest.mark.parametrize("path", PATHS)
def test_micro_batches_of_uneven_weight_add_up_to_the_whole_batch(
    path: str, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = taking(path, monkeypatch)
    network, batch = network_of({"n": 3, "topology": "causal", "head": "linear"}).double(), batch_of(0.3)
    batch.loss[0] = False  # with five pieces, one has no target at all
    values = accumulate_gradient(network, batch, loss)
    expected = gradients(network)
    found = accumulate_gradient(network, batch, loss, pieces)
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {name: float(value) for name, value in values.items()}, rel=1e-12
    )
    assert_equal(gradients(network), expected, 1e-12)


@pytest.mark.parametrize("path", PATHS)
def test_only_targets_that_carry_loss_are_unembedded(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = taking(path, monkeypatch)
    monkeypatch.setattr(graph, "ROWS_AT_ONCE", 512)
    seen: list[int] = []
    names = [name for name in ("cross_entropy", "linear_cross_entropy") if hasattr(nn.functional, name)]
    kept = {name: getattr(nn.functional, name) for name in names}

    def spy(name: str) -> Any:
        def called(hidden: Tensor, *others: Any, **settings: Any) -> Tensor:
            seen.append(len(hidden))
            found: Tensor = kept[name](hidden, *others, **settings)
            return found

        return called

    for name in names:
        monkeypatch.setattr(nn.functional, name, spy(name))
    batch = batch_of(0.3)
    accumulate_gradient(network_of({"n": 2}), batch, loss)
    once = list(dict.fromkeys(seen))  # pieces are unembedded a second time on the way back
    assert once == [batch.loss[:, 1:].sum(), batch.loss[:, 2:].sum()]
    assert 0 < once[1] < 5 * 8


@pytest.mark.parametrize("path", PATHS)
def test_autocast_gives_nearly_the_same_gradient(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = taking(path, monkeypatch)
    network, batch = network_of({"n": 2}), batch_of(1.1)
    accumulate_gradient(network, batch, loss)
    expected = gradients(network)
    with torch.autocast("cpu", torch.bfloat16):
        accumulate_gradient(network, batch, loss)
    for name, value in gradients(network).items():
        assert float((value - expected[name]).norm()) < 0.1 * float(expected[name].norm()), name


def test_the_settings_of_heads_choose_what_is_trained() -> None:
    batch = batch_of(1.1)
    steps = {"forward": [1, 2, 3, 3], "reverse": [3, 2, 1, 1]}
    for curriculum, heads in steps.items():
        network = network_of({"n": 3, "curriculum": curriculum, "stage_steps": 2})
        for stage, count in enumerate(heads):
            at = TensorBatch(batch.tokens_BxT, batch.loss, batch.indices, step=2 * stage + 1)
            assert list(accumulate_gradient(network, at, "joint")) == [f"loss_{lag}" for lag in range(1, count + 1)]
    assert list(accumulate_gradient(network_of({"n": 3, "stride": 4}), batch, "joint")) == [
        "loss_1",
        "loss_5",
        "loss_9",
    ]


@pytest.mark.parametrize(("path", "alive"), [("joint", 4), ("sequential", 1), ("chunked", 0), (PIECES, 0)])
def test_logits_alive_together_do_not_grow_with_n_unless_the_loss_is_joint(
    path: str, alive: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a head's [N, V] backward keeps the log-softmax; kept tensors are counted by where they lie in memory."""

    class Kept:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor

    kept: weakref.WeakSet[Kept] = weakref.WeakSet()
    most = 0

    def keep(tensor: Tensor) -> Kept:
        nonlocal most
        one = Kept(tensor)
        if tensor.dim() == 2 and tensor.shape[1] == 7 and tensor.shape[0] > 20:
            kept.add(one)
            most = max(most, len({other.tensor.data_ptr() for other in kept}))
        return one

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda one: one.tensor):
        accumulate_gradient(network_of({"n": 4}), batch_of(1.1), taking(path, monkeypatch))
    assert most == alive
