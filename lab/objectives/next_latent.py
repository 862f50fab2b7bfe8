"""Next-latent prediction (NextLat, arXiv 2511.05963): a small network rolls the latent forward, token by token.

h_t is the normed output of the trunk, from which token t + 1 is predicted, and e(x) the embedding of a token. A network
f, three linear layers with GELU between them, predicts the next latent from a latent and the token that follows it; it
is applied to its own output for d steps:

    z_t = h_t,    z_{t+i} = z_{t+i-1} + f(LayerNorm[z_{t+i-1}; e(x_{t+i})])    for i = 1 .. d

    L = CE + mean over i of  a SmoothL1(sg h_{t+i}, z_{t+i}) + b KL(p(. | sg h_{t+i}) || p(. | z_{t+i}))

sg stops the gradient, and p is the softmax of the unembedding, which is frozen in the KL term. Both terms are means
over positions, SmoothL1 also over the width. Token and KL losses are masked like targets: step i of the KL term counts
where token t + i + 1 is in the loss mask. The latent loss counts every position, up to the one that predicts the last
target of a sample, since only padding may follow. The terms are `loss_1`, `latent_i` and `kl_i`.

For example, let three successive latents of width 1 be 0, 0.5 and 2.5, let f be 0 and d = 2. A step then predicts the
latent before it. The first step is off by 0.5 and 2, with the losses 0.125 and 1.5 and the mean 0.8125; the second is
off by 2.5, with the loss 2. The latent loss is their mean, 1.40625.

The rollout predicts token t + i + 1 from h_t and the tokens up to t + i, so it also drafts. For path-star graphs the
paper takes d = length of a path - 2. Four things could not be checked: whether f has biases (it has here), which width
the published factor of 0.5 multiplies (here the 2 D inputs of f), how f is initialised (here like every other layer),
and whether gradients reach the embedding through e (they do here).
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from generators.foundation.errors import UserError
from generators.task import Mask
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.model.devices import to_device
from lab.objectives.objective import NextTokenModel, ObjectiveConfig, RunLayers


class NextLatentConfig(ObjectiveConfig):
    """Settings of `next_latent`."""

    kind: Literal["next_latent"] = "next_latent"
    horizon: int = Field(default=4, ge=1, le=1024, description="steps d of the rollout")
    latent_weight: float = Field(default=1.0, ge=0, description="weight a of the distance between latents")
    kl_weight: float = Field(default=1.0, ge=0, description="weight b of the divergence between predictions")
    projection: float = Field(
        default=0.5, gt=0, le=16, description="hidden width of the latent network, relative to its 2 x width inputs"
    )


class NextLatent(NextTokenModel):
    """A next-token model that is also trained to predict its next latents from the tokens between them."""

    config: NextLatentConfig
    reads_targets_only = True  # the latent loss is no sum over targets, but it reads nothing after the last of them

    def __init__(self, config: NextLatentConfig, model: ModelConfig, data: DataShape) -> None:
        if config.horizon >= data.length - 1:
            raise UserError(
                f"objective.horizon = {config.horizon}: should be smaller than {data.length - 1}, the number of latents"
                f" of a sample of {data.length} tokens"
            )
        super().__init__(config, model, data, model.shape.layers)
        width, hidden = model.shape.width, max(1, round(2 * config.projection * model.shape.width))
        self.lags = tuple(range(1, config.horizon + 2))
        self.dynamics = nn.Sequential(
            nn.LayerNorm(2 * width),
            nn.Linear(2 * width, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, width),
        )
        self.norm = self.trunk.new_norm()
        self.lm_head = nn.Linear(width, data.vocabulary, bias=False)

    def next_latent(self, z: Tensor, embedded: Tensor) -> Tensor:
        """Predicts the next latent [..., D] from a latent and the embedding of the token that follows it [..., D]."""
        change: Tensor = self.dynamics(torch.cat((z, embedded), dim=-1))
        return z + change.to(z.dtype)  # keeps the rollout in full precision

    def latents_before_ends(self, batch: TensorBatch) -> tuple[Tensor, list[int]]:
        """Returns which latents [B, P] count in the latent loss, and their number in the whole batch by step 0 .. d."""

        def compute() -> tuple[Tensor, list[int]]:
            before_BxP = np.arange(batch.loss.shape[1] - 1) < last_targets(batch.loss)[:, None]
            last_B = last_targets(batch.whole.loss)
            counts = [int(np.maximum(last_B - step, 0).sum()) for step in range(self.config.horizon + 1)]
            return to_device(batch.tokens_BxT.device, before_BxP), counts

        return batch.once(("latents before ends", self.config.horizon), compute)

    def prepare(self, batch: TensorBatch) -> None:
        super().prepare(batch)
        self.latents_before_ends(batch)

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        hidden_BxPxD = graph.share(self.norm(latent_BxSxD))
        yield self.next_token_term(hidden_BxPxD, batch, graph)
        counted_BxP, counts = self.latents_before_ends(batch)
        steps = min(self.config.horizon, hidden_BxPxD.shape[1] - 1)
        embedded_BxPxD = graph.share(self.trunk.embed_tokens(batch.inputs_BxP))
        z = hidden_BxPxD
        for step in range(1, steps + 1):
            z = graph.share(self.next_latent(z[:, :-1], embedded_BxPxD[:, step:]))
            true_latent = hidden_BxPxD[:, step:].detach()
            distance = F.smooth_l1_loss(z, true_latent, reduction="none").mean(dim=-1) * counted_BxP[:, step:]
            weight = self.config.latent_weight / steps
            yield Term(f"latent_{step}", distance.sum() / max(1, counts[step]), counts[step], weight)
            del distance
            targets = batch.targets(step + 1)
            total = graph.sum_over_rows(self.divergence, targets.select(z), targets.select(true_latent))
            weight = self.config.kl_weight / steps
            yield Term(f"kl_{step}", total / max(1, targets.count), targets.count, weight)
            del total

    def divergence(self, predicted_NxD: Tensor, true_NxD: Tensor) -> Tensor:
        """Computes the KL divergence, in nats, of N predictions from a latent to those from its prediction, summed."""
        unembedding_VxD = self.lm_head.weight.detach()
        log_p_NxV, log_q_NxV = (
            F.linear(latent_NxD, unembedding_VxD).to(unembedding_VxD.dtype).log_softmax(dim=-1)
            for latent_NxD in (true_NxD, predicted_NxD)
        )
        return F.kl_div(log_q_NxV, log_p_NxV, reduction="sum", log_target=True)

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        positions = tokens_BxQ.shape[1] - lag + 1
        z_BxPxD: Tensor = self.norm(latent_BxPxD[:, :positions])
        for step in range(1, lag):
            z_BxPxD = self.next_latent(z_BxPxD, self.trunk.embed_tokens(tokens_BxQ[:, step : step + positions]))
        return z_BxPxD

    @property
    def drafts(self) -> int:
        return self.config.horizon + 1

    def proposals(self, latent_NxD: Tensor, tokens_N: Tensor, heads: int, run: RunLayers) -> Tensor:
        if heads > self.drafts:
            raise UserError(
                f"--draft {heads}: the rollout of this run predicts {self.drafts} tokens at once; give at most "
                f"{self.drafts}"
            )
        z_HxNxD: list[Tensor] = [self.norm(latent_NxD)]
        for _ in range(1, heads):
            drafts_N = self.lm_head(z_HxNxD[-1]).argmax(dim=-1)
            z_HxNxD.append(self.next_latent(z_HxNxD[-1], self.trunk.embed_tokens(drafts_N)))
        return torch.stack(z_HxNxD)

    def head_parts(self) -> dict[str, nn.Module]:
        return {"norm": self.norm, "latent network": self.dynamics, "unembedding": self.lm_head}


def last_targets(loss_BxT: Mask) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Returns the place of the last target of each sample [B], or 0 for a sample without one."""
    length = loss_BxT.shape[1]
    return np.where(loss_BxT.any(axis=1), length - 1 - loss_BxT[:, ::-1].argmax(axis=1), 0)
