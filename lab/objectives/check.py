"""Checks of an objective against its interface, for `lab objective check` and for tests of other packages.

The network is tiny, its weights are float64 and drawn from a seed, and its batch is random. No token occurs twice in a
sample, so that each row of the embedding stands for one position: a prediction has read exactly the positions in whose
rows its gradient is not zero, by whatever route.
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
TOLERANCE = 1e-8
"""Maximum distance between two gradients in float64, relative to their length."""


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; `problem` is a sentence, or empty if the objective passes."""

    name: str
    problem: str


def check_objective(config: ObjectiveConfig) -> list[CheckResult]:
    """Runs all checks on an objective with these settings.

    Raises:
        UserError: the settings do not fit the model and the data of the check.
    """
    network = build_network(config, 0)
    checks: dict[str, Callable[[Objective], str]] = {
        "weights come from the seed alone": check_weights,
        "terms have distinct names": check_term_names,
        "sequential gives the gradient of joint": lambda net: compare_gradient(net, "sequential", 1),
        "chunked gives the gradient of joint": lambda net: compare_gradient(net, "chunked", 1),
        "micro-batches add up": lambda net: compare_gradient(net, "joint", MICRO_BATCHES),
        "no prediction reads its target or later": check_predictions,
        "no loss_i reads its target or later": check_losses,
        "loss_1 is the loss of the predictions": check_next_token_loss,
        "next_token_path gives the same logits": check_next_token_path,
        "parameters are counted by part": check_parameter_count,
    }
    return [CheckResult(name, run_check(check, network)) for name, check in checks.items()]


def run_check(check: Callable[[Objective], str], network: Objective) -> str:
    """Returns the problem that a check finds; an exception is a problem too, reported with its line."""
    try:
        return check(network)
    except Exception as error:  # another package's objective can raise anything
        last = traceback.extract_tb(error.__traceback__)[-1]
        message = (str(error).splitlines() or [""])[0]
        return f"{type(error).__name__}: {message} ({Path(last.filename).name}, line {last.lineno})"
    finally:
        network.zero_grad()


def build_network(config: ObjectiveConfig, torch_seed: int) -> Objective:
    """Builds the network in float64 with weights drawn from seed 0.

    Args:
        torch_seed: seed of torch's global generator, which no objective may use.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed)
        network = build_objective(config, MODEL, DATA)
    noise = torch.Generator().manual_seed(0)
    initialise(network, MODEL.shape.layers, noise)
    network.double()
    with torch.no_grad():  # a closed gate would hide the module behind it, and a gain of one whether it is used
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64))
    return network


def random_batch(loss: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None" = None) -> TensorBatch:
    """Draws samples without a repeated token; by default the loss mask has an uneven share of the targets."""
    random = np.random.default_rng(0)
    tokens = np.stack([random.permutation(DATA.vocabulary)[: DATA.length] for _ in range(SAMPLES)])
    if loss is None:
        loss = random.random(tokens.shape) < np.linspace(0.2, 0.9, SAMPLES)[:, None]
    batch = Batch(tokens=tokens, loss=loss, scored=loss)
    return TensorBatch.from_batch(batch, torch.device("cpu"), np.arange(SAMPLES))


# ---- Each check returns the problem, or "".


def check_weights(network: Objective) -> str:
    """Compares the weights of two networks of one seed, built with different states of torch's global generator."""
    other = build_network(network.config, 1).state_dict()
    if different := [name for name, value in network.state_dict().items() if not torch.equal(value, other[name])]:
        return (
            f"{', '.join(different)}: not drawn by `initialise`, which draws embeddings and the matrices of linear "
            "layers; let other parameters start from a constant"
        )
    return ""


def check_term_names(network: Objective) -> str:
    """Checks that no name of a term occurs twice and that one is loss_1."""
    batch = random_batch()
    names = [term.name for term in network.terms(network.latent(batch), batch, Graph())]
    if repeated := {name for name in names if names.count(name) > 1}:
        return f"{', '.join(sorted(repeated))} occurs twice"
    return "" if "loss_1" in names else f"there is no loss_1, the loss of the next token; there are: {', '.join(names)}"


def gradients(network: Objective, loss: str, pieces: int) -> dict[str, Tensor]:
    """Computes the gradient of each parameter, zeros for a parameter without one."""
    accumulate_gradient(network, random_batch(), loss, pieces)
    by_name = {
        name: torch.zeros_like(value) if value.grad is None else value.grad.clone()
        for name, value in network.named_parameters()
    }
    network.zero_grad()
    return by_name


def compare_gradient(network: Objective, loss: str, pieces: int) -> str:
    """Compares the gradient of a loss, in pieces, with the joint gradient of the whole batch."""
    expected, actual = gradients(network, "joint", 1), gradients(network, loss, pieces)
    longest = max(float(value.norm()) for value in expected.values())
    for name, value in expected.items():
        distance, length = float((actual[name] - value).norm()), float(value.norm())
        if distance > TOLERANCE * max(length, 1e-3 * longest):
            return f"the gradient of {name} is {distance:.2g} away from one of length {length:.2g}"
    return ""


def positions_read(network: Objective, batch: TensorBatch, value: Tensor) -> Tensor:
    """Returns which positions [T] of the first sample a number depends on."""
    tables = [
        module.weight
        for module in network.modules()
        if isinstance(module, nn.Embedding) and module.num_embeddings >= DATA.vocabulary
    ]
    table_gradients = torch.autograd.grad(value, tables, retain_graph=True, allow_unused=True)
    used = [gradient for gradient in table_gradients if gradient is not None]
    by_token = sum(gradient[: DATA.vocabulary].abs().sum(dim=1) for gradient in used)
    assert isinstance(by_token, Tensor), "the prediction depends on no token"
    return by_token[batch.tokens_BxT[0]] > 0


def reading_problem(subject: str, reads: Tensor, target: int) -> str:
    """Returns the problem with a prediction of the token at `target` that reads these positions [T]."""
    if not reads[:target].any():
        return f"{subject} for the token at {target} reads no token before it"
    late = reads[target:].nonzero().flatten().tolist()
    return f"{subject} for the token at {target} reads that at {late[0] + target}" if late else ""


def check_predictions(network: Objective) -> str:
    """Checks that `hidden` and `unembed` predict the token `lag` ahead from tokens before it alone.

    The embedding's gradient finds what is read through the embedding; changed tokens find everything else.
    """
    batch = random_batch()
    latent = network.latent(batch)
    for lag in network.lags:
        logits_1xPxV = network.unembed(network.hidden(latent, lag, batch.inputs_BxP)[:1], lag)
        for position in range(logits_1xPxV.shape[1]):
            reads = positions_read(network, batch, logits_1xPxV[0, position].square().sum())
            if problem := reading_problem(f"the prediction {lag} ahead", reads, position + lag):
                return problem
    for target in range(1, DATA.length):
        changed = with_changed_tokens(batch, target)
        for lag in (lag for lag in network.lags if lag <= target):
            before, after = (
                network.unembed(network.hidden(network.latent(tokens), lag, tokens.inputs_BxP)[:, target - lag], lag)
                for tokens in (batch, changed)
            )
            if not torch.allclose(before, after, TOLERANCE):
                return f"the prediction {lag} ahead for the token at {target} changes with the tokens from there on"
    return ""


def with_changed_tokens(batch: TensorBatch, first: int) -> TensorBatch:
    """Returns the batch with other tokens from position `first` on."""
    tokens_BxT = batch.tokens_BxT.clone()
    tokens_BxT[:, first:] = (tokens_BxT[:, first:] + 1) % DATA.vocabulary
    return TensorBatch(tokens_BxT, batch.loss, batch.indices, batch.step)


def check_losses(network: Objective) -> str:
    """Checks what each loss_i reads, with one target at a time."""
    for target in range(1, DATA.length):
        loss = np.zeros((SAMPLES, DATA.length), dtype=np.bool_)
        loss[0, target] = True
        batch = random_batch(loss)
        for term in network.terms(network.latent(batch), batch, Graph()):
            if not (term.name.startswith("loss_") and term.count):
                continue
            if problem := reading_problem(term.name, positions_read(network, batch, term.value), target):
                return problem
        changed = with_changed_tokens(batch, target + 1)
        before, after = (
            {term.name: term.value for term in network.terms(network.latent(tokens), tokens, Graph())}
            for tokens in (batch, changed)
        )
        for name, value in before.items():
            if name.startswith("loss_") and name[5:].isdigit() and not torch.allclose(value, after[name], TOLERANCE):
                return f"{name} for the token at {target} changes with later tokens"
    return ""


def check_next_token_loss(network: Objective) -> str:
    """Checks that loss_1 equals the loss of `hidden` and `unembed`, from the latent and from the trunk alone."""
    batch = random_batch()
    latent = network.latent(batch)
    trained = next(term.value for term in network.terms(latent, batch, Graph()) if term.name == "loss_1")
    targets = batch.targets(1)
    for source, z_BxSxD in (("latent", latent), ("the trunk", network.trunk(batch.inputs_BxP))):
        hidden_BxPxD = network.hidden(z_BxSxD, 1, batch.inputs_BxP)
        predicted = F.cross_entropy(network.unembed(targets.select(hidden_BxPxD), 1), targets.tokens_N)
        if not torch.allclose(predicted, trained, TOLERANCE):
            return f"it is {trained.item():.6g}, but from {source} by `hidden` and `unembed` {predicted.item():.6g}"
    return ""


def check_next_token_path(network: Objective) -> str:
    """Checks that the modules of `next_token_path`, applied in order, are the next-token model."""
    batch, path = random_batch(), network.next_token_path()
    z_BxPxD = network.trunk(batch.inputs_BxP)
    state_BxPxD = z_BxPxD
    for layer in path.layers:
        linear = isinstance(layer, nn.Linear)
        state_BxPxD = layer(state_BxPxD) if linear else layer(state_BxPxD, network.trunk.rotary(z_BxPxD.shape[1]))
    logits_BxPxV = path.unembedding(path.norm(state_BxPxD))
    expected_BxPxV = network.unembed(network.hidden(z_BxPxD, 1, batch.inputs_BxP), 1)
    return "" if torch.allclose(logits_BxPxV, expected_BxPxV, TOLERANCE) else "they differ from those of `hidden`"


def check_parameter_count(network: Objective) -> str:
    """Checks that embedding, trunk and `head_parts` together hold every parameter once."""
    counted, total = sum(network.parameters_by_part().values()), count_parameters(network)
    return "" if counted == total else f"by head_parts there are {counted:,}, but the network has {total:,}"
