"""The implied weight of a choice in the loss of n heads (paper, section 5.1, figure 9), counted and in closed form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from generators.foundation.randomness import Integers
from generators.protocols import ChoicePoints
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective


@dataclass(frozen=True)
class PredictionHead:
    """A head, described by the distance of its target.

    Attributes:
        lag: distance from its position to its target, in tokens.
        unseen: distance from the last token that the head knows to its target. It equals the lag, unless the head also
            reads the true tokens in between, as sequential modules do; then it is 1.
    """

    lag: int
    unseen: int


@dataclass(frozen=True)
class ChoiceCounts:
    """The number of predictions, at each choice [B, T], of targets of three classes; 0 at other positions."""

    consequential: Integers
    inconsequential: Integers
    decided: Integers

    @property
    def total(self) -> Integers:
        """The number of predictions of the choice and of what it decides [B, T]."""
        return self.consequential + self.inconsequential + self.decided


@torch.no_grad()
def prediction_heads(network: Objective, batch: TensorBatch) -> list[PredictionHead]:
    """Returns the heads of a network. Whether a head reads tokens after its position is tested by changing them."""
    tokens = batch.inputs_BxP
    latent = network.trunk(tokens)

    def reads_ahead(lag: int) -> bool:
        return not torch.equal(network.hidden(latent, lag, tokens), network.hidden(latent, lag, tokens.flip(1)))

    return [PredictionHead(lag, 1 if reads_ahead(lag) else lag) for lag in network.lags]


def count_predictions(points: ChoicePoints, heads: Sequence[PredictionHead]) -> ChoiceCounts:
    """Counts the predictions of each choice, and of each token that it decides, from positions before the choice."""
    masks = (points.consequential, points.inconsequential, points.decided)
    counts = [np.zeros_like(points.choice) for _ in masks]
    for head in heads:
        for target in range(head.lag, points.choice.shape[1]):
            choice = points.choice[:, target]
            for mask, count in zip(masks, counts, strict=True):
                rows = np.flatnonzero(mask[:, target] & (choice > target - head.unseen))
                count[rows, choice[rows]] += 1
    return ChoiceCounts(*counts)


def theoretical_weight(
    heads: Sequence[PredictionHead], decides: int, spacing: int, before: int | None = None, after: int | None = None
) -> tuple[int, int]:
    """Returns the two counts of one choice in closed form: predictions of the choice, and of what it decides.

    A head with lag i predicts the target at offset k of a choice, from before the choice, if k < i. The choice decides
    D tokens, and the next choice comes S tokens later; from there on, tokens belong to the next choice. Then n heads
    make

        weight = sum over i of min(i, m) = m n - m (m - 1) / 2,    m = min(D + 1, S, n)

    predictions: the paper's n (n + 1) / 2 if D >= n - 1, and n if it decides nothing. If D < S, as in the task
    `choice`, the next choice does not reduce the weight: windows of two choices nearer than n overlap, but no token
    counts for both. If D >= S, a token that depends on several choices counts for the last one only, so m = S. A choice
    near the start of its sample has fewer positions before it, one near the end fewer tokens after it.

    Args:
        decides, spacing: D and S in tokens; D = 0 for an inconsequential choice.
        before, after: number of tokens of the sample before and after the choice; None if there are enough of them.
    """
    last_offset = min(decides, spacing - 1) if after is None else min(decides, spacing - 1, after)
    counts = [
        sum(offset < head.unseen and (before is None or head.lag <= before + offset) for head in heads)
        for offset in range(last_offset + 1)
    ]
    return counts[0], sum(counts[1:])
