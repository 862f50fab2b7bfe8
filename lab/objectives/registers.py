"""Registers (MuToR, arXiv 2505.10518): what lies ahead is predicted from tokens put in for training only.

Behind every token t stands a register, one learnable embedding, that is to predict token t + d. Its rotary position is
t + d - 1, that of the token from which t + d would be predicted next. A register sees the tokens up to t and itself;
no token sees a register, so at inference they are left out and nothing changes. Each sample has one distance d, drawn
uniformly from 1 .. horizon by its place in the split. The paper interleaves registers with tokens; here they are
appended, which is the same computation, since positions and mask are given and nothing else knows the order.
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
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig
from lab.model.layers import NORM_EPSILON
from lab.objectives.next_token import NextTokenModel
from lab.objectives.objective import DataShape, ObjectiveConfig


class RegistersConfig(ObjectiveConfig):
    """Settings of `registers`."""

    kind: Literal["registers"] = "registers"
    horizon: int = Field(default=4, ge=1, le=1024, description="the furthest distance a register looks ahead")
    weight: float = Field(default=0.3, ge=0, le=1, description="a: of the registers' loss; the next token's has 1 - a")


class Registers(NextTokenModel):
    """A next-token model that is trained with a register behind each token."""

    config: RegistersConfig

    def __init__(self, config: RegistersConfig, model: ModelConfig, data: DataShape) -> None:
        if config.horizon >= data.length:
            raise UserError(
                f"objective.horizon = {config.horizon}: a sample has {data.length} tokens; should be smaller than that"
            )
        super().__init__(config, model, data, model.shape.layers)
        self.register_embedding = nn.Embedding(1, model.shape.width)
        self.norm = nn.RMSNorm(model.shape.width, eps=NORM_EPSILON)
        self.lm_head = nn.Linear(model.shape.width, data.vocabulary, bias=False)

    def ahead(self, indices: Integers) -> Integers:
        """The distance d of each sample [B]: a function of its place in the split."""
        return 1 + Stream(sample_keys("registers", indices)).integers("distance", self.config.horizon, 1)[:, 0]

    def latent(self, batch: TensorBatch) -> Tensor:
        """Hidden states of P tokens and, behind them, of their P registers [B, 2P, D]."""
        tokens_BxP = batch.inputs_BxP
        size, positions = tokens_BxP.shape
        device = tokens_BxP.device
        embedded_BxPxD = self.trunk.embed_tokens(tokens_BxP)
        registers_BxPxD = self.register_embedding.weight.expand(size, positions, -1)
        place_P = torch.arange(positions, device=device)
        distance_Bx1 = torch.from_numpy(self.ahead(batch.indices)).to(device)[:, None]
        beyond_BxP = (place_P + distance_Bx1 - 1).clamp(max=positions - 1)  # a register that is clipped has no target
        where_BxS = torch.cat((place_P.expand(size, -1), beyond_BxP), dim=1)
        rotary_2xBx1xSxK = self.trunk.rotary(positions)[:, where_BxS].unsqueeze(2)
        x_BxSxD = torch.cat((embedded_BxPxD, registers_BxPxD), dim=1)
        z_BxSxD: Tensor = self.trunk.run(x_BxSxD, rotary_2xBx1xSxK, seen(place_P))
        return z_BxSxD

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        positions = batch.inputs_BxP.shape[1]
        targets = batch.targets(1)
        value = graph.cross_entropy(latent_BxSxD[:, :positions], self.lm_head.weight, targets, self.norm)
        yield Term("loss_1", value, targets.count, 1 - self.config.weight)
        del value
        targets = batch.targets_ahead(self.ahead)
        value = graph.cross_entropy(latent_BxSxD[:, positions:], self.lm_head.weight, targets, self.norm)
        yield Term("loss_registers", value, targets.count, self.config.weight)

    def head_parts(self) -> dict[str, nn.Module]:
        return {"register": self.register_embedding, "norm": self.norm, "unembedding": self.lm_head}


def seen(place_P: Tensor) -> Tensor:
    """What P tokens and their P registers attend to [2P, 2P], True is seen."""
    causal = place_P[:, None] >= place_P
    nothing, itself = torch.zeros_like(causal), place_P[:, None] == place_P
    return torch.cat((torch.cat((causal, nothing), dim=1), torch.cat((causal, itself), dim=1)))
