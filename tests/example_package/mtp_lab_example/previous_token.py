"""Recall of the previous token, which the second layer of an induction circuit reads (Olsson et al. 2022)."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from lab import DataShape, Graph, ModelConfig, NextTokenPath, Objective, ObjectiveConfig, Targets, TensorBatch, Term


class PreviousTokenConfig(ObjectiveConfig):
    """Settings of `previous_token`."""

    kind: Literal["previous_token"] = "previous_token"
    weight: float = Field(default=1.0, ge=0, description="weight of the recall loss in the sum")


class PreviousToken(Objective):
    """A next-token model that is also trained to recall the previous token; at inference only the next-token model remains."""

    config: PreviousTokenConfig

    def __init__(self, config: PreviousTokenConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data, trunk_layers=model.shape.layers)
        width = model.shape.width
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.lm_head = nn.Linear(width, data.vocabulary, bias=False)
        self.recall = nn.Linear(width, data.vocabulary, bias=False)

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        hidden_BxPxD = graph.share(self.norm(latent_BxSxD))
        targets = batch.targets(1)
        yield Term("loss_1", graph.cross_entropy(hidden_BxPxD, self.lm_head.weight, targets), targets.count)

        previous = batch.tokens_BxT[:, :-2]
        count = len(batch.whole.loss) * previous.shape[1]
        recalled = Targets(None, previous.flatten(), count)
        value = graph.cross_entropy(hidden_BxPxD[:, 1:], self.recall.weight, recalled)
        yield Term("recall", value, count, self.config.weight)

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        hidden_BxPxD: Tensor = self.norm(latent_BxPxD[:, : tokens_BxQ.shape[1]])
        return hidden_BxPxD

    def unembed(self, hidden_NxD: Tensor, lag: int) -> Tensor:
        logits_NxV: Tensor = self.lm_head(hidden_NxD)
        return logits_NxV

    def next_token_path(self) -> NextTokenPath:
        return NextTokenPath([], self.norm, self.lm_head)

    def head_parts(self) -> dict[str, nn.Module]:
        return {"norm": self.norm, "unembedding": self.lm_head, "recall unembedding": self.recall}
