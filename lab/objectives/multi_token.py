"""Multi-token prediction as in the paper: n heads on a shared trunk.

P(x_{t+i}) = softmax(f_u(f_hi(f_s(x_<=t)))), each f_hi one transformer layer (paper, section 2); linear heads, chains
of heads and an unembedding for each head are those of appendix B. Heads may look ahead in strides (Leap multi-token
prediction, arXiv 2505.17505), and be added or dropped while training goes on (arXiv 2505.22757).
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from generators.foundation.errors import UserError
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import TensorBatch
from lab.model.config import ModelConfig
from lab.model.layers import NORM_EPSILON, Block
from lab.model.network import new_block
from lab.objectives.objective import DataShape, NextTokenPath, Objective, ObjectiveConfig, RunLayers
from lab.objectives.wiring import HeadLayer, Topology, Unembedding, Wiring, refusal

WHOLE_ROWS = 32
"""A head reads positions up to a multiple of these where there are so many, targets or not: attention works in rows of
them, and heads that look 2, 3 and 4 ahead share the code that is compiled for a length."""


class MultiTokenConfig(ObjectiveConfig):
    """Settings of `multi_token`."""

    kind: Literal["multi_token"] = "multi_token"
    n: int = Field(default=1, ge=1, le=32, description="heads; 1 is next-token prediction")
    head: HeadLayer = Field(default="transformer", description="the layer of a head")
    topology: Topology = Field(default="parallel", description="what the heads stand on: the trunk, or each other")
    unembedding: Unembedding = Field(default="shared", description="one for all heads, or one for each")
    match: Literal["layers", "none"] = Field(
        default="layers",
        description="layers: the trunk gives up one for each further transformer head (paper, section 2); none: none",
    )
    stride: int = Field(default=1, ge=1, le=1024, description="tokens from one head's target to the next head's")
    weights: tuple[float, ...] | None = Field(
        default=None, description="of each head's loss in the sum; all 1 if absent"
    )
    curriculum: Literal["none", "forward", "reverse"] = Field(
        default="none", description="forward: heads join one by one; reverse: all train, and leave until head 1 is left"
    )
    stage_steps: int | None = Field(default=None, ge=1, description="optimiser steps of each stage of a curriculum")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if reason := refusal(self.head, self.topology, self.unembedding, self.n):
            raise ValueError(reason)
        if self.weights is not None and len(self.weights) != self.n:
            raise ValueError(f"weights has {len(self.weights)} numbers for n = {self.n} heads; give one for each")
        if self.weights is not None and (min(self.weights) < 0 or not any(self.weights)):
            raise ValueError("weights should be at least 0, and one of them above")
        if (self.curriculum == "none") != (self.stage_steps is None):
            raise ValueError("a curriculum needs stage_steps, and stage_steps a curriculum")
        if self.curriculum != "none" and self.weights is not None and not self.weights[0]:
            raise ValueError("weights begins with 0, and in one stage of a curriculum head 1 is trained alone")
        return self

    def unused(self, steps: int) -> str:
        if self.stage_steps is None or (last := self.stage_steps * (self.n - 1)) < steps:
            return ""
        return (
            f"objective.stage_steps = {self.stage_steps}: the last of {self.n} stages would begin at step {last}, and "
            f"training.steps = {steps} end before it; fewer stage_steps or more steps would do"
        )

    def trains(self, head: int, step: int | None) -> bool:
        """Whether a head is trained at an optimiser step; None, evaluation, asks all of them."""
        if step is None or self.stage_steps is None:
            return True
        stage = step // self.stage_steps
        return head <= max(1, stage + 1 if self.curriculum == "forward" else self.n - stage)


class MultiToken(Objective):
    """n heads in one wiring. Where they are parallel transformer layers, head 1 is the next-token model's last one."""

    config: MultiTokenConfig

    def __init__(self, config: MultiTokenConfig, model: ModelConfig, data: DataShape) -> None:
        shape = model.shape
        taken = 0 if config.head != "transformer" else config.n if config.match == "layers" else 1
        if taken >= shape.layers:
            raise UserError(
                f'objective.n = {config.n}: with match = "{config.match}" the heads take {taken} of the model\'s '
                f'{shape.layers} layers and leave no trunk; a smaller n, more layers or match = "none" would do'
            )
        lags = tuple(1 + config.stride * head for head in range(config.n))
        if lags[-1] >= data.length:
            raise UserError(
                f"objective.n = {config.n}: the last head looks {lags[-1]} tokens ahead, where a sample has "
                f"{data.length}; a smaller n or stride would do"
            )
        super().__init__(config, model, data, shape.layers - taken)
        self.lags = lags
        self.wiring = Wiring(config.n, config.topology)

        def layer() -> nn.Module:
            if config.head == "transformer":
                return new_block(shape)
            return nn.Linear(shape.width, shape.width, bias=False) if config.head == "linear" else nn.Identity()

        def unembedding() -> nn.Linear:
            return nn.Linear(shape.width, data.vocabulary, bias=False)

        further = range(2, config.n + 1)
        self.head = layer()
        self.extra_heads = nn.ModuleList(layer() for _ in further)
        self.norm = nn.RMSNorm(shape.width, eps=NORM_EPSILON)
        self.lm_head = unembedding()
        self.extra_lm_heads = nn.ModuleList(unembedding() for _ in further if config.unembedding == "replicated")

    def layer_of(self, head: int) -> nn.Module:
        """The layer of a head, from 1."""
        return self.head if head == 1 else self.extra_heads[head - 2]

    def unembedding_of(self, head: int) -> nn.Linear:
        """The unembedding a head is read through."""
        if head == 1 or self.config.unembedding == "shared":
            return self.lm_head
        found = self.extra_lm_heads[head - 2]
        assert isinstance(found, nn.Linear)
        return found

    def apply_layer(self, head: int, state_BxPxD: Tensor) -> Tensor:
        """f_h of one head alone [B, P, D]."""
        if self.config.head == "transformer":
            out: Tensor = self.layer_of(head)(state_BxPxD, self.trunk.rotary(state_BxPxD.shape[1]))
        else:
            out = self.layer_of(head)(state_BxPxD).to(state_BxPxD.dtype)  # autocast leaves the residual stream alone
        return out

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        length = batch.tokens_BxT.shape[1]
        states = {0: latent_BxSxD}
        for head in self.wiring.heads:
            trained = [other for other in self.wiring.above(head) if self.config.trains(other, batch.step)]
            lags = [self.lags[other - 1] for other in trained if self.lags[other - 1] < length]
            if not lags:
                continue
            read = -(-(length - min(lags)) // WHOLE_ROWS) * WHOLE_ROWS
            state = self.apply_layer(head, states[self.wiring.parent(head)][:, :read])
            if self.wiring.carries(head):
                state = states[head] = graph.share(state)
            lag = self.lags[head - 1]
            if head in trained and lag < length:
                targets = batch.targets(lag)
                unembedding_VxD = self.unembedding_of(head).weight
                value = graph.cross_entropy(state[:, : length - lag], unembedding_VxD, targets, self.norm)
                weight = 1.0 if self.config.weights is None else self.config.weights[head - 1]
                yield Term(f"loss_{lag}", value, targets.count, weight)
                del value  # a cut graph frees a head's before the next is built
            del state

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        state = latent_BxPxD[:, : tokens_BxQ.shape[1] - lag + 1]
        for head in self.wiring.path(self.lags.index(lag) + 1):
            state = self.apply_layer(head, state)
        hidden_BxPxD: Tensor = self.norm(state)
        return hidden_BxPxD

    @property
    def drafts(self) -> int:
        return next((place for place, lag in enumerate(self.lags) if lag != place + 1), len(self.lags))

    def proposals(self, latent_NxD: Tensor, heads: int, run: RunLayers) -> Tensor:
        if heads > self.drafts:
            raise UserError(
                f"--draft {heads}: the heads of this run look {', '.join(map(str, self.lags))} ahead; "
                f"give at most {self.drafts}"
            )
        states = {0: latent_NxD}
        wanted = set().union(*(self.wiring.path(head) for head in range(1, heads + 1)))
        in_order = [head for head in self.wiring.heads if head in wanted]
        for parent, group in groupby(in_order, self.wiring.parent):
            together = list(group)
            layers = [self.layer_of(head) for head in together]
            blocks = [layer for layer in layers if isinstance(layer, Block)]
            made = run(blocks, states[parent]) if blocks else [layer(states[parent]) for layer in layers]
            states |= dict(zip(together, made, strict=True))
        hidden_HxNxD: Tensor = self.norm(torch.stack([states[head] for head in range(1, heads + 1)]))
        return hidden_HxNxD

    def unembed(self, hidden_NxD: Tensor, lag: int) -> Tensor:
        logits_NxV: Tensor = self.unembedding_of(self.lags.index(lag) + 1)(hidden_NxD)
        return logits_NxV

    def next_token_path(self) -> NextTokenPath:
        layers = [self.layer_of(head) for head in self.wiring.path(1)]
        return NextTokenPath([] if self.config.head == "none" else layers, self.norm, self.lm_head)

    def head_parts(self) -> dict[str, nn.Module]:
        heads = range(1, self.config.n + 1)
        layers = {f"head {head}": self.layer_of(head) for head in heads if self.config.head != "none"}
        further = {f"unembedding {head}": part for head, part in enumerate(self.extra_lm_heads, start=2)}
        return {**layers, "norm": self.norm, "unembedding": self.lm_head, **further}
