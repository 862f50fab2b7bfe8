"""Sequential modules: the multi-token prediction of DeepSeek-V3 (arXiv 2412.19437, section 2.2).

The main model is a next-token model. Module k reads the hidden state of its predecessor and the embedding of the token
k ahead, and predicts the token after that. Each prediction thus depends on all tokens before it:

    h^k_t = block_k(M_k [norm(h^{k-1}_t); norm(Emb(x_{t+k}))]),    P(x_{t+k+1}) = softmax(U norm_k(h^k_t))

The modules share embedding and unembedding with the main model. They are dropped at inference; `lab decode` does not
draft with them, because the keys and values of a module at position t depend on token t + k, which is not yet known
when position t is read.
"""

from collections.abc import Iterator
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from generators.foundation.errors import UserError
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.model.packing import Packing
from lab.model.trunk import Trunk
from lab.model.windows import Window
from lab.objectives.objective import NextTokenModel, ObjectiveConfig


class SequentialModulesConfig(ObjectiveConfig):
    """Settings of `sequential_modules`."""

    kind: Literal["sequential_modules"] = "sequential_modules"
    n: int = Field(default=2, ge=1, le=32, description="tokens predicted, the next one included, by n - 1 modules")
    weight: float = Field(default=0.3, ge=0, description="lambda, the weight of the mean of the modules' losses")
    final_weight: float | None = Field(
        default=None, ge=0, description="lambda from final_weight_from_step on; 0.1 as published"
    )
    final_weight_from_step: int | None = Field(default=None, ge=1, description="first optimiser step with final_weight")
    match: Literal["layers", "none"] = Field(
        default="none",
        description="none: the main model keeps its layers, as published; layers: it gives up one per module",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.final_weight is None) != (self.final_weight_from_step is None):
            raise ValueError("final_weight and final_weight_from_step belong together: give both or neither")
        if self.further_weight is not None and self.final_weight is not None:
            raise ValueError("further_weight and final_weight both change lambda during training; give one of them")
        if self.further_weight is not None and self.n == 1:
            raise ValueError("further_weight has no effect with n = 1, which has no modules; leave it out")
        return self

    def weight_at(self, step: int | None) -> float:
        """Returns lambda, the weight of the modules, at an optimiser step; evaluation (None) uses that of the first
        step.
        """
        if self.final_weight_from_step is None or step is None or step < self.final_weight_from_step:
            return self.weight
        assert self.final_weight is not None
        return self.final_weight


class SequentialModule(nn.Module):
    """One module, from a hidden state and an embedding to the next hidden state; names are those of the release."""

    def __init__(self, trunk: Trunk, width: int) -> None:
        super().__init__()
        self.hnorm = trunk.new_norm()
        self.enorm = trunk.new_norm()
        self.eh_proj = nn.Linear(2 * width, width, bias=False)
        self.block = trunk.new_layer()
        self.norm = trunk.new_norm()

    def forward(self, state_BxPxD: Tensor, embedded_BxPxD: Tensor) -> Tensor:
        """Computes the input of the layer [B, P, D]."""
        both_BxPx2D = torch.cat((self.hnorm(state_BxPxD), self.enorm(embedded_BxPxD)), dim=-1)
        x_BxPxD: Tensor = self.eh_proj(both_BxPx2D)
        return x_BxPxD.to(state_BxPxD.dtype)  # keeps the residual stream in full precision


class SequentialModules(NextTokenModel):
    """A next-token model followed by n - 1 modules."""

    config: SequentialModulesConfig
    reads_targets_only = True

    def __init__(self, config: SequentialModulesConfig, model: ModelConfig, data: DataShape) -> None:
        shape = model.shape
        module_layers = config.n - 1 if config.match == "layers" else 0
        if module_layers >= shape.layers:
            raise UserError(
                f'objective.n = {config.n}: with match = "layers" the modules take {module_layers} of the model\'s '
                f'{shape.layers} layers and leave no trunk; give a smaller n, more layers or match = "none"'
            )
        if config.n >= data.length:
            raise UserError(
                f"objective.n = {config.n}: the last module looks {config.n} tokens ahead, but samples have "
                f"{data.length}; give a smaller n"
            )
        super().__init__(config, model, data, shape.layers - module_layers)
        self.lags = tuple(range(1, config.n + 1))
        self.modules_ahead = nn.ModuleList(SequentialModule(self.trunk, shape.width) for _ in range(config.n - 1))
        self.norm = self.trunk.new_norm()
        self.lm_head = nn.Linear(shape.width, data.vocabulary, bias=False)

    def next_state(self, lag: int, state_BxPxD: Tensor, tokens_BxP: Tensor, window: Window | None = None) -> Tensor:
        """Computes h^k [B, P, D] from h^{k-1}, where k = lag - 1; it predicts the token `lag` ahead of each position.

        Args:
            tokens_BxP: the token k ahead of each position.
            window: the positions at which h^k is computed [B, Q, D], by default all.
        """
        positions = tokens_BxP.shape[1]
        module = self.module(lag)
        x_BxPxD = module(state_BxPxD[:, :positions], self.trunk.embed_tokens(tokens_BxP))
        if window is None:
            return self.trunk.apply_layer(module.block, x_BxPxD)
        return self.trunk.apply_to_rows(module.block, x_BxPxD, None, window)

    def next_rows(
        self, lag: int, state_RxCxD: Tensor, tokens_BxP: Tensor, packing: Packing, window: Window | None
    ) -> Tensor:
        """Computes `next_state` in packed rows."""
        tokens_RxC = packing.pack(F.pad(tokens_BxP, (0, lag - 1)))  # a position without a token ahead has no target
        module = self.module(lag)
        x_RxCxD = module(state_RxCxD, self.trunk.embed_tokens(tokens_RxC))
        return self.trunk.apply_to_rows(module.block, x_RxCxD, packing, window)

    def module(self, lag: int) -> SequentialModule:
        """Returns the module that predicts the token `lag` ahead, at least 2."""
        module = self.modules_ahead[lag - 2]
        assert isinstance(module, SequentialModule)
        return module

    def norm_of(self, lag: int) -> nn.Module:
        """Returns the final norm of the main model (lag 1), or of the module that looks `lag` ahead."""
        return self.norm if lag == 1 else self.module(lag).norm

    def furthest_lag(self, batch: TensorBatch) -> int:
        """Returns the lag of the last module that has a position to predict from; no other module reads its output."""
        return min(self.config.n, batch.tokens_BxT.shape[1] - 1)

    def latent_window(self, batch: TensorBatch) -> Window | None:
        return batch.window((1,)) if self.furthest_lag(batch) == 1 else None

    def module_window(self, lag: int, batch: TensorBatch) -> Window | None:
        """Returns the window of the positions at which the output of a module is read; None for every position."""
        is_last = 1 < lag == self.furthest_lag(batch)
        return batch.window((lag,)) if self.leaves_out and is_last else None

    def weight_of_modules(self, batch: TensorBatch) -> float:
        """Returns lambda at the step of a batch; compiled code must not read the step itself."""
        config = self.config
        key = "weight of modules", config.weight, config.final_weight, config.final_weight_from_step
        return batch.once(key, lambda: config.weight_at(batch.step))

    def prepare(self, batch: TensorBatch) -> None:
        super().prepare(batch)
        self.weight_of_modules(batch)
        if self.leaves_out:
            for lag in range(1, self.furthest_lag(batch) + 1):
                batch.targets_in_rows(lag, windowed=self.module_window(lag, batch) is not None)

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        weight = self.weight_of_modules(batch) / max(1, self.config.n - 1)
        packing = batch.packing() if self.leaves_out else None
        state = latent_BxSxD if packing is None else packing.pack(latent_BxSxD)
        furthest = self.furthest_lag(batch)
        for lag in range(1, furthest + 1):
            window, tokens_BxP = self.module_window(lag, batch), batch.inputs_BxP[:, lag - 1 :]
            if lag > 1 and packing is not None:
                state = self.next_rows(lag, state, tokens_BxP, packing, window)
            elif lag > 1:
                state = self.next_state(lag, state, tokens_BxP, window)
            if lag < furthest:  # a term and the next module read it
                state = graph.share(state)
            in_rows = packing is not None or window is not None
            targets = batch.targets_in_rows(lag, window is not None) if in_rows else batch.targets(lag)
            value = graph.cross_entropy(state, self.lm_head.weight, targets, self.norm_of(lag))
            yield Term(f"loss_{lag}", value, targets.count, 1.0 if lag == 1 else weight)
            del value  # lets a cut graph free it before the next term is built

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        positions = tokens_BxQ.shape[1] - lag + 1
        state_BxPxD = latent_BxPxD[:, :positions]
        for step in range(2, lag + 1):
            state_BxPxD = self.next_state(step, state_BxPxD, tokens_BxQ[:, step - 1 : step - 1 + positions])
        hidden_BxPxD: Tensor = self.norm_of(lag)(state_BxPxD)
        return hidden_BxPxD

    def head_parts(self) -> dict[str, nn.Module]:
        modules = {f"module {lag}": module for lag, module in enumerate(self.modules_ahead, start=1)}
        return {"norm": self.norm, **modules, "unembedding": self.lm_head}
