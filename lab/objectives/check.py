"""Whether an objective keeps the contract: what `lab objective check` finds, and what a test of one can call.

The network is tiny, its weights are in float64 and drawn from a seed, its batch is random. Every token of a sample is
another one, so that a row of the embedding stands for one position: a prediction has read the positions in whose rows
its gradient is not zero, whatever way they took.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generators.task import Batch
from lab.loss.graph import Graph
from lab.loss.losses import accumulate_gradient
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig
from lab.model.network import count_parameters, initialise
from lab.objectives.objective import DataShape, Objective, ObjectiveConfig
from lab.objectives.table import build_objective

MODEL = ModelConfig(width=16, layers=12, attention_heads=2)
DATA = DataShape(vocabulary=29, length=24)
SAMPLES, MICRO_BATCHES = 4, 3
RELATIVE = 1e-8
"""How far a gradient may be from another in float64, of its own length."""


@dataclass(frozen=True)
class Finding:
    """One line of a check. wrong: what is not as it should be; empty where nothing is."""

    name: str
    wrong: str


def check_objective(config: ObjectiveConfig) -> list[Finding]:
    """Everything the lab asks of an objective.

    Raises:
        UserError: the settings cannot be built in the model and data of the check.
    """
    network = built(config, 0)
    checks: dict[str, Callable[[Objective], str]] = {
        "weights come from the seed alone": weights,
        "terms have names of their own": terms,
        "sequential gives the gradient of joint": lambda net: same_gradient(net, "sequential", 1),
        "chunked gives the gradient of joint": lambda net: same_gradient(net, "chunked", 1),
        "micro-batches add up": lambda net: same_gradient(net, "joint", MICRO_BATCHES),
        "no prediction reads its target or later": predictions,
        "no loss_i reads its target or later": losses,
        "loss_1 is the loss of what is predicted": next_token_loss,
        "next_token_path gives the same logits": next_token_path,
        "parameters are counted by part": parts,
    }
    return [Finding(name, told(check, network)) for name, check in checks.items()]


def told(check: Callable[[Objective], str], network: Objective) -> str:
    """What a check finds wrong; what it raises is a finding too, with the line it came from."""
    try:
        return check(network)
    except Exception as error:  # whatever somebody else's objective raises
        last = traceback.extract_tb(error.__traceback__)[-1]
        message = (str(error).splitlines() or [""])[0]
        return f"{type(error).__name__}: {message} ({Path(last.filename).name}, line {last.lineno})"
    finally:
        network.zero_grad()


def built(config: ObjectiveConfig, state: int) -> Objective:
    """The network in float64, its weights from seed 0. `state` is that of torch's own generator, which none may use."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(state)
        network = build_objective(config, MODEL, DATA)
    noise = torch.Generator().manual_seed(0)
    initialise(network, MODEL.shape.layers, noise)
    network.double()
    with torch.no_grad():  # a gate that starts closed hides what is behind it, and a gain of one whether it is there
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64))
    return network


def batch_of(loss: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None" = None) -> TensorBatch:
    """Samples without a repeated token; without a mask of its own, an uneven share of the targets carries loss."""
    random = np.random.default_rng(0)
    tokens = np.stack([random.permutation(DATA.vocabulary)[: DATA.length] for _ in range(SAMPLES)])
    if loss is None:
        loss = random.random(tokens.shape) < np.linspace(0.2, 0.9, SAMPLES)[:, None]
    batch = Batch(tokens=tokens, loss=loss, scored=loss)
    return TensorBatch.from_batch(batch, torch.device("cpu"), np.arange(SAMPLES))


# ---- each returns what is wrong, or nothing


def weights(network: Objective) -> str:
    """Two networks of one seed are equal, whatever torch's own generator stands at."""
    other = built(network.config, 1).state_dict()
    if drawn := [name for name, value in network.state_dict().items() if not torch.equal(value, other[name])]:
        return (
            f"{', '.join(drawn)}: not drawn by `initialise`, which draws embeddings and the matrices of linear layers; "
            "let other parameters start from a constant"
        )
    return ""


def terms(network: Objective) -> str:
    """Names are distinct, and loss_1 is one of them."""
    batch = batch_of()
    names = [term.name for term in network.terms(network.latent(batch), batch, Graph())]
    if twice := {name for name in names if names.count(name) > 1}:
        return f"{', '.join(sorted(twice))} comes twice"
    return "" if "loss_1" in names else f"there is no loss_1, the loss of the next token; there are: {', '.join(names)}"


def gradients(network: Objective, loss: str, pieces: int) -> dict[str, Tensor]:
    """The gradient of each parameter, zeros where there is none."""
    accumulate_gradient(network, batch_of(), loss, pieces)
    found = {
        name: torch.zeros_like(value) if value.grad is None else value.grad.clone()
        for name, value in network.named_parameters()
    }
    network.zero_grad()
    return found


def same_gradient(network: Objective, loss: str, pieces: int) -> str:
    """One way to the gradient against the joint one of the whole batch."""
    expected, found = gradients(network, "joint", 1), gradients(network, loss, pieces)
    whole = max(float(value.norm()) for value in expected.values())
    for name, value in expected.items():
        distance, length = float((found[name] - value).norm()), float(value.norm())
        if distance > RELATIVE * max(length, 1e-3 * whole):
            return f"the gradient of {name} is {distance:.2g} away from one of length {length:.2g}"
    return ""


def read_by(network: Objective, batch: TensorBatch, value: Tensor) -> Tensor:
    """Which positions [T] of the first sample a number was computed from."""
    tables = [
        part.weight
        for part in network.modules()
        if isinstance(part, nn.Embedding) and part.num_embeddings >= DATA.vocabulary
    ]
    found = torch.autograd.grad(value, tables, retain_graph=True, allow_unused=True)
    touched = sum(each[: DATA.vocabulary].abs().sum(dim=1) for each in found if each is not None)
    assert isinstance(touched, Tensor), "a prediction in which no token has a part"
    return touched[batch.tokens_BxT[0]] > 0


def too_late(what: str, reads: Tensor, target: int) -> str:
    """What is wrong where a prediction of the token at `target` reads these positions [T]."""
    if not reads[:target].any():
        return f"{what} for the token at {target} reads no token before it"
    late = reads[target:].nonzero().flatten().tolist()
    return f"{what} for the token at {target} reads that at {late[0] + target}" if late else ""


def predictions(network: Objective) -> str:
    """`hidden` and `unembed`: the token `lag` ahead of a position is read from the tokens before it."""
    batch = batch_of()
    latent = network.latent(batch)
    for lag in network.lags:
        logits_1xPxV = network.unembed(network.hidden(latent, lag, batch.inputs_BxP)[:1], lag)
        for place in range(logits_1xPxV.shape[1]):
            reads = read_by(network, batch, logits_1xPxV[0, place].square().sum())
            if wrong := too_late(f"the prediction {lag} ahead", reads, place + lag):
                return wrong
    for target in range(1, DATA.length):
        other = changed(batch, target)
        for lag in (lag for lag in network.lags if lag <= target):
            before, after = (
                network.unembed(network.hidden(network.latent(each), lag, each.inputs_BxP)[:, target - lag], lag)
                for each in (batch, other)
            )
            if not torch.allclose(before, after, RELATIVE):
                return f"the prediction {lag} ahead for the token at {target} changes with the tokens from there on"
    return ""


def changed(batch: TensorBatch, place: int) -> TensorBatch:
    """The batch with other tokens from a place on."""
    tokens_BxT = batch.tokens_BxT.clone()
    tokens_BxT[:, place:] = (tokens_BxT[:, place:] + 1) % DATA.vocabulary
    return TensorBatch(tokens_BxT, batch.loss, batch.indices, batch.step)


def losses(network: Objective) -> str:
    """Each loss_i, with one target at a time."""
    for target in range(1, DATA.length):
        loss = np.zeros((SAMPLES, DATA.length), dtype=np.bool_)
        loss[0, target] = True
        batch = batch_of(loss)
        for term in network.terms(network.latent(batch), batch, Graph()):
            if not (term.name.startswith("loss_") and term.count):
                continue
            if wrong := too_late(term.name, read_by(network, batch, term.value), target):
                return wrong
        other = changed(batch, target + 1)
        before, after = (
            {term.name: term.value for term in network.terms(network.latent(each), each, Graph())}
            for each in (batch, other)
        )
        for name, value in before.items():
            if name.startswith("loss_") and name[5:].isdigit() and not torch.allclose(value, after[name], RELATIVE):
                return f"{name} for the token at {target} changes with those behind it"
    return ""


def next_token_loss(network: Objective) -> str:
    """What is trained is what is evaluated, and decoded from the trunk alone."""
    batch = batch_of()
    latent = network.latent(batch)
    trained = next(term.value for term in network.terms(latent, batch, Graph()) if term.name == "loss_1")
    targets = batch.targets(1)
    for source, z_BxSxD in (("latent", latent), ("the trunk", network.trunk(batch.inputs_BxP))):
        hidden_BxPxD = network.hidden(z_BxSxD, 1, batch.inputs_BxP)
        found = F.cross_entropy(network.unembed(targets.of(hidden_BxPxD), 1), targets.tokens_N)
        if not torch.allclose(found, trained, RELATIVE):
            return f"it is {trained.item():.6g}, and from {source} by `hidden` and `unembed` {found.item():.6g}"
    return ""


def next_token_path(network: Objective) -> str:
    """The modules it names, one after the other, are the next-token model."""
    batch, path = batch_of(), network.next_token_path()
    z_BxPxD = network.trunk(batch.inputs_BxP)
    state_BxPxD = z_BxPxD
    for layer in path.layers:
        linear = isinstance(layer, nn.Linear)
        state_BxPxD = layer(state_BxPxD) if linear else layer(state_BxPxD, network.trunk.rotary(z_BxPxD.shape[1]))
    logits_BxPxV = path.unembedding(path.norm(state_BxPxD))
    expected_BxPxV = network.unembed(network.hidden(z_BxPxD, 1, batch.inputs_BxP), 1)
    return "" if torch.allclose(logits_BxPxV, expected_BxPxV, RELATIVE) else "they differ from those of `hidden`"


def parts(network: Objective) -> str:
    """Embedding, trunk and what `head_parts` names hold every parameter once."""
    counted, there = sum(network.parameters_by_part().values()), count_parameters(network)
    return "" if counted == there else f"head_parts makes it {counted:,}, where the network has {there:,}"
