"""How often the loss of n heads counts a choice (paper, section 5.1 and figure 9): counted, and in closed form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from generators.foundation.randomness import Integers
from generators.tasks.choice import CONSEQUENTIAL, DECIDED, INCONSEQUENTIAL
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective


@dataclass(frozen=True)
class Head:
    """A head whose target is `lag` tokens ahead of its position, and `unseen` tokens ahead of the last one it knows.

    The two are one unless the head is told the true tokens in between, as sequential modules are: then unseen = 1.
    """

    lag: int
    unseen: int


@torch.no_grad()
def heads_of(network: Objective, batch: TensorBatch) -> list[Head]:
    """The heads of a network; what they are told is found by telling them something else."""
    tokens = batch.inputs_BxP
    latent = network.trunk(tokens)

    def told(lag: int) -> bool:
        return not torch.equal(network.hidden(latent, lag, tokens), network.hidden(latent, lag, tokens.flip(1)))

    return [Head(lag, 1 if told(lag) else lag) for lag in network.lags]


def counted_weight(labels: Mapping[str, Integers], heads: Sequence[Head]) -> dict[int, Integers]:
    """Of each choice, the predictions that look at it, or at a token that it decides, from before it: by class of what
    they look at, int64 [B, T] at the choice's position. Counted head by head and target by target.

    Args:
        labels: `class` and `choice` of the tokens [B, T].
    """
    classes, choice = labels["class"], labels["choice"]
    found = {which: np.zeros_like(choice) for which in (CONSEQUENTIAL, INCONSEQUENTIAL, DECIDED)}
    for head in heads:
        for target in range(head.lag, classes.shape[1]):
            for row in np.flatnonzero(choice[:, target] > target - head.unseen):
                found[int(classes[row, target])][row, choice[row, target]] += 1
    return found


def weight_in_theory(
    heads: Sequence[Head], decides: int, spacing: int, before: int | None = None, after: int | None = None
) -> tuple[int, int]:
    """The same in closed form, of one choice: predictions of the choice itself, and of what it decides.

    A head that looks i ahead sees the target at offset k of a choice from before it if k < i. With D tokens decided,
    and the next choice S tokens on, after which tokens are that choice's, n heads make

        weight = sum over i of min(i, m) = m n - m (m - 1) / 2,    m = min(D + 1, S, n)

    predictions. While D < S, as the task has it, the next choice takes nothing away and this is `implied_weight(n, D)`,
    exact at any spacing: windows of two choices nearer than n overlap, but no token is in the share of both. Were
    D >= S, `implied_weight` would count a token once for each choice it depends on; by the last one, m = S. A choice
    near the start of its sample has fewer positions in front of it, one near the end fewer tokens behind it.

    Args:
        decides, spacing: D and S in tokens; D = 0 of an inconsequential choice.
        before, after: tokens of the sample in front of the choice, and behind it; enough of them if absent.
    """
    deciding = min(decides, spacing - 1) if after is None else min(decides, spacing - 1, after)
    each = [
        sum(offset < head.unseen and (before is None or head.lag <= before + offset) for head in heads)
        for offset in range(deciding + 1)
    ]
    return each[0], sum(each[1:])
