"""The interface of an objective: a network that yields the loss terms it is trained on, and predicts tokens."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor, nn

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, Tree
from lab.loss.further_weight import FurtherWeight
from lab.loss.graph import Graph
from lab.loss.term import Term
from lab.model.batches import TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.model.table import build_trunk
from lab.model.trunk import Trunk
from lab.model.weights import count_parameters
from lab.model.windows import Window

RunLayers = Callable[[Sequence[nn.Module], Tensor], Tensor]
"""Applies H layers of the trunk's kind side by side to one input [N, D]; returns the output of each [H, N, D]."""


class ObjectiveConfig(Settings):
    """Settings of an objective. A subclass declares `kind: Literal[...]`, the name of the objective."""

    later_settings: ClassVar[tuple[str, ...]] = ("further_weight",)
    """Settings that earlier versions did not have; an objective that gains one adds it here."""

    kind: str
    further_weight: FurtherWeight | None = Field(
        default=None,
        description="factor on the weights of all losses but that of the next token, which changes during training: a "
        "table of shape, first, last and step",
    )

    @model_serializer(mode="wrap")
    def _leave_out_unset(self, serialise: SerializerFunctionWrapHandler) -> Tree:
        """Leaves out later settings that have their default, so that runs keep the identities of earlier versions."""
        tree: Tree = serialise(self)
        for name in self.later_settings:
            if getattr(self, name) == type(self).model_fields[name].default:
                tree.pop(name, None)
        return tree

    def unused(self, steps: int) -> str:
        """Returns a sentence about a setting without effect in a run of `steps` optimiser steps; "" if there is none.

        A spec with such a setting is refused with this sentence.
        """
        weight = self.further_weight
        if weight is None or weight.step <= (steps if weight.shape == "linear" else steps - 1):
            return ""
        return (
            f"objective.further_weight.step = {weight.step}: the factor would be {weight.last:zg} from step "
            f"{weight.step} on, but training.steps = {steps} end before it; give a smaller step or more steps"
        )


@dataclass(frozen=True)
class NextTokenPath:
    """The modules between the trunk and the logits of the next token: layers, norm, unembedding."""

    layers: Sequence[nn.Module]
    norm: nn.Module
    unembedding: nn.Linear


class Objective(nn.Module, ABC):
    """A network for training: trunk, heads and unembedding.

    A subclass annotates `config` with its own settings, and builds its heads after `super().__init__`, which builds
    the trunk. The lab draws the weights of all modules later. Terms are called `loss_1` for the next token and
    `loss_i` for the token i ahead. Other names are free, but `lab objective check` takes every term whose name begins
    with `loss_` for a prediction, which must not depend on its target.

    Args:
        trunk_layers: layers of the trunk, of the `model.shape.layers` that the model has.
    """

    config: ObjectiveConfig
    trunk: Trunk
    lags: tuple[int, ...] = (1,)
    """The distances ahead at which the network predicts, in the order of its heads; always includes 1."""
    reads_targets_only: bool = False
    """Declares that every term is a sum over targets, and that the summand of a target depends on no later token.

    Training then leaves out what no target needs: the tokens after the last target of a sample, and the positions
    outside of `latent_window`. A subclass has to declare it again, since it may override `terms`.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "reads_targets_only" not in vars(cls):
            cls.reads_targets_only = False

    def __init__(self, config: ObjectiveConfig, model: ModelConfig, data: DataShape, trunk_layers: int) -> None:
        super().__init__()
        self.config = config
        self.trunk = build_trunk(model, trunk_layers, data)

    def prepare(self, batch: TensorBatch) -> None:
        """Computes what `latent` and `terms` read from the numpy arrays of a batch, which compiled code cannot trace.

        By default these are the targets of all lags. Anything else that an objective computes with numpy belongs in
        `batch.once`, which this method calls.
        """
        self.further_weight(batch)
        for lag in self.lags:
            if lag < batch.tokens_BxT.shape[1]:
                batch.targets(lag)
        if self.leaves_out:
            batch.packing()
            self.latent_window(batch)

    def further_weight(self, batch: TensorBatch) -> Tensor | None:
        """Returns the factor on the weights of all terms but `loss_1` at the step of a batch; None if it is 1.

        It is a tensor, since compiled code would have to be compiled again for every other number.
        """
        weight = self.config.further_weight
        if weight is None:
            return None
        return batch.once(
            ("further weight", weight.shape, weight.first, weight.last, weight.step),
            lambda: torch.tensor(weight.at(batch.step), dtype=torch.float64, device=batch.tokens_BxT.device),
        )

    @property
    def leaves_out(self) -> bool:
        """True if training leaves out what no target needs: objective and trunk both have to allow it."""
        return self.reads_targets_only and self.trunk.leaves_out

    def latent(self, batch: TensorBatch) -> Tensor:
        """Computes the latent z [B, S, D] of all terms; its first P positions are those of the batch's inputs."""
        z_BxSxD: Tensor = self.trunk(batch.inputs_BxP)
        return z_BxSxD

    def latent_for_terms(self, batch: TensorBatch) -> Tensor:
        """Computes the latent for `terms` alone: it is arbitrary at positions that `terms` does not read, and costs
        less.
        """
        if not self.leaves_out:
            return self.latent(batch)
        return self.trunk.forward_rows(batch.inputs_BxP, batch.packing(), self.latent_window(batch))

    def latent_window(self, batch: TensorBatch) -> Window | None:
        """Returns the window of the positions at which `terms` reads the latent; None, the default, for every position.

        It is a `batch.window`; this method is called only if `leaves_out` is True.
        """
        return None

    @property
    def drafts(self) -> int:
        """The maximum number of tokens that `proposals` predicts at once."""
        return 1

    @abstractmethod
    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        """Yields the losses one at a time.

        The graph of a term may be freed before the next is built. A hidden state that several terms read therefore
        goes through `graph.share`, and targets are predicted through `graph.cross_entropy`.
        """

    @abstractmethod
    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        """Computes the normed hidden states [B, P, D] that predict the token `lag` ahead of each of P positions.

        Args:
            latent_BxPxD: output of the trunk or of `latent`; only the first P positions are read.
            tokens_BxQ: the known tokens, from which P = Q - lag + 1 follows; a head that reads tokens between t and
                t + lag finds them here.
        """

    def proposals(self, latent_NxD: Tensor, tokens_N: Tensor, heads: int, run: RunLayers) -> Tensor:
        """Computes the normed hidden states [heads, N, D] that predict the tokens 1, 2, .. `heads` ahead.

        None of these tokens is known yet: this is how a run drafts for itself. A head that reads tokens before its
        target reads drafts of them instead, which `unembed` predicts as the most likely ones.

        Args:
            latent_NxD: output of the trunk at N positions.
            tokens_N: the tokens at these positions, the last that each of them has read.
            run: applies layers of the trunk's kind, which must go through it once each, and keeps what they will need
                of these positions.

        Raises:
            UserError: the objective cannot draft that many tokens.
        """
        if heads > 1:
            raise UserError(f"--draft {heads}: objective {self.config.kind} proposes one token at a time; give 1")
        path = self.next_token_path()
        x_NxD = latent_NxD
        for layer in path.layers:
            x_NxD = run([layer], x_NxD)[0] if self.trunk.has_kind_of(layer) else layer(x_NxD)
        hidden_NxD: Tensor = path.norm(x_NxD)
        return hidden_NxD[None]

    @abstractmethod
    def unembed(self, hidden_NxD: Tensor, lag: int) -> Tensor:
        """Computes the logits [N, V] of the token `lag` ahead from normed hidden states."""

    @abstractmethod
    def next_token_path(self) -> NextTokenPath:
        """Returns the modules between the trunk and the logits of the next token."""

    @abstractmethod
    def head_parts(self) -> dict[str, nn.Module]:
        """Returns the modules after the trunk that hold parameters, by the name under which they are counted.

        The name of a layer that maps hidden states to scores of tokens has the word "unembedding", as the optimiser
        `muon` then leaves its matrix to AdamW.
        """

    def parameters_by_part(self) -> dict[str, int]:
        """Counts the parameters of each part, in the order of the forward pass."""
        heads = {name: count_parameters(part) for name, part in self.head_parts().items()}
        return {**self.trunk.parameters_by_part(), **heads}


class NextTokenModel(Objective):
    """An objective whose trunk, norm and unembedding are the next-token model.

    A subclass builds `norm` and `lm_head` itself; weights are initialised in the order in which it builds modules.
    """

    norm: nn.Module
    lm_head: nn.Linear

    def next_token_term(self, hidden_BxPxD: Tensor, batch: TensorBatch, graph: Graph) -> Term:
        """Returns the loss of the next token, from the normed hidden states of all positions."""
        targets = batch.targets(1)
        return Term("loss_1", graph.cross_entropy(hidden_BxPxD, self.lm_head.weight, targets), targets.count)

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        hidden_BxPxD: Tensor = self.norm(latent_BxPxD[:, : tokens_BxQ.shape[1]])
        return hidden_BxPxD

    def unembed(self, hidden_NxD: Tensor, lag: int) -> Tensor:
        logits_NxV: Tensor = self.lm_head(hidden_NxD)
        return logits_NxV

    def next_token_path(self) -> NextTokenPath:
        return NextTokenPath([], self.norm, self.lm_head)
