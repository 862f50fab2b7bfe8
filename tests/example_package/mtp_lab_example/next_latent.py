"""Next-latent prediction, in a simple form of Teoh et al. 2025 (arXiv 2511.05963)."""

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from lab import DataShape, Graph, ModelConfig, NextTokenPath, Objective, ObjectiveConfig, TensorBatch, Term


class NextLatentConfig(ObjectiveConfig):
    """Settings of `next_latent`."""

    kind: Literal["next_latent"] = "next_latent"
    weight: float = Field(default=1.0, ge=0, description="weight of the latent loss in the sum")


class NextLatent(Objective):
    """A next-token model that is also trained to predict its next latent; at inference only the next-token model remains."""

    config: NextLatentConfig

    def __init__(self, config: NextLatentConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data, trunk_layers=model.shape.layers)
        width = model.shape.width
        self.dynamics = nn.Sequential(
            nn.Linear(2 * width, width, bias=False), nn.SiLU(), nn.Linear(width, width, bias=False)
        )
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.lm_head = nn.Linear(width, data.vocabulary, bias=False)

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        hidden_BxPxD = graph.share(self.norm(latent_BxSxD))
        targets = batch.targets(1)
        yield Term("loss_1", graph.cross_entropy(hidden_BxPxD, self.lm_head.weight, targets), targets.count)

        next_tokens = self.trunk.embed_tokens(batch.tokens_BxT[:, 1:-1])
        predicted = self.dynamics(torch.cat((hidden_BxPxD[:, :-1], next_tokens), dim=-1))
        error = F.smooth_l1_loss(predicted, hidden_BxPxD[:, 1:].detach(), reduction="none").mean(dim=-1)
        count = len(batch.whole.loss) * error.shape[1]
        yield Term("latent", error.sum() / max(1, count), count, self.config.weight)

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        hidden_BxPxD: Tensor = self.norm(latent_BxPxD[:, : tokens_BxQ.shape[1]])
        return hidden_BxPxD

    def unembed(self, hidden_NxD: Tensor, lag: int) -> Tensor:
        logits_NxV: Tensor = self.lm_head(hidden_NxD)
        return logits_NxV

    def next_token_path(self) -> NextTokenPath:
        return NextTokenPath([], self.norm, self.lm_head)

    def head_parts(self) -> dict[str, nn.Module]:
        return {"dynamics": self.dynamics, "norm": self.norm, "unembedding": self.lm_head}
