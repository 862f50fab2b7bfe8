"""Checks in two ways which tokens predictions and losses depend on.

No token occurs twice in a batch, so each row that the embedding returns belongs to one position of one sample. Through
the embedding, a prediction depends on exactly the positions whose rows have a gradient that is not zero. A dependence
by another route is found by changing tokens, as is one that only long samples have.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import TensorBatch
from lab.objectives.checks.network import (
    LONG,
    TOLERANCE,
    build_network,
    long_batch,
    staggered_batch,
    with_changed_tokens,
)
from lab.objectives.objective import Objective


@dataclass
class EmbeddedTokens:
    """The tokens [N] that embeddings were called with, and the rows [N, D] that they returned, call by call."""

    calls: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def positions_read(self, batch: TensorBatch, value: Tensor) -> Tensor:
        """Returns which positions [B, T] a number depends on."""
        slopes = torch.autograd.grad(value, [rows for _, rows in self.calls], retain_graph=True, allow_unused=True)
        vocabulary = int(batch.tokens_BxT.max()) + 1
        read_V = torch.zeros(vocabulary, dtype=torch.bool)
        for (tokens_N, _), slope in zip(self.calls, slopes, strict=True):
            if slope is not None:
                used = tokens_N[slope.abs().sum(dim=-1) > 0]
                read_V[used[used < vocabulary]] = True
        assert read_V.any(), "the prediction depends on no token"
        return read_V[batch.tokens_BxT]


@contextmanager
def recorded_embeddings(network: Objective) -> Iterator[EmbeddedTokens]:
    """Records the calls of every embedding of tokens in the network."""
    embedded = EmbeddedTokens()

    def record(module: nn.Module, arguments: tuple[Any, ...], rows: Tensor) -> None:
        embedded.calls.append((arguments[0], rows))

    vocabulary = network.trunk.embed_tokens.num_embeddings
    tables = [module for module in network.modules() if isinstance(module, nn.Embedding)]
    hooks = [table.register_forward_hook(record) for table in tables if table.num_embeddings >= vocabulary]
    try:
        yield embedded
    finally:
        for hook in hooks:
            hook.remove()


def reading_problem(subject: str, reads_BxT: Tensor, target_B: Tensor) -> str:
    """Returns the problem with predictions of the tokens at `target_B` that read these positions."""
    early_BxT = torch.arange(reads_BxT.shape[1]) < target_B[:, None]
    if not (reads_BxT & early_BxT).any():
        return f"{subject} depends on no token before its target"
    late = (reads_BxT & ~early_BxT).nonzero().tolist()
    if not late:
        return ""
    sample, position = late[0]
    return f"{subject} for the token at position {target_B[sample]} depends on the token at position {position}"


def check_predictions(network: Objective) -> str:
    """Checks that `hidden` and `unembed` predict a target, `lag` tokens ahead, only from the tokens before it."""
    batch, target_B = staggered_batch()
    changed = with_changed_tokens(batch, torch.arange(batch.tokens_BxT.shape[1]) >= target_B[:, None])
    for lag in network.lags:
        subject = f"the prediction at lag {lag}"
        rows = (target_B >= lag).nonzero().flatten()
        with recorded_embeddings(network) as embedded:
            before_NxV = predicted(network, batch, lag, rows, target_B[rows] - lag)
            reads_BxT = embedded.positions_read(batch, before_NxV.square().sum())
        if problem := reading_problem(subject, reads_BxT, target_B):
            return problem
        differs_N = ~torch.isclose(
            before_NxV, predicted(network, changed, lag, rows, target_B[rows] - lag), TOLERANCE
        ).all(dim=1)
        if differs_N.any():
            target = target_B[rows[differs_N]].min()
            return f"{subject} for the token at position {target} changes when that token and later ones change"
    return long_prediction_problem(build_network(network.config, 0, network.trunk.config, LONG))


@torch.no_grad()
def long_prediction_problem(network: Objective) -> str:
    """Checks by changed tokens that predictions in long samples depend on no target or later token."""
    batch, target_B = long_batch()
    place_T = torch.arange(LONG)
    changed = with_changed_tokens(batch, place_T >= target_B[:, None])
    for lag in network.lags:
        rows_N, places_N = (place_T + lag <= target_B[:, None]).nonzero(as_tuple=True)
        before_NxV, after_NxV = (predicted(network, tokens, lag, rows_N, places_N) for tokens in (batch, changed))
        differs_N = ~torch.isclose(before_NxV, after_NxV, TOLERANCE).all(dim=1)
        if differs_N.any():
            target = places_N[differs_N].min() + lag
            later = target_B[rows_N[differs_N]].min()
            return (
                f"in samples of {LONG} tokens, the prediction at lag {lag} for the token at position {target} changes "
                f"when the tokens from position {later} on change"
            )
    return ""


def predicted(network: Objective, batch: TensorBatch, lag: int, rows_N: Tensor, positions_N: Tensor) -> Tensor:
    """Computes the logits [N, V] of the tokens `lag` ahead of some positions of some samples."""
    hidden_BxPxD = network.hidden(network.latent(batch), lag, batch.inputs_BxP)
    return network.unembed(hidden_BxPxD[rows_N, positions_N], lag)


def check_losses(network: Objective) -> str:
    """Checks that no loss_i depends on its target or later tokens, in samples with one target each."""
    batch, target_B = staggered_batch()
    with recorded_embeddings(network) as embedded:
        before = list(network.terms(network.latent(batch), batch, Graph()))
        for term in (term for term in before if term.name.startswith("loss_")):
            if problem := reading_problem(term.name, embedded.positions_read(batch, term.value), target_B):
                return problem
    changed = with_changed_tokens(batch, torch.arange(batch.tokens_BxT.shape[1]) > target_B[:, None])
    after = {term.name: term.value for term in network.terms(network.latent(changed), changed, Graph())}
    for term in before:
        if token_distance(term) and not torch.allclose(term.value, after[term.name], TOLERANCE):
            return f"{term.name} changes when tokens after its targets change"
    return ""


def token_distance(term: Term) -> int:
    """Returns the i of a term called loss_i, 0 for a term of another name."""
    number = term.name.removeprefix("loss_")
    return int(number) if number != term.name and number.isdecimal() else 0
