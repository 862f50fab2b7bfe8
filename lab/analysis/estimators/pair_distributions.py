"""Joint distributions of the next two tokens at places of a sample: a model's, exactly, and the source's, if known.

At a place t >= 1 the context c is x_0..x_t-1, X is token t and Y is token t + 1. The model's joint q(x, y | c) is
q1(x | c) q1(y | x, c), from its next-token path, which reads c and every x that may follow. Several places are read in
one pass: the V continuations of a place come after the sample, each with the position of the place, and attend to the
tokens before the place and to themselves.
"""

import numpy as np
import torch
from torch import Tensor

from generators.foundation.randomness import Floats, Integers
from generators.protocols import KnownDistribution, KnownPairs
from generators.task import Batch, Mask
from lab.model.layers import Block
from lab.objectives.checks.llama_path import llama_trunk
from lab.objectives.objective import Objective

CONTINUATIONS_PER_PASS = 256
"""Continuations after a sample in one pass, unless a single place has more; more would pay for masked attention."""
SCORES_AT_ONCE = 2**22
"""Attention scores in one pass."""
SAMPLES_AT_ONCE = 1024
"""Samples per call of a source's distribution."""


def draw_places(eligible_BxT: Mask, count: int, generator: np.random.Generator) -> tuple[Integers, Mask]:
    """Draws places [B, K] without replacement in each sample.

    Returns:
        The places, and a mask of those that exist: a sample with fewer eligible places is padded.
    """
    order = np.where(eligible_BxT, generator.random(eligible_BxT.shape), 2.0)
    places = order.argsort(axis=1)[:, :count]
    exists = np.take_along_axis(eligible_BxT, places, axis=1)
    return np.where(exists, places, 1), exists


@torch.no_grad()
def model_log_pairs(network: Objective, tokens: Integers, places: Integers) -> Floats:
    """Returns a model's log q(x, y | c), float64 [B, K, V, V], at places 1..T-2 [B, K] of samples [B, T]."""
    unembedding = network.next_token_path().unembedding
    device, size = unembedding.weight.device, unembedding.out_features
    heads = next(part.self_attn.attention_heads for part in network.modules() if isinstance(part, Block))
    samples, count = places.shape
    together = min(count, max(1, CONTINUATIONS_PER_PASS // size))
    passes = -(-count // together)
    padded = np.pad(places, ((0, 0), (0, passes * together - count)), constant_values=1).reshape(-1, together)
    at_once = max(1, SCORES_AT_ONCE // (heads * (tokens.shape[1] + together * size) ** 2))
    parts = []
    for start in range(0, len(padded), at_once):
        rows = np.arange(start, min(start + at_once, len(padded)))
        prefixes = torch.from_numpy(tokens[rows // passes, :-2]).to(device)
        parts.append(log_pairs_in_one_pass(network, prefixes, torch.from_numpy(padded[rows]).to(device), size).cpu())
    return torch.cat(parts).numpy().reshape(samples, passes * together, size, size)[:, :count]


def log_pairs_in_one_pass(network: Objective, tokens_BxP: Tensor, places_BxK: Tensor, size: int) -> Tensor:
    """Computes log q(x, y | c) [B, K, V, V] at all places in a single forward pass."""
    (B, P), K = tokens_BxP.shape, places_BxK.shape[1]
    device = tokens_BxP.device
    following_BxKV = torch.arange(size, device=device).repeat(K).expand(B, -1)
    at_BxS = torch.cat((torch.arange(P, device=device).expand(B, -1), places_BxK.repeat_interleave(size, 1)), dim=1)
    before_BxSxP = torch.arange(P, device=device) < at_BxS[:, :, None]
    mask_BxSxS = torch.eye(at_BxS.shape[1], dtype=torch.bool, device=device).repeat(B, 1, 1)
    mask_BxSxS[:, :, :P] |= before_BxSxP
    trunk = llama_trunk(network)
    rotary = trunk.rotary_2xTxK[:, at_BxS][:, :, None]
    x = trunk.embed_tokens(torch.cat((tokens_BxP, following_BxKV), dim=1))
    path = network.next_token_path()
    x = trunk.run(x, rotary, mask_BxSxS[:, None])
    for layer in path.layers:
        x = layer(x, rotary, mask_BxSxS[:, None]) if isinstance(layer, Block) else layer(x)
    last = x.gather(1, (places_BxK - 1)[:, :, None].expand(-1, -1, x.shape[2]))
    following = x[:, P:].unflatten(1, (K, size))
    first, second = (path.unembedding(path.norm(part)).double().log_softmax(dim=-1) for part in (last, following))
    log_q: Tensor = first[..., None] + second
    return log_q


@torch.no_grad()
def head_log_probabilities(network: Objective, tokens: Integers, lag: int) -> Floats:
    """Computes log q(token `lag` ahead | the tokens up to a position) float64 [B, P, V], P = T - lag."""
    tokens_BxQ = torch.from_numpy(tokens[:, :-1]).to(network.trunk.embed_tokens.weight.device)
    hidden = network.hidden(network.trunk(tokens_BxQ), lag, tokens_BxQ)
    log_q: Floats = network.unembed(hidden, lag).double().log_softmax(dim=-1).cpu().numpy()
    return log_q


@torch.no_grad()
def has_second_head(network: Objective, tokens: Integers) -> bool:
    """Tests whether a head predicts the second token from the context alone: it exists and does not read the first."""
    if 2 not in network.lags:
        return False
    tokens_BxQ = torch.from_numpy(tokens[:1, :-1]).to(network.trunk.embed_tokens.weight.device)
    latent = network.trunk(tokens_BxQ)
    other = (tokens_BxQ + 1) % network.trunk.embed_tokens.num_embeddings
    return torch.equal(network.hidden(latent, 2, tokens_BxQ), network.hidden(latent, 2, other))


def source_pairs(source: KnownDistribution, batch: Batch, rows: Integers, places: Integers) -> Floats:
    """Computes P(x, y | c) float64 [N, V, V] of a source at places [N] of rows [N] of a batch.

    If the task has no closed form for pairs, the joint is built from its distribution after every possible x.
    """
    if isinstance(source, KnownPairs):
        return source.pairs(batch, rows, places)
    first = source.distribution(batch)[rows, places]
    joint = np.zeros((*first.shape, first.shape[1]))
    context, token = np.nonzero(first)
    for start in range(0, len(context), SAMPLES_AT_ONCE):
        c, x = context[start : start + SAMPLES_AT_ONCE], token[start : start + SAMPLES_AT_ONCE]
        row = np.arange(len(c))
        changed = batch.take(rows[c])
        changed.tokens[row, places[c]] = x
        joint[c, x] = first[c, x][:, None] * source.distribution(changed)[row, places[c] + 1]
    return joint
