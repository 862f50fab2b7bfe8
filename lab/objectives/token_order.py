"""Token order prediction (TOP, arXiv 2508.19228): beside the next token, rank the upcoming ones by how near they are.

A second unembedding on the same hidden state scores every token of the vocabulary. The score to reach is window - d
for a token that comes next d tokens ahead, minus infinity for one that does not come within the window; the loss is
ListNet's, the cross-entropy between the softmax of both (Cao et al. 2007). So the share of a token in the target is
proportional to exp(-d), and the window drops out: `a b a c` ahead asks for a, b, c as exp(-1), exp(-2), exp(-4).

Tokens that carry no loss are not ranked. The paper's window is the whole context. Where all tokens carry loss, one of
W leaves out at most 1.6 exp(-W) of a target; where few do, it also leaves out the positions that are more than W
before the first of them.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from generators.foundation.randomness import Integers
from generators.task import Mask
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig
from lab.model.layers import NORM_EPSILON
from lab.objectives.next_token import NextTokenModel
from lab.objectives.objective import DataShape, ObjectiveConfig


class TokenOrderConfig(ObjectiveConfig):
    """Settings of `token_order`."""

    kind: Literal["token_order"] = "token_order"
    window: int = Field(
        default=32,
        ge=1,
        le=4096,
        description="tokens ahead that are ranked, at most as many as a sample has; the paper ranks all of them",
    )
    weight: float = Field(default=1.0, ge=0, description="of the ranking loss in the sum")


class TokenOrder(NextTokenModel):
    """A next-token model with a second unembedding for the order of what comes."""

    config: TokenOrderConfig

    def __init__(self, config: TokenOrderConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data, model.shape.layers)
        self.norm = nn.RMSNorm(model.shape.width, eps=NORM_EPSILON)
        self.lm_head = nn.Linear(model.shape.width, data.vocabulary, bias=False)
        self.order_head = nn.Linear(model.shape.width, data.vocabulary, bias=False)

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        hidden_BxPxD = graph.share(self.norm(latent_BxSxD))
        targets = batch.targets(1)
        value = graph.cross_entropy(hidden_BxPxD, self.lm_head.weight, targets)
        yield Term("loss_1", value, targets.count)
        del value  # a cut graph frees a term's before the next is built
        window = min(self.config.window, batch.tokens_BxT.shape[1] - 1)
        rows = np.flatnonzero(ranked(batch.loss, window))
        tokens_NxW, first_NxW = upcoming(batch.tokens_BxT, batch.loss, rows, window)
        hidden_NxD = hidden_BxPxD.flatten(0, 1)[torch.from_numpy(rows).to(hidden_BxPxD.device)]
        count = int(np.count_nonzero(ranked(batch.whole.loss, window)))
        total = graph.rows(self.ranking, hidden_NxD, tokens_NxW, first_NxW)
        yield Term("loss_order", total / max(1, count), count, self.config.weight)

    def ranking(self, hidden_NxD: Tensor, tokens_NxW: Tensor, first_NxW: Tensor) -> Tensor:
        """ListNet summed over N positions: cross-entropy between the softmax of scores and that of logits."""
        logits_NxV = F.linear(hidden_NxD, self.order_head.weight).to(self.order_head.weight.dtype)
        score_W = -torch.arange(tokens_NxW.shape[1], device=logits_NxV.device, dtype=logits_NxV.dtype)
        share_NxW = score_W.where(first_NxW, -torch.inf).softmax(dim=1)
        wanted_N = (logits_NxV.gather(1, tokens_NxW) * share_NxW).sum(dim=1)
        return (logits_NxV.logsumexp(dim=1) - wanted_N).sum()

    def head_parts(self) -> dict[str, nn.Module]:
        return {"norm": self.norm, "unembedding": self.lm_head, "order unembedding": self.order_head}


def ranked(loss_BxT: Mask, window: int) -> Mask:
    """Positions [B, P = T - 1] that have a token that carries loss among the next `window`."""
    ahead = np.pad(loss_BxT[:, 1:], ((0, 0), (0, window - 1)))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(ahead, window, axis=1).any(axis=2))


def upcoming(tokens_BxT: Tensor, loss_BxT: Mask, rows_N: Integers, window: int) -> tuple[Tensor, Tensor]:
    """The tokens 1 .. W ahead of N positions [N, W], and which of them are ranked [N, W], on the tokens' device.

    Ranked is a token that carries loss where it does so for the first time since the position.

    Args:
        rows_N: flat positions in B x P.
    """
    length, device = loss_BxT.shape[1], tokens_BxT.device
    carries_BxT = torch.from_numpy(loss_BxT).to(device)
    before_BxT = last_time(tokens_BxT, carries_BxT)
    sample_Nx1, place_Nx1 = (torch.from_numpy(part).to(device)[:, None] for part in np.divmod(rows_N, length - 1))
    landing_NxW = place_Nx1 + torch.arange(1, window + 1, device=device)
    flat_NxW = sample_Nx1 * length + landing_NxW.clamp(max=length - 1)
    inside_NxW = (landing_NxW < length) & carries_BxT.flatten()[flat_NxW]
    return tokens_BxT.flatten()[flat_NxW], inside_NxW & (before_BxT.flatten()[flat_NxW] <= place_Nx1)


def last_time(tokens_BxT: Tensor, carries_BxT: Tensor) -> Tensor:
    """Of each place that carries loss, where its token did so the time before [B, T]; -1 where never."""
    same_BxT, place_BxT = tokens_BxT.where(carries_BxT, -1).sort(dim=1, stable=True)  # equal tokens in their order
    again = same_BxT[:, 1:] == same_BxT[:, :-1]
    before_BxT = F.pad(place_BxT[:, :-1].where(again, -1), (1, 0), value=-1)
    return torch.empty_like(place_BxT).scatter_(1, place_BxT, before_BxT)
