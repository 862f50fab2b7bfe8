"""Multi-token prediction as in the paper: n heads on a shared trunk.

P(x_{t+i}) = softmax(f_u(f_hi(f_s(x_<=t)))), where each f_hi is one transformer layer (paper, section 2). Linear heads,
chains of heads and separate unembeddings are those of appendix B. Heads may look ahead in strides (Leap multi-token
prediction, arXiv 2505.17505), and a curriculum may add or drop them during training (arXiv 2505.22757).

With `entropy_at_most` = h, further heads do not learn to look across uncertain tokens (AdaMTP, arXiv 2608.00434). A
target is a boundary if head 1's prediction of it, at the current step, has an entropy above h nats. Head i > 1 does not
learn target t + i at position t if a boundary is among t + 1 .. t + i; its loss there counts as 0. Suppose that `a7` is
the only boundary in `x C0 a7 a6 a2 y`. Then heads 2 and 3 learn nothing at x and at C0; at a7 they learn a2 and y, and
at a6 head 2 learns y. In evaluation they predict all targets. Only the abstract of that paper could be read: surges in
the uncertainty of the base model are the boundaries. What is a surge, and which model is the base model, could not be
checked; here they are an entropy above a constant, and the network itself.
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
from lab.loss.uncertainty import count_boundaries, limit_in_training, without_crossings
from lab.model.batches import TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.model.packing import Packing
from lab.model.windows import Window
from lab.objectives.objective import NextTokenPath, Objective, ObjectiveConfig, RunLayers
from lab.objectives.wiring import HeadLayer, Topology, Unembedding, Wiring, combination_error

POSITIONS_MULTIPLE = 32
"""A head reads a multiple of this many positions, or all there are, even those without a target: attention works in
blocks of them, and heads that look 2, 3 and 4 ahead then share the code that is compiled for one length."""


class MultiTokenConfig(ObjectiveConfig):
    """Settings of `multi_token`."""

    later_settings = (*ObjectiveConfig.later_settings, "entropy_at_most")
    kind: Literal["multi_token"] = "multi_token"
    n: int = Field(default=1, ge=1, le=32, description="heads; 1 is next-token prediction")
    head: HeadLayer = Field(default="transformer", description="layer of a head")
    topology: Topology = Field(
        default="parallel", description="inputs of the heads: the trunk, or each other in a chain"
    )
    unembedding: Unembedding = Field(default="shared", description="one for all heads, or one per head")
    match: Literal["layers", "none"] = Field(
        default="layers",
        description="layers: the trunk gives up one layer per transformer head after the first (paper, section 2)",
    )
    stride: int = Field(default=1, ge=1, le=1024, description="tokens between the targets of successive heads")
    weights: tuple[float, ...] | None = Field(
        default=None, description="weight of each head's loss in the sum; all 1 if absent"
    )
    curriculum: Literal["none", "forward", "reverse"] = Field(
        default="none", description="forward: heads join one by one; reverse: heads leave one by one, head 1 last"
    )
    stage_steps: int | None = Field(default=None, ge=1, description="optimiser steps per stage of a curriculum")
    entropy_at_most: float | None = Field(
        default=None,
        gt=0,
        description="nats; heads after the first do not learn targets at or behind a token that head 1 predicts with a "
        "greater entropy; absent, they learn all",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if reason := combination_error(self.head, self.topology, self.unembedding, self.n):
            raise ValueError(reason)
        if self.weights is not None and len(self.weights) != self.n:
            raise ValueError(f"weights has {len(self.weights)} numbers for n = {self.n} heads; give one per head")
        if self.weights is not None and (min(self.weights) < 0 or not any(self.weights)):
            raise ValueError("weights should all be at least 0, and one of them more")
        if (self.curriculum == "none") != (self.stage_steps is None):
            raise ValueError("curriculum and stage_steps belong together: give both or neither")
        if self.curriculum != "none" and self.weights is not None and not self.weights[0]:
            raise ValueError("weights should not begin with 0: in one stage of a curriculum head 1 is trained alone")
        if self.entropy_at_most is not None and self.weights is not None and not self.weights[0]:
            raise ValueError("weights should not begin with 0: entropy_at_most reads the predictions of head 1")
        for name in self.later_settings:
            if self.n == 1 and getattr(self, name) is not None:
                raise ValueError(f"{name} has no effect with n = 1, which has no further loss; leave it out")
        return self

    def unused(self, steps: int) -> str:
        if sentence := super().unused(steps):
            return sentence
        if self.stage_steps is None or (last := self.stage_steps * (self.n - 1)) < steps:
            return ""
        fewer = "fewer stage_steps" if self.n <= steps else "a smaller n"
        return (
            f"objective.stage_steps = {self.stage_steps}: the last of {self.n} stages would begin at step {last}, but "
            f"training.steps = {steps} end before it; give {fewer} or more steps"
        )

    def trains(self, head: int, step: int | None) -> bool:
        """Returns whether a head is trained at an optimiser step; in evaluation (None) all heads have a loss."""
        if self.stage_steps is None or step is None:
            return True
        stage = step // self.stage_steps
        return head <= max(1, stage + 1 if self.curriculum == "forward" else self.n - stage)


class MultiToken(Objective):
    """n heads in one wiring. If they are parallel transformer heads, head 1 is the last layer of the next-token
    model."""

    config: MultiTokenConfig
    reads_targets_only = True

    def __init__(self, config: MultiTokenConfig, model: ModelConfig, data: DataShape) -> None:
        shape = model.shape
        head_layers = 0 if config.head != "transformer" else config.n if config.match == "layers" else 1
        if head_layers >= shape.layers:
            fewer = 'a smaller n, match = "none" or ' if shape.layers > 1 else ""
            raise UserError(
                f'objective.n = {config.n}: with match = "{config.match}" the heads take {head_layers} of the model\'s '
                f"{shape.layers} layer{'s'[: shape.layers > 1]} and leave no trunk; give {fewer}at least "
                f"{head_layers + 1} layers"
            )
        lags = tuple(1 + config.stride * head for head in range(config.n))
        if lags[-1] >= data.length:
            raise UserError(
                f"objective.n = {config.n}: the last head looks {lags[-1]} tokens ahead, but samples have "
                f"{data.length}; give a smaller n{' or stride' if config.stride > 1 else ''}"
            )
        super().__init__(config, model, data, shape.layers - head_layers)
        self.lags = lags
        self.wiring = Wiring(config.n, config.topology)

        def layer() -> nn.Module:
            if config.head == "transformer":
                return self.trunk.new_layer()
            return nn.Linear(shape.width, shape.width, bias=False) if config.head == "linear" else nn.Identity()

        def unembedding() -> nn.Linear:
            return nn.Linear(shape.width, data.vocabulary, bias=False)

        further = range(2, config.n + 1)
        self.head = layer()
        self.extra_heads = nn.ModuleList(layer() for _ in further)
        self.norm = self.trunk.new_norm()
        self.lm_head = unembedding()
        self.extra_lm_heads = nn.ModuleList(unembedding() for _ in further if config.unembedding == "replicated")

    def layer_of(self, head: int) -> nn.Module:
        """Returns the layer of a head, counted from 1."""
        return self.head if head == 1 else self.extra_heads[head - 2]

    def unembedding_of(self, head: int) -> nn.Linear:
        """Returns the unembedding of a head."""
        if head == 1 or self.config.unembedding == "shared":
            return self.lm_head
        unembedding = self.extra_lm_heads[head - 2]
        assert isinstance(unembedding, nn.Linear)
        return unembedding

    def apply_layer(self, head: int, state_BxPxD: Tensor) -> Tensor:
        """Applies the layer of one head [B, P, D]."""
        if self.config.head == "transformer":
            return self.trunk.apply_layer(self.layer_of(head), state_BxPxD)
        out: Tensor = self.layer_of(head)(state_BxPxD)
        return out.to(state_BxPxD.dtype)  # keeps the residual stream in full precision

    def apply_to_rows(self, head: int, state: Tensor, packing: Packing | None, window: Window | None) -> Tensor:
        """Applies the layer of one head to packed rows [R, C, D], or at the positions of a window alone [R, Q, D]."""
        if self.config.head != "transformer":
            return self.apply_layer(head, state if window is None else window.select(state))
        return self.trunk.apply_to_rows(self.layer_of(head), state, packing, window)

    def trained_lags(self, head: int, batch: TensorBatch) -> tuple[int, ...]:
        """Returns, in ascending order, the lags of the trained heads whose path leads through a head (0 stands for the
        trunk).
        """
        trained = self.trained_heads(batch)
        heads = self.wiring.descendants(head) if head else self.wiring.heads
        lags = (self.lags[other - 1] for other in heads if other in trained)
        return tuple(sorted(lag for lag in lags if lag < batch.tokens_BxT.shape[1]))

    def trained_heads(self, batch: TensorBatch) -> tuple[int, ...]:
        """Returns the heads that are trained at the step of a batch; compiled code must not read the step itself."""
        config = self.config
        return batch.once(
            ("trained heads", config.n, config.curriculum, config.stage_steps),
            lambda: tuple(head for head in range(1, config.n + 1) if config.trains(head, batch.step)),
        )

    def latent_window(self, batch: TensorBatch) -> Window | None:
        return None if self.config.head == "transformer" else batch.window(self.trained_lags(0, batch))

    def head_window(self, head: int, batch: TensorBatch) -> Window | None:
        """Returns the window of the positions at which the output of a head is read; None for every position.

        A transformer layer reads every position of its input; any other layer reads only the positions at which its
        output is read.
        """
        lags = self.trained_lags(head, batch)
        is_read_at_targets = self.config.head != "transformer" or lags == (self.lags[head - 1],)
        return batch.window(lags) if self.leaves_out and lags and is_read_at_targets else None

    def prepare(self, batch: TensorBatch) -> None:
        super().prepare(batch)
        limit_in_training(batch, self.config.entropy_at_most)
        for head, lag in enumerate(self.lags, start=1):
            window = self.head_window(head, batch)
            if self.leaves_out and lag in self.trained_lags(head, batch):
                batch.targets_in_rows(lag, windowed=window is not None and self.trained_lags(head, batch) == (lag,))

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        length = batch.tokens_BxT.shape[1]
        packing = batch.packing() if self.leaves_out else None
        limit = limit_in_training(batch, self.config.entropy_at_most)
        if limit is not None:
            boundaries_BxT = count_boundaries(self.hidden, self.lm_head.weight, latent_BxSxD, batch, limit)
        states = {0: latent_BxSxD if packing is None else graph.share(packing.pack(latent_BxSxD))}
        for head in self.wiring.heads:
            lags, lag = self.trained_lags(head, batch), self.lags[head - 1]
            if not lags:
                continue
            window = self.head_window(head, batch)
            state = states[self.wiring.parent(head)]
            if packing is not None:
                state = self.apply_to_rows(head, state, packing, window)
            elif window is not None:
                state = self.apply_to_rows(head, state[:, : window.length], None, window)
            else:
                read = -(-(length - lags[0]) // POSITIONS_MULTIPLE) * POSITIONS_MULTIPLE
                state = self.apply_layer(head, state[:, :read])
            if window is not None and lags != (lag,):
                state, window = window.spread(state), None
            if self.wiring.has_children(head):
                state = states[head] = graph.share(state)
            if lag in lags:
                in_rows = packing is not None or window is not None
                targets = batch.targets_in_rows(lag, window is not None) if in_rows else batch.targets(lag)
                if limit is not None and head > 1:
                    targets = without_crossings(targets, batch.targets(lag), lag, boundaries_BxT)
                hidden = state if in_rows else state[:, : length - lag]
                unembedding_VxD = self.unembedding_of(head).weight
                value = graph.cross_entropy(hidden, unembedding_VxD, targets, self.norm)
                weight = 1.0 if self.config.weights is None else self.config.weights[head - 1]
                yield Term(f"loss_{lag}", value, targets.count, weight)
                del value, hidden  # lets a cut graph free them before the next head is built
            del state

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        state = latent_BxPxD[:, : tokens_BxQ.shape[1] - lag + 1]
        for head in self.wiring.path(self.lags.index(lag) + 1):
            state = self.apply_layer(head, state)
        hidden_BxPxD: Tensor = self.norm(state)
        return hidden_BxPxD

    @property
    def drafts(self) -> int:
        return next((index for index, lag in enumerate(self.lags) if lag != index + 1), len(self.lags))

    def proposals(self, latent_NxD: Tensor, tokens_N: Tensor, heads: int, run: RunLayers) -> Tensor:
        if heads > self.drafts:
            raise UserError(
                f"--draft {heads}: the heads of this run look {', '.join(map(str, self.lags))} ahead; "
                f"give at most {self.drafts}"
            )
        states = {0: latent_NxD}
        needed = set().union(*(self.wiring.path(head) for head in range(1, heads + 1)))
        in_order = [head for head in self.wiring.heads if head in needed]
        for parent, siblings in groupby(in_order, self.wiring.parent):
            group = list(siblings)
            layers = [self.layer_of(head) for head in group]
            one_kind = self.config.head == "transformer"
            outputs = run(layers, states[parent]) if one_kind else [layer(states[parent]) for layer in layers]
            states |= dict(zip(group, outputs, strict=True))
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
        unembeddings = {f"unembedding {head}": module for head, module in enumerate(self.extra_lm_heads, start=2)}
        return {**layers, "norm": self.norm, "unembedding": self.lm_head, **unembeddings}
