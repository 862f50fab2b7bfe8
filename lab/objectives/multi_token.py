"""Multi-token prediction as in the paper: n heads on a shared trunk, one unembedding.

P(x_{t+i}) = softmax(f_u(f_hi(f_s(x_<=t)))), each f_hi one transformer layer (paper, section 2).
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from generators.errors import UserError
from lab.batches import TensorBatch
from lab.model.config import ModelConfig
from lab.model.layers import NORM_EPSILON, rotary_table
from lab.model.network import new_block
from lab.objectives.objective import Objective, ObjectiveConfig, Term
from lab.unembedding import cross_entropy


class MultiTokenConfig(ObjectiveConfig):
    """Settings of `multi_token`."""

    kind: Literal["multi_token"] = "multi_token"
    n: int = Field(default=1, ge=1, le=32, description="tokens predicted at once; 1 is next-token prediction")
    match: Literal["layers", "none"] = Field(
        default="layers",
        description="layers: the trunk gives up a layer for each further head, as in the paper; none: it keeps them",
    )


class MultiToken(Objective):
    """Parallel transformer heads. Head 1 is the last layer of the next-token model."""

    config: MultiTokenConfig
    rotary_2xTxK: Tensor

    def __init__(self, config: MultiTokenConfig, model: ModelConfig, vocabulary_size: int, length: int) -> None:
        super().__init__(config, model, vocabulary_size, length)
        taken = config.n if config.match == "layers" else 1
        shape = model.shape
        if taken >= shape.layers:
            raise UserError(
                f'objective.n = {config.n}: with match = "{config.match}" the heads take {taken} of the model\'s '
                f'{shape.layers} layers and leave no trunk; a smaller n, more layers or match = "none" would do'
            )
        self.n = config.n
        self.trunk_layers = shape.layers - taken
        self.heads = nn.ModuleList(new_block(shape) for _ in range(config.n))
        self.norm = nn.RMSNorm(shape.width, eps=NORM_EPSILON)
        self.lm_head = nn.Linear(shape.width, vocabulary_size, bias=False)
        table = rotary_table(length, shape.width // shape.attention_heads, model.rotary_base)
        self.register_buffer("rotary_2xTxK", table, persistent=False)

    def hidden(self, latent_BxPxD: Tensor, lag: int) -> Tensor:
        """norm(f_h(z)) of head `lag` [B, P, D], ready for the unembedding."""
        rotary = self.rotary_2xTxK[:, : latent_BxPxD.shape[1]]
        hidden_BxPxD: Tensor = self.norm(self.heads[lag - 1](latent_BxPxD, rotary))
        return hidden_BxPxD

    def terms(self, latent_BxPxD: Tensor, batch: TensorBatch) -> Iterator[Term]:
        length = batch.tokens_BxT.shape[1]
        for lag in range(1, self.n + 1):
            hidden_BxPxD = self.hidden(latent_BxPxD[:, : length - lag], lag)
            yield Term(f"loss_{lag}", cross_entropy(hidden_BxPxD, self.lm_head.weight, batch, lag))

    def draft(self, latent_BxPxD: Tensor, heads: int) -> list[Tensor]:
        return [self.hidden(latent_BxPxD, lag) for lag in range(1, heads + 1)]

    def unembed(self, hidden_NxD: Tensor, lag: int) -> Tensor:
        logits_NxV: Tensor = self.lm_head(hidden_NxD)
        return logits_NxV

    def parts(self) -> dict[str, nn.Module]:
        heads = {f"head {lag}": head for lag, head in enumerate(self.heads, start=1)}
        return {**heads, "norm": self.norm, "unembedding": self.lm_head}
