"""Teacherless training (Bachmann & Nagarajan, arXiv 2403.06963): predict the answer without reading it.

The answer of a sample is its tokens in the loss mask, without the first token of the sample, which nothing predicts.
Every input that belongs to the answer is replaced by a dummy, one learnable embedding outside of the vocabulary, and
the answer is predicted as before. A model that reads dummies cannot look up the token before the one that it predicts,
so it has to plan the whole answer. The published training reads dummies alone; here they are a second row of each
sample, beside the row of its true tokens, so that the next-token path is trained too:

    L = CE(true row) + weight x CE(row with dummies)

The terms are `loss_1` and `loss_teacherless`. In a task whose loss is on all tokens, the whole sample but its first
token is the answer, and the row with dummies knows no more than that token and the positions.

For example, let `a b = c d e` have the answer `c d e`. The true row reads `a b = c d`. The other row reads
`a b = _ _` and predicts c at `=`, d at the first dummy and e at the second, whatever c and d are.

`masked_teacher` is the control (Frydenlund, arXiv 2503.10542): only some inputs of the answer are dummies, drawn at
random, so that the model reads the rest of the answer. Its second term is `loss_masked`. The answer is cut into spans
of `span` inputs at a random offset, and every span is replaced with probability `share`. With span = 2, the inputs c
and d above are one span in half of the samples, and two in the other half. The draws depend on the index of the sample
in its split alone.

Whether the published controls also train true rows, which share and span they have, and whether their masked tokens
are one dummy or random tokens, could not be checked. Rows with dummies are not decoded: at inference, a run reads its
own tokens.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, sample_keys
from generators.task import Mask
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.model.devices import to_device
from lab.model.packing import Packing
from lab.model.windows import Window
from lab.objectives.objective import NextTokenModel, ObjectiveConfig


class ReplacedInputsConfig(ObjectiveConfig):
    """Settings that `teacherless` and `masked_teacher` share."""

    weight: float = Field(default=1.0, ge=0, description="weight of the loss of the rows with dummies")


class TeacherlessConfig(ReplacedInputsConfig):
    """Settings of `teacherless`."""

    kind: Literal["teacherless"] = "teacherless"


class MaskedTeacherConfig(ReplacedInputsConfig):
    """Settings of `masked_teacher`."""

    kind: Literal["masked_teacher"] = "masked_teacher"
    share: float = Field(default=0.5, gt=0, le=1, description="share of the answer's inputs that are replaced")
    span: int = Field(default=1, ge=1, le=1024, description="inputs in a row that are replaced together")


class ReplacedInputs(NextTokenModel):
    """A next-token model that also reads each sample with dummies in place of some of its answer."""

    config: ReplacedInputsConfig
    term: str
    """The name of the loss of the rows with dummies."""

    def __init__(self, config: ReplacedInputsConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data, model.shape.layers)
        if not self.trunk.takes_embeddings:
            raise UserError(
                f'objective.kind = "{config.kind}" reads inputs that are no tokens, which the trunk of model.kind = '
                f'"{model.kind}" does not take; give that trunk `forward_embedded`, or another model, for example '
                'kind = "llama"'
            )
        self.replaced_key = f"replaced inputs of {config!r}"
        self.dummy_embedding = nn.Embedding(1, model.shape.width)
        self.norm = self.trunk.new_norm()
        self.lm_head = nn.Linear(model.shape.width, data.vocabulary, bias=False)

    @abstractmethod
    def choose(self, answer_BxP: Mask, indices: Integers) -> Mask:
        """Returns which inputs of the answers are replaced [B, P].

        Args:
            answer_BxP: which inputs belong to an answer.
            indices: index of each sample in its split [B].
        """

    def replaced(self, batch: TensorBatch) -> Tensor:
        """Returns which inputs of a batch are replaced [B, P]."""

        def compute() -> Tensor:
            answer_BxP = batch.loss[:, :-1].copy()
            answer_BxP[:, 0] = False
            return to_device(batch.tokens_BxT.device, self.choose(answer_BxP, batch.indices))

        return batch.once(self.replaced_key, compute)

    def prepare(self, batch: TensorBatch) -> None:
        super().prepare(batch)
        self.replaced(batch)

    def latent_window(self, batch: TensorBatch) -> Window | None:
        return batch.window((1,))

    def latent(self, batch: TensorBatch) -> Tensor:
        """Computes the hidden states of P tokens, followed by those of the row with dummies [B, 2P, D]."""
        rows_BxPxD = self.trunk.forward_embedded(self.inputs_with_dummies(batch, None))
        return torch.cat((self.trunk(batch.inputs_BxP), rows_BxPxD), dim=1)

    def latent_for_terms(self, batch: TensorBatch) -> Tensor:
        if not self.leaves_out:
            return self.latent(batch)
        packing, window = batch.packing(), self.latent_window(batch)
        rows_BxPxD = self.trunk.forward_embedded(self.inputs_with_dummies(batch, packing), packing, window)
        return torch.cat((self.trunk.forward_rows(batch.inputs_BxP, packing, window), rows_BxPxD), dim=1)

    def inputs_with_dummies(self, batch: TensorBatch, packing: Packing | None) -> Tensor:
        """Returns embeddings of tokens and dummies [B, P, D], in packed rows if there is a packing."""
        tokens, replaced = batch.inputs_BxP, self.replaced(batch)
        if packing is not None:
            tokens, replaced = packing.pack(tokens), packing.pack(replaced)
        return torch.where(replaced[..., None], self.dummy_embedding.weight, self.trunk.embed_tokens(tokens))

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        targets, positions = batch.targets(1), batch.inputs_BxP.shape[1]
        value = graph.cross_entropy(latent_BxSxD[:, :positions], self.lm_head.weight, targets, self.norm)
        yield Term("loss_1", value, targets.count)
        del value  # lets a cut graph free it before the next term is built
        value = graph.cross_entropy(latent_BxSxD[:, positions:], self.lm_head.weight, targets, self.norm)
        yield Term(self.term, value, targets.count, self.config.weight)

    def head_parts(self) -> dict[str, nn.Module]:
        return {"dummy": self.dummy_embedding, "norm": self.norm, "unembedding": self.lm_head}


class Teacherless(ReplacedInputs):
    """A next-token model that also predicts each answer from dummies in its place."""

    config: TeacherlessConfig
    term = "loss_teacherless"
    reads_targets_only = True

    def choose(self, answer_BxP: Mask, indices: Integers) -> Mask:
        return answer_BxP


class MaskedTeacher(ReplacedInputs):
    """A next-token model that also predicts each answer from a part of it, the rest being dummies."""

    summary = "Masked teacher (Frydenlund, arXiv 2503.10542): predict the answer while reading a part of it."
    config: MaskedTeacherConfig
    term = "loss_masked"
    reads_targets_only = True

    def choose(self, answer_BxP: Mask, indices: Integers) -> Mask:
        draws = Stream(sample_keys("masked_teacher", indices))
        place_BxP = np.maximum(answer_BxP.cumsum(axis=1) - 1, 0)
        span_BxP = (place_BxP + draws.integers("offset", self.config.span, 1)) // self.config.span
        replaced = draws.uniform("span", span_BxP.shape[1] + 1) < self.config.share
        chosen: Mask = answer_BxP & np.take_along_axis(replaced, span_BxP, axis=1)
        return chosen
