"""The consequence of a token: how much the loss of later tokens would change if the token were another.

The consequence of token t, in nats, is

    D_t = sum over a of q(a | x_<t) sum over j = 1..W of [ l_{t+j}(x with a for x_t) - l_{t+j}(x) ]

with q the model's next-token head, l its loss at the true token, and W = `WINDOW`. It is large if the model considers
other tokens possible and would expect a different continuation after them. It is zero for a token that is certain, one
on which nothing depends, and one that can be read off elsewhere. It describes how much the model relies on the token,
not what the source decided by it: a token that merely reveals an earlier decision has a consequence if the model relies
on it. D_t is negative if the true token misleads. A position is called a choice point if D_t is more than `THRESHOLD`:
swapping the token then costs the continuation a factor of e in probability, on average over what the model would have
put there.

The estimator is unbiased: alternatives are drawn from q without the true token, and their mean is multiplied by
1 - q(x_t | x_<t); the standard error is that of their mean.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from generators.foundation.randomness import Floats, Integers
from generators.task import Batch, Mask
from lab.objectives.objective import Objective

WINDOW = 8
"""W, tokens after the replaced one whose loss is summed; fewer at the end of a sample."""
ALTERNATIVES = 4
"""Replacements drawn for each position."""
THRESHOLD = 1.0
"""Nats above which a position is a choice point."""
TOKENS_READ = 200_000
"""Budget: about this many tokens are read with a replacement in them. Longer samples get fewer positions."""
SEQUENCES_AT_ONCE = 64


@dataclass(frozen=True)
class Consequences:
    """Consequences D_t at N positions, in the order of samples and places.

    Attributes:
        sample, place: the positions [N].
        nats, error: D_t and its standard error over the alternatives drawn [N].
        surprise: the model's loss at the token itself, -log q(x_t | x_<t), in nats [N].
    """

    sample: Integers
    place: Integers
    nats: Floats
    error: Floats
    surprise: Floats

    @property
    def is_choice_point(self) -> Mask:
        """A mask of the positions that are choice points [N]."""
        above: Mask = self.nats > THRESHOLD
        return above


@torch.no_grad()
def measure_consequences(network: Objective, batch: Batch, device: torch.device, seed: int) -> Consequences:
    """Measures D_t at targets in the loss mask that are followed by another such target within the window.

    If they cost more than `TOKENS_READ`, a random part of them is measured, drawn by `seed`.
    """
    sample, place = positions(batch.loss, np.random.default_rng(seed))
    tokens_BxT = torch.from_numpy(batch.tokens).to(device)
    carries_BxT = torch.from_numpy(batch.loss).to(device)
    log_q_BxPxV = torch.cat([log_next(network, part) for part in torch.split(tokens_BxT, SEQUENCES_AT_ONCE)])
    log_q_NxV = log_q_BxPxV[sample, place - 1]
    true_Nx1 = tokens_BxT[sample, place][:, None]
    surprise_N = -log_q_NxV.gather(1, true_Nx1)[:, 0].double().cpu()
    others_NxV = log_q_NxV.exp().scatter(1, true_Nx1, 0)
    others_NxV = others_NxV.where(others_NxV.sum(dim=1, keepdim=True) > 0, torch.ones_like(others_NxV))
    generator = torch.Generator().manual_seed(seed)
    drawn_NxK = torch.multinomial(others_NxV.cpu(), ALTERNATIVES, replacement=True, generator=generator).to(device)
    rise_NxK = torch.zeros(drawn_NxK.shape, dtype=torch.float64)
    by_place = np.argsort(place, kind="stable")  # sequences of the same length together
    for rows in np.array_split(by_place, -(-len(by_place) * ALTERNATIVES // SEQUENCES_AT_ONCE)):
        end = int(place[rows].max()) + WINDOW + 1
        read_RxL, counted_RxL = tokens_BxT[sample[rows], :end], carries_BxT[sample[rows], :end]
        log_q_RxLxV = log_q_BxPxV[sample[rows], : end - 1]
        before_R = later_loss(log_q_RxLxV, read_RxL, counted_RxL, place[rows])
        replaced_MxL = read_RxL.repeat_interleave(ALTERNATIVES, dim=0)
        place_M = place[rows].repeat(ALTERNATIVES)
        replaced_MxL[np.arange(len(place_M)), place_M] = drawn_NxK[rows].flatten()
        counted_MxL = counted_RxL.repeat_interleave(ALTERNATIVES, dim=0)
        after_M = later_loss(log_next(network, replaced_MxL), replaced_MxL, counted_MxL, place_M)
        rise_NxK[rows] = after_M.view(-1, ALTERNATIVES) - before_R[:, None]
    weighted = (-torch.expm1(-surprise_N)[:, None] * rise_NxK).numpy()
    return Consequences(
        sample=sample,
        place=place,
        nats=weighted.mean(axis=1),
        error=weighted.std(axis=1, ddof=1) / np.sqrt(ALTERNATIVES),
        surprise=surprise_N.numpy(),
    )


def positions(loss: Mask, generator: np.random.Generator) -> tuple[Integers, Integers]:
    """Returns the samples and places [N] to measure, from the loss mask [B, T]."""
    length = loss.shape[1]
    ahead = np.pad(loss[:, 1:], ((0, 0), (0, WINDOW)))
    later = np.lib.stride_tricks.sliding_window_view(ahead, WINDOW, axis=1)[:, :length].any(axis=2)
    sample, place = np.nonzero(loss & later & (np.arange(length) > 0))
    cost = ALTERNATIVES * np.minimum(place + WINDOW, length).sum()
    if cost > TOKENS_READ:
        kept = np.sort(generator.permutation(len(place))[: max(1, round(len(place) * TOKENS_READ / cost))])
        sample, place = sample[kept], place[kept]
    return sample, place


def log_next(network: Objective, tokens_BxL: Tensor) -> Tensor:
    """Returns the log-probabilities of the next token [B, L - 1, V] by head 1."""
    inputs = tokens_BxL[:, :-1]
    return network.unembed(network.hidden(network.trunk(inputs), 1, inputs), 1).float().log_softmax(dim=-1)


def later_loss(log_q_RxPxV: Tensor, tokens_RxL: Tensor, counted_RxL: Tensor, place_R: NDArray[np.int64]) -> Tensor:
    """Returns the loss in nats, summed over the counted tokens 1 .. W after a place [R], float64 on the CPU."""
    loss_RxP = F.nll_loss(log_q_RxPxV.transpose(1, 2), tokens_RxL[:, 1:], reduction="none").double().cpu()
    since_RxP = torch.arange(1, tokens_RxL.shape[1]) - torch.from_numpy(place_R)[:, None]
    in_window_RxP = (since_RxP >= 1) & (since_RxP <= WINDOW) & counted_RxL[:, 1:].cpu()
    total_R: Tensor = loss_RxP.where(in_window_RxP, 0).sum(dim=1)
    return total_R
