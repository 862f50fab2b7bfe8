"""Sequential modules, the multi-token prediction of DeepSeek-V3 (arXiv 2412.19437, section 2.2).

The main model is a next-token model. Module k takes its predecessor's hidden state and the embedding of the token k
ahead, and predicts the token after that, so that the whole chain of causes is kept:

    h^k_t = block_k(M_k [norm(h^{k-1}_t); norm(Emb(x_{t+k}))]),    P(x_{t+k+1}) = softmax(U norm_k(h^k_t))

Embedding and unembedding are the main model's. At inference the modules are dropped; `lab decode` does not draft with
them.
"""

from collections.abc import Iterator
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from generators.foundation.errors import UserError
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig, ModelShape
from lab.model.layers import NORM_EPSILON
from lab.model.network import new_block
from lab.objectives.next_token import NextTokenModel
from lab.objectives.objective import DataShape, ObjectiveConfig


class SequentialModulesConfig(ObjectiveConfig):
    """Settings of `sequential_modules`."""

    kind: Literal["sequential_modules"] = "sequential_modules"
    n: int = Field(default=2, ge=1, le=32, description="tokens predicted, the next one included: n - 1 modules")
    weight: float = Field(default=0.3, ge=0, description="lambda: of the mean of the modules' losses in the sum")
    final_weight: float | None = Field(default=None, ge=0, description="lambda from final_weight_from_step on (0.1)")
    final_weight_from_step: int | None = Field(default=None, ge=1, description="an optimiser step")
    match: Literal["layers", "none"] = Field(
        default="none", description="none: the main model is whole, as published; layers: it gives up one a module"
    )

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.final_weight is None) != (self.final_weight_from_step is None):
            raise ValueError("final_weight and final_weight_from_step belong together: give both or neither")
        return self

    def weight_at(self, step: int | None) -> float:
        """Lambda at an optimiser step; None, evaluation, has the first."""
        if step is None or self.final_weight_from_step is None or step < self.final_weight_from_step:
            return self.weight
        assert self.final_weight is not None
        return self.final_weight


class SequentialModule(nn.Module):
    """From a state and the embedding of a token ahead to the next state; parts are named as in the released weights."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.hnorm = nn.RMSNorm(shape.width, eps=NORM_EPSILON)
        self.enorm = nn.RMSNorm(shape.width, eps=NORM_EPSILON)
        self.eh_proj = nn.Linear(2 * shape.width, shape.width, bias=False)
        self.block = new_block(shape)
        self.norm = nn.RMSNorm(shape.width, eps=NORM_EPSILON)

    def forward(self, state_BxPxD: Tensor, embedded_BxPxD: Tensor, rotary_2xPxK: Tensor) -> Tensor:
        both_BxPx2D = torch.cat((self.hnorm(state_BxPxD), self.enorm(embedded_BxPxD)), dim=-1)
        x_BxPxD = self.eh_proj(both_BxPx2D).to(state_BxPxD.dtype)  # autocast leaves residual streams in full precision
        out: Tensor = self.block(x_BxPxD, rotary_2xPxK)
        return out


class SequentialModules(NextTokenModel):
    """A next-token model and n - 1 modules behind it."""

    config: SequentialModulesConfig

    def __init__(self, config: SequentialModulesConfig, model: ModelConfig, data: DataShape) -> None:
        shape = model.shape
        taken = config.n - 1 if config.match == "layers" else 0
        if taken >= shape.layers:
            raise UserError(
                f'objective.n = {config.n}: with match = "layers" the modules take {taken} of the model\'s '
                f'{shape.layers} layers and leave no trunk; a smaller n, more layers or match = "none" would do'
            )
        if config.n >= data.length:
            raise UserError(
                f"objective.n = {config.n}: the last module looks {config.n} tokens ahead, where a sample has "
                f"{data.length}; a smaller n would do"
            )
        super().__init__(config, model, data, shape.layers - taken)
        self.lags = tuple(range(1, config.n + 1))
        self.modules_ahead = nn.ModuleList(SequentialModule(shape) for _ in range(config.n - 1))
        self.norm = nn.RMSNorm(shape.width, eps=NORM_EPSILON)
        self.lm_head = nn.Linear(shape.width, data.vocabulary, bias=False)

    def onward(self, lag: int, state_BxPxD: Tensor, tokens_BxP: Tensor) -> Tensor:
        """h^k [B, P, D] from h^{k-1}, k = lag - 1: what predicts the token `lag` ahead of each position.

        Args:
            tokens_BxP: the token k ahead of each position.
        """
        positions = tokens_BxP.shape[1]
        embedded_BxPxD = self.trunk.embed_tokens(tokens_BxP)
        rotary_2xPxK = self.trunk.rotary(positions)
        out: Tensor = self.modules_ahead[lag - 2](state_BxPxD[:, :positions], embedded_BxPxD, rotary_2xPxK)
        return out

    def norm_of(self, lag: int) -> nn.RMSNorm:
        """The final norm of the main model, or of the module that looks `lag` ahead."""
        owner = self if lag == 1 else self.modules_ahead[lag - 2]
        assert isinstance(owner.norm, nn.RMSNorm)
        return owner.norm

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        weight = self.config.weight_at(batch.step) / max(1, self.config.n - 1)
        state_BxPxD = latent_BxSxD
        furthest = min(self.config.n, batch.tokens_BxT.shape[1] - 1)
        for lag in range(1, furthest + 1):
            if lag > 1:
                state_BxPxD = self.onward(lag, state_BxPxD, batch.inputs_BxP[:, lag - 1 :])
            if lag < furthest:  # read by a term and by the next module
                state_BxPxD = graph.share(state_BxPxD)
            targets = batch.targets(lag)
            value = graph.cross_entropy(state_BxPxD, self.lm_head.weight, targets, self.norm_of(lag))
            yield Term(f"loss_{lag}", value, targets.count, 1.0 if lag == 1 else weight)
            del value  # a cut graph frees a term's before the next is built

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        positions = tokens_BxQ.shape[1] - lag + 1
        state_BxPxD = latent_BxPxD[:, :positions]
        for step in range(2, lag + 1):
            state_BxPxD = self.onward(step, state_BxPxD, tokens_BxQ[:, step - 1 : step - 1 + positions])
        hidden_BxPxD: Tensor = self.norm_of(lag)(state_BxPxD)
        return hidden_BxPxD

    def head_parts(self) -> dict[str, nn.Module]:
        modules = {f"module {lag}": module for lag, module in enumerate(self.modules_ahead, start=1)}
        return {"norm": self.norm, **modules, "unembedding": self.lm_head}
