"""Belief state training (BST, arXiv 2410.23506): predict inwards from a prefix and a suffix.

A forward encoder F reads a prefix x_{<=i} and a backward encoder B a suffix x_{>=j}, from its end to its start. For
pairs (i, j) with a gap j - i of at least 2, one network on both states predicts the token after the prefix and the
token before the suffix. A prefix state from which both can be predicted, for every suffix, holds all that the past
says about the future. The published loss is half the sum of both cross-entropies, over all pairs. Here F is the
trunk, which keeps its next-token loss, and the pairs are an addition to it:

    L = CE + weight x 1/2 (CE of x_{i+1} + CE of x_{j-1}), both averaged over `pairs` pairs per sample

The terms are `loss_1`, `pair_next` and `pair_previous`. F is the normed output of the trunk, and B a state of a small
encoder of `layers` layers of the trunk's kind, with the trunk's embedding of tokens. Both predicted tokens have to be
in the loss mask, so a pair is drawn as its two targets u = i + 1 and v = j - 1, uniformly from all u <= v of the
sample. A suffix ends with the last target of the sample, since only padding may follow, and it is empty if v is that
target: B begins with a learnable embedding that stands for the end. The draws depend on the index of the sample in its
split and on its mask alone.

For example, the sample `a b c d` with c and d in the loss mask has three pairs. From `a b` and `d` both predictions are
c (the gap is 2); from `a b` and the empty suffix they are c and d; from `a b c` and the empty suffix both are d.

The pair network is a linear layer from F and B, GELU and a linear layer to two hidden states, which predict through the
unembedding of the next token. Its depth and width, whether the published one has unembeddings of its own, and which
distribution of pairs replaces the sum over all of them could not be checked. B and the pair network are dropped at
inference.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from generators.foundation.randomness import Integers, Stream, sample_keys
from generators.task import Mask
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import Targets, TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.model.devices import to_device
from lab.model.windows import Window
from lab.objectives.objective import NextTokenModel, ObjectiveConfig


class BeliefStateConfig(ObjectiveConfig):
    """Settings of `belief_state`."""

    kind: Literal["belief_state"] = "belief_state"
    pairs: int = Field(default=16, ge=1, le=4096, description="pairs of a prefix and a suffix drawn per sample")
    weight: float = Field(default=0.25, ge=0, description="weight of half the sum of both losses of the pairs")
    layers: int = Field(default=1, ge=1, le=64, description="layers of the backward encoder")


@dataclass(frozen=True)
class Pairs:
    """The N pairs of a batch, and the sequences that the backward encoder reads.

    Attributes:
        reversed_BxR: the R tokens before which a suffix can begin, from the last target of each sample backwards.
        places_BxR: their positions in the backward encoder, which reads the end at position 0.
        prefix_N: the last position of each prefix, an index into the flattened positions B x P.
        suffix_N: the state of each suffix, an index into the flattened B x (1 + R).
        next, previous: the targets u and v of the pairs, predicted from N hidden states.
    """

    reversed_BxR: Tensor
    places_BxR: Tensor
    prefix_N: Tensor
    suffix_N: Tensor
    next: Targets
    previous: Targets


class BeliefState(NextTokenModel):
    """A next-token model with a backward encoder, and a network that predicts inwards from both."""

    config: BeliefStateConfig
    reads_targets_only = True  # a pair reads later tokens than its targets, but nothing after the last target

    def __init__(self, config: BeliefStateConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data, model.shape.layers)
        width = model.shape.width
        self.end_embedding = nn.Embedding(1, width)
        self.backward_layers = nn.ModuleList(self.trunk.new_layer() for _ in range(config.layers))
        self.backward_norm = self.trunk.new_norm()
        self.pair_network = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, 2 * width))
        self.norm = self.trunk.new_norm()
        self.lm_head = nn.Linear(width, data.vocabulary, bias=False)

    def latent_window(self, batch: TensorBatch) -> Window | None:
        return batch.window((1,))

    def prepare(self, batch: TensorBatch) -> None:
        super().prepare(batch)
        self.pairs(batch)

    def pairs(self, batch: TensorBatch) -> Pairs:
        """Returns the pairs of a batch."""

        def compute() -> Pairs:
            tokens_BxT, device, (size, length) = batch.tokens_BxT, batch.tokens_BxT.device, batch.loss.shape
            sample_N, first_N, last_N, end_B = draw_pairs(batch.loss, batch.indices, self.config.pairs)
            count = self.config.pairs * int(np.count_nonzero(batch.whole.loss[:, 1:].any(axis=1)))
            places_BxR = np.broadcast_to(1 + np.arange(length - 2), (size, length - 2))
            source_BxR = np.maximum(end_B[:, None] + 1 - places_BxR, 0) + length * np.arange(size)[:, None]

            def targets(place_N: Integers) -> Targets:
                return Targets(None, tokens_BxT.reshape(-1)[to_device(device, length * sample_N + place_N)], count)

            return Pairs(
                tokens_BxT.reshape(-1)[to_device(device, source_BxR)],
                to_device(device, places_BxR),
                to_device(device, (length - 1) * sample_N + first_N - 1),
                to_device(device, (length - 1) * sample_N + end_B[sample_N] - last_N),
                targets(first_N),
                targets(last_N),
            )

        return batch.once(("pairs", self.config.pairs), compute)

    def suffix_states(self, pairs: Pairs) -> Tensor:
        """Computes the normed states B [B, 1 + R, D] of the empty suffix and of those that begin with each token."""
        embedded_BxRxD = self.trunk.embed_at(pairs.reversed_BxR, pairs.places_BxR)
        end_Bx1xD = self.end_embedding.weight.expand(len(embedded_BxRxD), 1, -1)
        x_BxSxD = torch.cat((end_Bx1xD, embedded_BxRxD), dim=1)
        for layer in self.backward_layers:
            x_BxSxD = self.trunk.apply_layer(layer, x_BxSxD)
        states_BxSxD: Tensor = self.backward_norm(x_BxSxD)
        return states_BxSxD

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        hidden_BxPxD = graph.share(self.norm(latent_BxSxD))
        yield self.next_token_term(hidden_BxPxD, batch, graph)
        pairs = self.pairs(batch)
        prefix_NxD = hidden_BxPxD.flatten(0, 1)[pairs.prefix_N]
        suffix_NxD = self.suffix_states(pairs).flatten(0, 1)[pairs.suffix_N]
        both_NxD = graph.share(self.pair_network(torch.cat((prefix_NxD, suffix_NxD), dim=1)))
        further = ("pair_next", pairs.next), ("pair_previous", pairs.previous)
        for (name, targets), state_NxD in zip(further, both_NxD.chunk(2, dim=1), strict=True):
            value = graph.cross_entropy(state_NxD[None], self.lm_head.weight, targets)
            yield Term(name, value, targets.count, self.config.weight / 2)
            del value

    def head_parts(self) -> dict[str, nn.Module]:
        backward = nn.ModuleList((self.end_embedding, self.backward_layers, self.backward_norm))
        return {
            "norm": self.norm,
            "backward encoder": backward,
            "pair network": self.pair_network,
            "unembedding": self.lm_head,
        }


def draw_pairs(loss_BxT: Mask, indices: Integers, pairs: int) -> tuple[Integers, Integers, Integers, Integers]:
    """Draws pairs of targets u <= v, uniformly and with replacement, in every sample that has a target.

    Args:
        indices: index of each sample in its split [B].

    Returns:
        Of each pair, its sample, u and v [N each]; and the last target of each sample [B], 0 without one.
    """
    carries_BxT = loss_BxT.copy()
    carries_BxT[:, 0] = False  # nothing predicts the first token
    count_B = carries_BxT.sum(axis=1)
    numbers = Stream(sample_keys("belief_state", indices)).integers(
        "pair", (count_B * (count_B + 1) // 2)[:, None], pairs
    )
    later_BxN = (np.sqrt(8 * numbers + 1).astype(np.int64) - 1) // 2  # pairs are numbered by v, then by u
    earlier_BxN = numbers - later_BxN * (later_BxN + 1) // 2
    place_BxT = np.argsort(~carries_BxT, axis=1, kind="stable")  # the targets of a sample come first, in their order
    kept_B = count_B > 0
    sample_N = np.repeat(np.flatnonzero(kept_B), pairs)
    first_N, last_N = (place_BxT[sample_N, number[kept_B].reshape(-1)] for number in (earlier_BxN, later_BxN))
    end_B = np.where(kept_B, place_BxT[np.arange(len(count_B)), np.maximum(count_B - 1, 0)], 0)
    return sample_N, first_N, last_N, end_B
