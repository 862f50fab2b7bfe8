"""Registers (MuToR, arXiv 2505.10518): tokens that exist only in training and predict tokens further ahead.

Every token t is followed by a register, one learnable embedding, that predicts token t + d. Its position is
t + d - 1, that of the token from which t + d would be the next token. A register attends to the tokens up to t and to
itself. No token attends to a register, so they are left out at inference without any change. Each sample has one
distance d, drawn uniformly from 1 .. horizon by its index in the split. The paper interleaves registers with tokens;
here they are appended, which is the same computation, because positions and mask are given explicitly. A register
without a target is left out, because nothing reads it.

With `per_token` = k, every token is followed by k registers that do not attend to each other, at k different distances
of the sample. For example, with a horizon of 4 and k = 2 a sample may have the distances 3 and 1: after token t, one
register then predicts token t + 3 and one token t + 1. The paper has one register after each token.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, sample_keys
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import Targets, TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.model.devices import to_device
from lab.model.trunk import require_masks
from lab.model.windows import Window, covering_places, window_at
from lab.objectives.objective import NextTokenModel, ObjectiveConfig


class RegistersConfig(ObjectiveConfig):
    """Settings of `registers`."""

    later_settings = (*ObjectiveConfig.later_settings, "per_token")
    kind: Literal["registers"] = "registers"
    horizon: int = Field(default=4, ge=1, le=1024, description="maximum distance at which a register predicts")
    weight: float = Field(
        default=0.3, ge=0, le=1, description="weight a of the registers' loss; that of the next token has 1 - a"
    )
    per_token: int = Field(
        default=1, ge=1, le=1024, description="registers after each token, at different distances; at most horizon"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.per_token > self.horizon:
            raise ValueError(f"per_token = {self.per_token} should be at most horizon = {self.horizon}")
        return self


@dataclass(frozen=True)
class RegisterLayout:
    """The R registers of each sample of a batch, behind its P tokens.

    Attributes:
        places: the position of the token before each register, [R] or, if samples differ, [B, R].
        positions_BxS: the positions of the S = P + R tokens and registers.
        targets: the targets of the registers, with positions in B x R.
    """

    places: Tensor
    positions_BxS: Tensor
    targets: Targets


class Registers(NextTokenModel):
    """A next-token model that is trained with a register behind each token."""

    config: RegistersConfig
    reads_targets_only = True

    def __init__(self, config: RegistersConfig, model: ModelConfig, data: DataShape) -> None:
        if config.horizon >= data.length:
            raise UserError(
                f"objective.horizon = {config.horizon}: should be smaller than the {data.length} tokens of a sample"
            )
        super().__init__(config, model, data, model.shape.layers)
        require_masks(self.trunk, 'objective.kind = "registers"')
        self.register_embedding = nn.Embedding(1, model.shape.width)
        self.norm = self.trunk.new_norm()
        self.lm_head = nn.Linear(model.shape.width, data.vocabulary, bias=False)

    def distances(self, indices: Integers, register: int = 0) -> Integers:
        """Draws the distance d of each sample [B] from its index in the split.

        Args:
            register: the number of the register after a token, 0 .. per_token - 1; their distances differ.
        """
        draws, horizon = Stream(sample_keys("registers", indices)), self.config.horizon
        if self.config.per_token == 1:
            return 1 + draws.integers("distance", horizon, 1)[:, 0]
        return 1 + draws.choose("distances", horizon, self.config.per_token)[:, register]

    def prepare(self, batch: TensorBatch) -> None:
        super().prepare(batch)
        self.layout(batch)

    def layout(self, batch: TensorBatch) -> RegisterLayout:
        """Returns the registers of a batch: in each sample and for each of its distances, consecutive registers that
        include all that have a target.
        """

        def compute() -> RegisterLayout:
            size, positions = len(batch.loss), batch.loss.shape[1] - 1
            device = batch.tokens_BxT.device
            every_P = np.arange(positions)
            places, ahead, samples, columns, targets = [], [], [], [], []
            shared = True  # whether all samples have registers after the same tokens
            width = 0
            for register in range(self.config.per_token):
                distances = partial(self.distances, register=register)
                needed_BxP = batch.predicting_ahead(distances)
                window = None if needed_BxP.all() else window_at(covering_places(needed_BxP), positions, device)
                shared &= window is None or window.start is not None
                places_BxR = np.broadcast_to(every_P, (size, positions)) if window is None else window.places
                sample_N, column_N = np.nonzero(np.take_along_axis(needed_BxP, places_BxR, axis=1))
                samples.append(sample_N)
                columns.append(width + column_N)
                targets.append(batch.targets_ahead(distances))
                places.append(places_BxR)  # a register that is cut off has no target
                ahead.append(np.minimum(places_BxR + distances(batch.indices)[:, None], positions) - 1)
                width += places_BxR.shape[1]
            places_BxR = np.concatenate(places, axis=1)
            token_BxP = np.broadcast_to(every_P, (size, positions))
            return RegisterLayout(
                to_device(device, places_BxR[0] if shared else places_BxR),
                to_device(device, np.concatenate((token_BxP, *ahead), axis=1)),
                Targets(
                    to_device(device, width * np.concatenate(samples) + np.concatenate(columns)),
                    torch.cat([part.tokens_N for part in targets]),
                    sum(part.count for part in targets),
                ),
            )

        return batch.once(("registers", self.config.horizon, self.config.per_token), compute)

    def latent_window(self, batch: TensorBatch) -> Window | None:
        def compute() -> Window | None:
            size, length = batch.loss.shape
            registers = self.layout(batch).positions_BxS.shape[1] - (length - 1)
            register_places = np.broadcast_to(np.arange(registers) + length - 1, (size, registers))
            token_places = covering_places(batch.loss[:, 1:])
            places = np.concatenate((token_places, register_places), axis=1)
            return window_at(places, length - 1 + registers, batch.tokens_BxT.device)

        return batch.once(("window of registers", self.config.horizon, self.config.per_token), compute)

    def latent(self, batch: TensorBatch) -> Tensor:
        """Computes the hidden states of P tokens, followed by those of R registers [B, P + R, D]."""
        return self.latent_at(batch, None)

    def latent_for_terms(self, batch: TensorBatch) -> Tensor:
        return self.latent_at(batch, self.latent_window(batch)) if self.leaves_out else self.latent(batch)

    def latent_at(self, batch: TensorBatch, window: Window | None) -> Tensor:
        """Computes the latent [B, P + R, D]; with a window, it is zero at all positions outside of it."""
        tokens_BxP, layout = batch.inputs_BxP, self.layout(batch)
        size, positions = tokens_BxP.shape
        embedded_BxPxD = self.trunk.embed_tokens(tokens_BxP)
        registers_BxRxD = self.register_embedding.weight.expand(size, layout.places.shape[-1], -1)
        x_BxSxD = torch.cat((embedded_BxPxD, registers_BxRxD), dim=1)
        mask = attention_mask(torch.arange(positions, device=tokens_BxP.device), layout.places)
        return self.trunk.run_at(x_BxSxD, layout.positions_BxS, mask, window)

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        positions = batch.inputs_BxP.shape[1]
        targets = batch.targets(1)
        value = graph.cross_entropy(latent_BxSxD[:, :positions], self.lm_head.weight, targets, self.norm)
        yield Term("loss_1", value, targets.count, 1 - self.config.weight)
        del value
        targets = self.layout(batch).targets
        value = graph.cross_entropy(latent_BxSxD[:, positions:], self.lm_head.weight, targets, self.norm)
        yield Term("loss_registers", value, targets.count, self.config.weight)

    def head_parts(self) -> dict[str, nn.Module]:
        return {"register": self.register_embedding, "norm": self.norm, "unembedding": self.lm_head}


def attention_mask(place_P: Tensor, register_places: Tensor) -> Tensor:
    """Returns the attention mask of P tokens and R registers [S = P + R, S]; True marks what a row attends to.

    Args:
        register_places: the position of the token before each register [R] or, if samples differ, [B, R]; the mask
            then has the shape [B, 1, S, S].
    """
    *batch, registers = register_places.shape
    causal = (place_P[:, None] >= place_P).expand(*batch, -1, -1)
    nothing = causal.new_zeros(()).expand(*batch, len(place_P), registers)
    before = register_places[..., None] >= place_P
    itself = torch.eye(registers, dtype=torch.bool, device=place_P.device).expand(*batch, -1, -1)
    mask = torch.cat((torch.cat((causal, nothing), dim=-1), torch.cat((before, itself), dim=-1)), dim=-2)
    return mask[:, None] if batch else mask
