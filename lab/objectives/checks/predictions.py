"""Checks that losses, predictions and the next-token path agree on which token each head predicts."""

from itertools import combinations

import torch
from torch.nn import functional as F

from lab.loss.graph import Graph
from lab.objectives.checks.network import TOLERANCE, random_batch, staggered_batch, with_changed_tokens
from lab.objectives.checks.reading import token_distance
from lab.objectives.objective import Objective


@torch.no_grad()
def check_targets(network: Objective) -> str:
    """Checks that each loss_i is computed on all targets from position i on, and depends on their tokens."""
    batch, target_B = staggered_batch()
    changed = with_changed_tokens(batch, torch.arange(batch.tokens_BxT.shape[1]) == target_B[:, None])
    after = {term.name: term.value for term in network.terms(network.latent(changed), changed, Graph())}
    for term in network.terms(network.latent(batch), batch, Graph()):
        if not (lag := token_distance(term)):
            continue
        count = int((target_B >= lag).sum())
        if term.count != count:
            return (
                f"{term.name} counts {term.count} targets instead of {count}, the tokens in the loss mask at position "
                f"{lag} or later"
            )
        if torch.allclose(term.value, after[term.name], TOLERANCE):
            return f"{term.name} does not change when its targets change"
    return ""


@torch.no_grad()
def check_loss_values(network: Objective) -> str:
    """Checks that each loss_i equals the loss of `hidden` and `unembed`; loss_1 also from the trunk alone."""
    batch = random_batch()
    latent = network.latent(batch)
    values = {term.name: term.value for term in network.terms(latent, batch, Graph())}
    sources = [("the latent", latent, lag) for lag in network.lags if f"loss_{lag}" in values]
    for source, z_BxSxD, lag in [*sources, ("the trunk", network.trunk(batch.inputs_BxP), 1)]:
        targets = batch.targets(lag)
        hidden_BxPxD = network.hidden(z_BxSxD, lag, batch.inputs_BxP)
        predicted = F.cross_entropy(network.unembed(targets.select(hidden_BxPxD), lag), targets.tokens_N)
        trained = values[f"loss_{lag}"]
        if not torch.allclose(predicted, trained, TOLERANCE):
            return (
                f"loss_{lag} is {trained.item():z.6g}, but the predictions of `hidden` and `unembed` from {source} "
                f"have a loss of {predicted.item():z.6g}"
            )
    return ""


@torch.no_grad()
def check_distinct_heads(network: Objective) -> str:
    """Checks that no two heads make the same predictions."""
    batch = random_batch()
    latent = network.latent(batch)
    positions = batch.inputs_BxP.shape[1] - max(network.lags) + 1
    logits = {
        lag: network.unembed(network.hidden(latent, lag, batch.inputs_BxP)[:, :positions], lag) for lag in network.lags
    }
    for first, second in combinations(network.lags, 2):
        if torch.allclose(logits[first], logits[second], TOLERANCE):
            return f"the predictions at lags {first} and {second} are equal, so they share one head and one unembedding"
    return ""


@torch.no_grad()
def check_next_token_path(network: Objective) -> str:
    """Checks that the modules of `next_token_path`, applied in order, are the next-token model."""
    batch, path = random_batch(), network.next_token_path()
    z_BxPxD = network.trunk(batch.inputs_BxP)
    state_BxPxD = z_BxPxD
    for layer in path.layers:
        of_trunk = network.trunk.has_kind_of(layer)
        state_BxPxD = network.trunk.apply_layer(layer, state_BxPxD) if of_trunk else layer(state_BxPxD)
    logits_BxPxV = path.unembedding(path.norm(state_BxPxD))
    expected_BxPxV = network.unembed(network.hidden(z_BxPxD, 1, batch.inputs_BxP), 1)
    if torch.allclose(logits_BxPxV, expected_BxPxV, TOLERANCE):
        return ""
    return "the logits of next_token_path differ from those of `hidden` and `unembed`"
