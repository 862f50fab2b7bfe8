"""Token order prediction (TOP, arXiv 2508.19228): predict the next token and rank the upcoming ones by distance.

A second unembedding on the same hidden state scores every token of the vocabulary. Its target score is window - d for
a token that occurs next d tokens ahead, and minus infinity for a token that does not occur within the window. The loss
is that of ListNet, the cross-entropy between the softmax of both (Cao et al. 2007). A token's share of the target is
therefore proportional to exp(-d), whatever the window: after `a b a c`, a, b and c have exp(-1), exp(-2), exp(-4).

With `ranking = "hinge"` the order itself is trained, as in ranking into the future (RITF, Frydenlund, arXiv
2503.10542). Let v_1 .. v_K be the tokens that occur, the nearest first, and s_v the scores. Every token has to score at
least 1 more than the next one, and the last of them 1 more than the highest score of a token that does not occur:

    loss = (sum over k < K of max(0, 1 - s_{v_k} + s_{v_{k+1}}) + max(0, 1 - s_{v_K} + max over other v of s_v)) / K

After `a b a c` with the scores a = 3, b = 1, c = 0.5 and d = 0, a is 2 above b, b is 0.5 above c and c is 0.5 above d,
so the loss is (0 + 0.5 + 0.5) / 3. A loss of 0 puts all tokens in order. Which pairs of tokens the published loss
compares, and its margin, could not be checked.

Tokens outside the loss mask are not ranked. The window of the paper is the whole context. If all tokens are in the
mask, a window of W leaves out at most 1.6 exp(-W) of a target; if few tokens are in the mask, it also leaves out the
positions that are more than W before the first of these.
"""

from collections.abc import Iterator
from dataclasses import dataclass
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
from lab.model.config import DataShape, ModelConfig
from lab.model.devices import to_device
from lab.model.windows import Window
from lab.objectives.objective import NextTokenModel, ObjectiveConfig


class TokenOrderConfig(ObjectiveConfig):
    """Settings of `token_order`."""

    later_settings = (*ObjectiveConfig.later_settings, "ranking")
    kind: Literal["token_order"] = "token_order"
    window: int = Field(
        default=32,
        ge=1,
        le=4096,
        description="upcoming tokens to rank, at most the length of a sample; the paper ranks all",
    )
    weight: float = Field(default=1.0, ge=0, description="weight of the ranking loss")
    ranking: Literal["listnet", "hinge"] = Field(
        default="listnet",
        description="listnet: cross-entropy with scores that fall with distance, as published; hinge: a margin between "
        "neighbours in the order",
    )


@dataclass(frozen=True)
class Ranking:
    """The upcoming tokens of the N positions that have any to rank.

    Attributes:
        positions_N: indices into the flattened positions B x P.
        tokens_NxW: the tokens 1 .. W ahead.
        first_NxW: which of them are ranked.
        count: ranked positions of the whole batch; more than N in a micro-batch.
    """

    positions_N: Tensor
    tokens_NxW: Tensor
    first_NxW: Tensor
    count: int


class TokenOrder(NextTokenModel):
    """A next-token model with a second unembedding that ranks the upcoming tokens."""

    config: TokenOrderConfig
    reads_targets_only = True

    def __init__(self, config: TokenOrderConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data, model.shape.layers)
        self.norm = self.trunk.new_norm()
        self.lm_head = nn.Linear(model.shape.width, data.vocabulary, bias=False)
        self.order_head = nn.Linear(model.shape.width, data.vocabulary, bias=False)

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        hidden_BxPxD = graph.share(self.norm(latent_BxSxD))
        yield self.next_token_term(hidden_BxPxD, batch, graph)
        ranking = self.ranking(batch)
        hidden_NxD = hidden_BxPxD.flatten(0, 1)[ranking.positions_N]
        loss = self.hinge_loss if self.config.ranking == "hinge" else self.ranking_loss
        total = graph.sum_over_rows(loss, hidden_NxD, ranking.tokens_NxW, ranking.first_NxW)
        yield Term("loss_order", total / max(1, ranking.count), ranking.count, self.config.weight)

    def prepare(self, batch: TensorBatch) -> None:
        super().prepare(batch)
        self.ranking(batch)

    def latent_window(self, batch: TensorBatch) -> Window | None:
        window = self.config.window  # the positions with a token to rank include all that predict the next token
        return batch.once(("ranked", window), lambda: batch.window_over(ranked_positions(batch.loss, window)))

    def ranking(self, batch: TensorBatch) -> Ranking:
        """Returns which tokens of a batch are ranked."""

        def compute() -> Ranking:
            window = min(self.config.window, batch.tokens_BxT.shape[1] - 1)
            rows = np.flatnonzero(ranked_positions(batch.loss, window))
            tokens_NxW, first_NxW = upcoming_tokens(batch.tokens_BxT, batch.loss, rows, window)
            count = int(np.count_nonzero(ranked_positions(batch.whole.loss, self.config.window)))
            return Ranking(to_device(batch.tokens_BxT.device, rows), tokens_NxW, first_NxW, count)

        return batch.once(("ranking", self.config.window), compute)

    def ranking_loss(self, hidden_NxD: Tensor, tokens_NxW: Tensor, first_NxW: Tensor) -> Tensor:
        """Computes the ListNet loss summed over N positions: cross-entropy between softmax of scores and of logits."""
        logits_NxV = F.linear(hidden_NxD, self.order_head.weight).to(self.order_head.weight.dtype)
        score_W = -torch.arange(tokens_NxW.shape[1], device=logits_NxV.device, dtype=logits_NxV.dtype)
        share_NxW = score_W.where(first_NxW, -torch.inf).softmax(dim=1)
        target_logit_N = (logits_NxV.gather(1, tokens_NxW) * share_NxW).sum(dim=1)
        return (logits_NxV.logsumexp(dim=1) - target_logit_N).sum()

    def hinge_loss(self, hidden_NxD: Tensor, tokens_NxW: Tensor, first_NxW: Tensor) -> Tensor:
        """Computes the hinge loss summed over N positions: the mean over the ranked tokens of each."""
        logits_NxV = F.linear(hidden_NxD, self.order_head.weight).to(self.order_head.weight.dtype)
        score_NxW = logits_NxV.gather(1, tokens_NxW)
        place_W = torch.arange(tokens_NxW.shape[1], device=tokens_NxW.device)
        latest_NxW = place_W.where(first_NxW, -1).cummax(dim=1).values  # the last ranked place up to each place
        before_NxW = F.pad(latest_NxW[:, :-1], (1, 0), value=-1)
        above_NxW = score_NxW.gather(1, before_NxW.clamp(min=0))
        neighbours_NxW = (1 - above_NxW + score_NxW).relu() * (first_NxW & (before_NxW >= 0))
        ranked_NxV = torch.zeros_like(logits_NxV).scatter_reduce(1, tokens_NxW, first_NxW.to(logits_NxV.dtype), "amax")
        highest_other_N = logits_NxV.masked_fill(ranked_NxV > 0, -torch.inf).amax(dim=1)
        lowest_N = score_NxW.gather(1, latest_NxW[:, -1:]).squeeze(1)
        total_N = neighbours_NxW.sum(dim=1) + (1 - lowest_N + highest_other_N).relu()
        return (total_N / first_NxW.sum(dim=1)).sum()

    def head_parts(self) -> dict[str, nn.Module]:
        return {"norm": self.norm, "unembedding": self.lm_head, "order unembedding": self.order_head}


def ranked_positions(loss_BxT: Mask, window: int) -> Mask:
    """Returns which positions [B, P = T - 1] have a token in the loss mask among the next `window` tokens."""
    window = min(window, loss_BxT.shape[1] - 1)
    ahead = np.pad(loss_BxT[:, 1:], ((0, 0), (0, window - 1)))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(ahead, window, axis=1).any(axis=2))


def upcoming_tokens(tokens_BxT: Tensor, loss_BxT: Mask, rows_N: Integers, window: int) -> tuple[Tensor, Tensor]:
    """Returns the tokens 1 .. W ahead of N positions [N, W], and which of them are ranked [N, W].

    Only tokens in the loss mask are ranked, each at its first occurrence after the position.

    Args:
        rows_N: flat positions in B x P.
    """
    length, device = loss_BxT.shape[1], tokens_BxT.device
    carries_BxT = torch.from_numpy(loss_BxT).to(device)
    previous_BxT = previous_occurrence(tokens_BxT, carries_BxT)
    sample_Nx1, place_Nx1 = (torch.from_numpy(part).to(device)[:, None] for part in np.divmod(rows_N, length - 1))
    target_NxW = place_Nx1 + torch.arange(1, window + 1, device=device)
    flat_NxW = sample_Nx1 * length + target_NxW.clamp(max=length - 1)
    inside_NxW = (target_NxW < length) & carries_BxT.flatten()[flat_NxW]
    return tokens_BxT.flatten()[flat_NxW], inside_NxW & (previous_BxT.flatten()[flat_NxW] <= place_Nx1)


def previous_occurrence(tokens_BxT: Tensor, carries_BxT: Tensor) -> Tensor:
    """Returns, for each place in the loss mask, the previous such place with the same token [B, T], or -1."""
    sorted_BxT, place_BxT = tokens_BxT.where(carries_BxT, -1).sort(dim=1, stable=True)  # equal tokens keep their order
    repeated = sorted_BxT[:, 1:] == sorted_BxT[:, :-1]
    previous_BxT = F.pad(place_BxT[:, :-1].where(repeated, -1), (1, 0), value=-1)
    return torch.empty_like(place_BxT).scatter_(1, place_BxT, previous_BxT)
