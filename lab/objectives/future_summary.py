"""Future summary prediction (FSP, arXiv 2510.14751): predict the next token, and which tokens occur soon after it.

The summary of the future is a bag of words: a_v is 1 if token v of the vocabulary is among x_{t+2} .. x_{t+w}, and 0
otherwise, however often it occurs there. A second unembedding on the same hidden state gives one logit z_v for each
token, so that

    L = CE + weight x sum over v of BCE(sigmoid(z_v), a_v) / V

The summary is predicted from the positions that predict a target, and only tokens in the loss mask are in the bag. A
bag can therefore be empty, as at the last target of a sample.

For example, with a window of w = 4, if x is followed by `a b a c` and the vocabulary is a, b, c, x, the bag at x is
{a, b, c}: the `a` right after x is not counted, the later one is. With w = 2 the bag is {b}. If all logits are 0, the
loss is ln 2 whatever the bag.

The paper also learns the summary with a model that reads from right to left; this is the bag of words alone. Dividing
by V, which makes `weight` comparable between vocabularies, is ours: a published weight on the sum over the vocabulary
is V times as large here. Which window and weight were published, and whether the bag there includes x_{t+1}, could not
be checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.model.devices import to_device
from lab.model.windows import Window
from lab.objectives.objective import NextTokenModel, ObjectiveConfig


class FutureSummaryConfig(ObjectiveConfig):
    """Settings of `future_summary`."""

    kind: Literal["future_summary"] = "future_summary"
    window: int = Field(
        default=32, ge=2, le=4096, description="distance w of the last token in the bag; the first is 2 ahead"
    )
    weight: float = Field(default=1.0, ge=0, description="weight of the loss of the summary")


@dataclass(frozen=True)
class Bags:
    """The bags of the N positions that predict a target.

    Attributes:
        tokens_NxW: the tokens 2 .. w ahead.
        inside_NxW: which of them are in the bag.
    """

    tokens_NxW: Tensor
    inside_NxW: Tensor


class FutureSummary(NextTokenModel):
    """A next-token model with a second unembedding that predicts which tokens occur soon."""

    config: FutureSummaryConfig
    reads_targets_only = True

    def __init__(self, config: FutureSummaryConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data, model.shape.layers)
        self.norm = self.trunk.new_norm()
        self.lm_head = nn.Linear(model.shape.width, data.vocabulary, bias=False)
        self.summary_head = nn.Linear(model.shape.width, data.vocabulary, bias=False)

    def latent_window(self, batch: TensorBatch) -> Window | None:
        return batch.window((1,))

    def prepare(self, batch: TensorBatch) -> None:
        super().prepare(batch)
        self.bags(batch)

    def bags(self, batch: TensorBatch) -> Bags:
        """Returns the bags of a batch, in the order of its targets at lag 1."""

        def compute() -> Bags:
            length, device = batch.loss.shape[1], batch.tokens_BxT.device
            sample_N, place_N = np.nonzero(batch.loss[:, 1:])
            place_NxW = place_N[:, None] + np.arange(2, min(self.config.window, length - 1) + 1)
            flat_NxW = length * sample_N[:, None] + np.minimum(place_NxW, length - 1)
            inside_NxW = (place_NxW < length) & batch.loss.reshape(-1)[flat_NxW]
            tokens_NxW = batch.tokens_BxT.reshape(-1)[to_device(device, flat_NxW)]
            return Bags(tokens_NxW, to_device(device, inside_NxW))

        return batch.once(("bags", self.config.window), compute)

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        hidden_BxPxD = graph.share(self.norm(latent_BxSxD))
        targets, bags = batch.targets(1), self.bags(batch)
        value = graph.cross_entropy(hidden_BxPxD, self.lm_head.weight, targets)
        yield Term("loss_1", value, targets.count)
        del value  # lets a cut graph free it before the next term is built
        hidden_NxD = targets.select(hidden_BxPxD)
        total = graph.sum_over_rows(self.summary_loss, hidden_NxD, bags.tokens_NxW, bags.inside_NxW)
        yield Term("loss_summary", total / max(1, targets.count), targets.count, self.config.weight)

    def summary_loss(self, hidden_NxD: Tensor, tokens_NxW: Tensor, inside_NxW: Tensor) -> Tensor:
        """Computes the binary cross-entropies, in nats, averaged over the vocabulary and summed over N positions."""
        logits_NxV = F.linear(hidden_NxD, self.summary_head.weight).to(self.summary_head.weight.dtype)
        bag_NxV = torch.zeros_like(logits_NxV).scatter_reduce(1, tokens_NxW, inside_NxW.to(logits_NxV.dtype), "amax")
        return F.binary_cross_entropy_with_logits(logits_NxV, bag_NxV, reduction="sum") / logits_NxV.shape[1]

    def head_parts(self) -> dict[str, nn.Module]:
        return {"norm": self.norm, "unembedding": self.lm_head, "summary unembedding": self.summary_head}
