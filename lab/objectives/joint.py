"""Joint token prediction (JTP, arXiv 2503.21801): the next n tokens jointly, through one latent and the tokens between.

h_t is the normed output of the trunk and e(x) the embedding of a token. One causal attention layer reads a short window
that begins at position t, and nothing else:

    u_j = g h_t + e(x_{t+j})    for j = 0 .. i,    o_i = h_t + Attention(u_0 .. u_i)_i

o_i predicts token t + i + 1 through the shared unembedding; its loss is the term `loss_{i+1}`. The losses add up to the
negative log-likelihood of the next n tokens. All of them reach the past through h_t alone, so h_t has to hold whatever
the next n tokens depend on.

For example, with n = 3, position t of `a b c d` holds `a`. b is predicted from h_t; c from h_t + Attention(u_0, u_1)_1
with u_0 = g h_t + e(a) and u_1 = g h_t + e(b); d from u_0, u_1 and u_2 = g h_t + e(c). If the attention layer is 0, all
three are predicted from h_t.

The next token is predicted from h_t itself, without the attention layer. The definition attends for i = 0 as well, but
to u_0 alone, which only adds a linear function of h_t and of the token at t, which h_t has read; without it, the
next-token path remains a Llama. The window also drafts, from the tokens it has drafted before. Whether the published
layer has positions could not be checked; here they are the rotary positions 0 .. i of the window.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from generators.foundation.errors import UserError
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import Targets, TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.model.devices import to_device
from lab.model.layers import Attention, rotary_table
from lab.model.windows import Window
from lab.objectives.objective import NextTokenModel, ObjectiveConfig, RunLayers

ROTARY_BASE = 10000.0


class JointConfig(ObjectiveConfig):
    """Settings of `joint`."""

    kind: Literal["joint"] = "joint"
    n: int = Field(default=4, ge=2, le=32, description="tokens predicted, the next one included")
    latent_scale: float = Field(default=0.5, gt=0, description="factor g of the latent in the inputs of the window")


@dataclass(frozen=True)
class JointTargets:
    """The M positions that predict a token after the next one.

    Attributes:
        positions_M: indices into the flattened positions B x P.
        tokens_MxJ: the tokens 0 .. J - 1 ahead of each.
        targets: lag -> its targets, with positions in M.
    """

    positions_M: Tensor
    tokens_MxJ: Tensor
    targets: dict[int, Targets]


class Joint(NextTokenModel):
    """A next-token model with one attention layer over the latent and the tokens after it."""

    config: JointConfig
    reads_targets_only = True
    rotary_2xJxK: Tensor

    def __init__(self, config: JointConfig, model: ModelConfig, data: DataShape) -> None:
        if config.n >= data.length:
            raise UserError(
                f"objective.n = {config.n}: the last prediction looks {config.n} tokens ahead, but samples have "
                f"{data.length}; give a smaller n"
            )
        shape = model.shape
        if shape.width % (2 * shape.attention_heads):
            raise UserError(
                f"model.width = {shape.width}: objective joint has attention with rotary positions, so it should "
                f"be a multiple of {2 * shape.attention_heads}, twice the number of attention heads"
            )
        super().__init__(config, model, data, shape.layers)
        self.lags = tuple(range(1, config.n + 1))
        self.norm = self.trunk.new_norm()
        self.window_attention = Attention(shape.width, shape.attention_heads)
        self.lm_head = nn.Linear(shape.width, data.vocabulary, bias=False)
        table = rotary_table(config.n, shape.width // shape.attention_heads, ROTARY_BASE)
        self.register_buffer("rotary_2xJxK", table, persistent=False)

    def read_window(self, hidden_NxD: Tensor, tokens_NxJ: Tensor) -> Tensor:
        """Computes o_0 .. o_{J-1} [N, J, D] from N latents and the tokens 0 .. J - 1 ahead of each."""
        hidden_Nx1xD = hidden_NxD[:, None]
        u_NxJxD = self.config.latent_scale * hidden_Nx1xD + self.trunk.embed_tokens(tokens_NxJ)
        attended_NxJxD: Tensor = self.window_attention(u_NxJxD, self.rotary_2xJxK[:, : tokens_NxJ.shape[1]])
        return hidden_Nx1xD + attended_NxJxD.to(hidden_NxD.dtype)  # keeps the hidden states in full precision

    def trained_lags(self, batch: TensorBatch) -> tuple[int, ...]:
        """Returns the lags at which the samples of a batch are long enough to have a target."""
        return tuple(lag for lag in self.lags if lag < batch.tokens_BxT.shape[1])

    def latent_window(self, batch: TensorBatch) -> Window | None:
        return batch.window(self.trained_lags(batch))

    def prepare(self, batch: TensorBatch) -> None:
        super().prepare(batch)
        self.joint_targets(batch)

    def joint_targets(self, batch: TensorBatch) -> JointTargets:
        """Returns the positions of a batch that predict tokens after the next one, and what they read and predict."""

        def compute() -> JointTargets:
            device, (size, length), lags = batch.tokens_BxT.device, batch.loss.shape, self.trained_lags(batch)
            ahead_BxPxJ = np.zeros((size, length - 1, len(lags)), np.bool_)  # which positions predict at which lag
            for lag in lags[1:]:
                ahead_BxPxJ[:, : length - lag, lag - 1] = batch.loss[:, lag:]
            sample_M, place_M = np.nonzero(ahead_BxPxJ.any(axis=2))
            if not len(place_M):  # attention needs an input, even one from which nothing is predicted
                sample_M = place_M = np.zeros(1, np.int64)
            place_MxJ = np.minimum(place_M[:, None] + np.arange(len(lags)), length - 1)
            tokens_MxJ = batch.tokens_BxT.reshape(-1)[to_device(device, length * sample_M[:, None] + place_MxJ)]
            targets = {}
            for lag in lags[1:]:
                rows_N = np.flatnonzero(ahead_BxPxJ[sample_M, place_M, lag - 1])  # in the order of the targets
                of_lag = batch.targets(lag)
                targets[lag] = Targets(to_device(device, rows_N), of_lag.tokens_N, of_lag.count)
            return JointTargets(to_device(device, (length - 1) * sample_M + place_M), tokens_MxJ, targets)

        return batch.once(("joint targets", self.config.n), compute)

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        hidden_BxPxD = graph.share(self.norm(latent_BxSxD))
        yield self.next_token_term(hidden_BxPxD, batch, graph)
        further = self.joint_targets(batch)
        if not further.targets:
            return
        hidden_MxD = hidden_BxPxD.flatten(0, 1)[further.positions_M]
        o_MxJxD = graph.share(self.read_window(hidden_MxD, further.tokens_MxJ))
        for lag, targets in further.targets.items():
            value = graph.cross_entropy(o_MxJxD[None, :, lag - 1], self.lm_head.weight, targets)
            yield Term(f"loss_{lag}", value, targets.count)
            del value

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        positions = tokens_BxQ.shape[1] - lag + 1
        hidden_BxPxD: Tensor = self.norm(latent_BxPxD[:, :positions])
        if lag == 1:
            return hidden_BxPxD
        tokens_NxJ = tokens_BxQ.unfold(1, lag, 1).flatten(0, 1)
        return self.read_window(hidden_BxPxD.flatten(0, 1), tokens_NxJ)[:, -1].view_as(hidden_BxPxD)

    @property
    def drafts(self) -> int:
        return self.config.n

    def proposals(self, latent_NxD: Tensor, tokens_N: Tensor, heads: int, run: RunLayers) -> Tensor:
        if heads > self.drafts:
            raise UserError(
                f"--draft {heads}: this run predicts {self.drafts} tokens jointly; give at most {self.drafts}"
            )
        hidden_NxD: Tensor = self.norm(latent_NxD)
        states_HxNxD, tokens_NxJ = [hidden_NxD], tokens_N[:, None]
        for _ in range(1, heads):
            drafts_Nx1 = self.lm_head(states_HxNxD[-1]).argmax(dim=-1, keepdim=True)
            tokens_NxJ = torch.cat((tokens_NxJ, drafts_Nx1), dim=1)
            states_HxNxD.append(self.read_window(hidden_NxD, tokens_NxJ)[:, -1])
        return torch.stack(states_HxNxD)

    def head_parts(self) -> dict[str, nn.Module]:
        return {"norm": self.norm, "window attention": self.window_attention, "unembedding": self.lm_head}
