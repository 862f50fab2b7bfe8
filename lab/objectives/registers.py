"""Registers (MuToR, arXiv 2505.10518): tokens that exist in training only predict the tokens further ahead.

Every token t is followed by a register, one learnable embedding, that predicts token t + d. Its rotary position is
t + d - 1, that of the token from which t + d would be the next token. A register attends to the tokens up to t and to
itself. No token attends to a register, so they are left out at inference without any change. Each sample has one
distance d, drawn uniformly from 1 .. horizon by its index in the split. The paper interleaves registers with tokens;
here they are appended, which is the same computation, because positions and mask are given explicitly.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, sample_keys
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import Targets, TensorBatch, to_device
from lab.model.config import ModelConfig
from lab.model.layers import NORM_EPSILON
from lab.objectives.next_token import NextTokenModel
from lab.objectives.objective import DataShape, ObjectiveConfig


class RegistersConfig(ObjectiveConfig):
    """Settings of `registers`."""

    kind: Literal["registers"] = "registers"
    horizon: int = Field(default=4, ge=1, le=1024, description="maximum distance at which a register predicts")
    weight: float = Field(
        default=0.3, ge=0, le=1, description="weight a of the registers' loss; that of the next token has 1 - a"
    )


class Registers(NextTokenModel):
    """A next-token model that is trained with a register behind each token."""

    config: RegistersConfig

    def __init__(self, config: RegistersConfig, model: ModelConfig, data: DataShape) -> None:
        if config.horizon >= data.length:
            raise UserError(
                f"objective.horizon = {config.horizon}: should be smaller than the {data.length} tokens of a sample"
            )
        super().__init__(config, model, data, model.shape.layers)
        self.register_embedding = nn.Embedding(1, model.shape.width)
        self.norm = nn.RMSNorm(model.shape.width, eps=NORM_EPSILON)
        self.lm_head = nn.Linear(model.shape.width, data.vocabulary, bias=False)

    def distances(self, indices: Integers) -> Integers:
        """Draws the distance d of each sample [B] from its index in the split."""
        return 1 + Stream(sample_keys("registers", indices)).integers("distance", self.config.horizon, 1)[:, 0]

    def prepare(self, batch: TensorBatch) -> None:
        super().prepare(batch)
        self.distances_ahead(batch)
        self.targets_ahead(batch)

    def distances_ahead(self, batch: TensorBatch) -> Tensor:
        """Returns the distance of each sample of a batch [B]."""
        return batch.once(
            ("distances", self.config.horizon),
            lambda: to_device(batch.tokens_BxT.device, self.distances(batch.indices)),
        )

    def targets_ahead(self, batch: TensorBatch) -> Targets:
        """Returns the targets of the registers of a batch."""
        return batch.once(("targets of registers", self.config.horizon), lambda: batch.targets_ahead(self.distances))

    def latent(self, batch: TensorBatch) -> Tensor:
        """Computes the hidden states of P tokens, followed by those of their P registers [B, 2P, D]."""
        tokens_BxP = batch.inputs_BxP
        size, positions = tokens_BxP.shape
        device = tokens_BxP.device
        embedded_BxPxD = self.trunk.embed_tokens(tokens_BxP)
        registers_BxPxD = self.register_embedding.weight.expand(size, positions, -1)
        place_P = torch.arange(positions, device=device)
        ahead_BxP = place_P + self.distances_ahead(batch)[:, None] - 1
        ahead_BxP = ahead_BxP.clamp(max=positions - 1)  # a register that is clamped has no target
        place_BxS = torch.cat((place_P.expand(size, -1), ahead_BxP), dim=1)
        rotary_2xBx1xSxK = self.trunk.rotary(positions)[:, place_BxS].unsqueeze(2)
        x_BxSxD = torch.cat((embedded_BxPxD, registers_BxPxD), dim=1)
        z_BxSxD: Tensor = self.trunk.run(x_BxSxD, rotary_2xBx1xSxK, attention_mask(place_P))
        return z_BxSxD

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        positions = batch.inputs_BxP.shape[1]
        targets = batch.targets(1)
        value = graph.cross_entropy(latent_BxSxD[:, :positions], self.lm_head.weight, targets, self.norm)
        yield Term("loss_1", value, targets.count, 1 - self.config.weight)
        del value
        targets = self.targets_ahead(batch)
        value = graph.cross_entropy(latent_BxSxD[:, positions:], self.lm_head.weight, targets, self.norm)
        yield Term("loss_registers", value, targets.count, self.config.weight)

    def head_parts(self) -> dict[str, nn.Module]:
        return {"register": self.register_embedding, "norm": self.norm, "unembedding": self.lm_head}


def attention_mask(place_P: Tensor) -> Tensor:
    """Returns the attention mask of P tokens and their P registers [2P, 2P]; True marks what a row attends to."""
    causal = place_P[:, None] >= place_P
    nothing, itself = torch.zeros_like(causal), place_P[:, None] == place_P
    return torch.cat((torch.cat((causal, nothing), dim=1), torch.cat((causal, itself), dim=1)))
