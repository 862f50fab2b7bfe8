"""The losses of a stack as one piece of compiled code.

Compiled code cannot read numpy arrays, so `Objective.prepare` runs before it, for all runs at once. What it leaves in
the batch is taken apart into tensors, which the compiled function receives, and a pattern in which it puts them back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lab.loss.compiler import NotTraceable, compiled_function
from lab.loss.losses import total_and_values
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from lab.run.stacking.batch_stack import BatchStack

Losses = tuple[Tensor, dict[str, Tensor]]
"""The weighted sum of all terms of each network [K], and the value of each term by name [K]."""


@dataclass(frozen=True)
class TensorPlace:
    """The place of a tensor in a pattern."""

    index: int


@dataclass(frozen=True)
class Prepared:
    """The values that a batch keeps for the terms of an objective, for K runs.

    Attributes:
        tensors: all tensors, in the order of their places.
        dims: the dimension of the runs in each tensor: 0, or None if the runs share it.
        pattern: the same with a place instead of each tensor.
    """

    tensors: list[Tensor]
    dims: list[int | None]
    pattern: Any


class Unread:
    """Stands for the loss mask, the indices and the step of a batch, which compiled terms do not read."""


UNREAD: Any = Unread()


def taken_apart(value: Any, tensors: list[Tensor]) -> Any:
    """Returns a pattern of a value, whose tensors are appended to a list; numpy arrays are left out."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return TensorPlace(len(tensors) - 1)
    if isinstance(value, np.ndarray):
        return UNREAD
    if hasattr(value, "__dataclass_fields__"):
        return type(value)(**{name: taken_apart(getattr(value, name), tensors) for name in value.__dataclass_fields__})
    if isinstance(value, dict):
        return {key: taken_apart(part, tensors) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)([taken_apart(part, tensors) for part in value])
    return value


def put_together(pattern: Any, tensors: Sequence[Tensor]) -> Any:
    """Returns the value of a pattern."""
    if isinstance(pattern, TensorPlace):
        return tensors[pattern.index]
    if pattern is None or isinstance(pattern, int | float | str | Unread):
        return pattern
    if isinstance(pattern, dict):
        return {key: put_together(part, tensors) for key, part in pattern.items()}
    if isinstance(pattern, tuple | list):
        return type(pattern)([put_together(part, tensors) for part in pattern])
    if hasattr(pattern, "__dataclass_fields__"):
        fields = pattern.__dataclass_fields__
        return type(pattern)(**{name: put_together(getattr(pattern, name), tensors) for name in fields})
    return pattern


def prepare(network: Objective, batch: BatchStack) -> Prepared:
    """Computes what the terms of an objective read from the batch of each run besides its tokens."""
    patterns: list[Any] = []

    def prepared_tensors(tokens_BxT: Tensor) -> list[Tensor]:
        own, tensors = TensorBatch(tokens_BxT, batch.loss, batch.indices, batch.step), list[Tensor]()
        network.prepare(own)
        patterns.append(taken_apart(own._computed, tensors))
        return tensors

    tensors = vmap(prepared_tensors)(batch.tokens_BxT)
    dims: list[int | None] = [0 if tensor.stride(0) else None for tensor in tensors]
    own = [tensor if dim == 0 else tensor[0] for tensor, dim in zip(tensors, dims, strict=True)]
    return Prepared(own, dims, patterns[0])


def stacked_losses(
    calling: nn.Module, weights: Mapping[str, Tensor], tokens_KxBxT: Tensor, prepared: Prepared
) -> Losses:
    """Computes the losses of all networks; this is the function that is compiled."""

    def loss(own: Mapping[str, Tensor], tokens_BxT: Tensor, tensors: Sequence[Tensor]) -> Losses:
        batch = TensorBatch(tokens_BxT, UNREAD, UNREAD, UNREAD, _computed=put_together(prepared.pattern, tensors))
        values = {f"network.{name}": value for name, value in own.items()}
        outputs: Losses = functional_call(calling, values, (total_and_values, batch))
        return outputs

    outputs: Losses = vmap(loss, in_dims=(0, 0, prepared.dims))(weights, tokens_KxBxT, prepared.tensors)
    return outputs


def compiled_losses(
    calling: nn.Module, network: Objective, weights: Mapping[str, Tensor], batch: BatchStack, cuda_graphs: bool
) -> Losses:
    """Computes the losses of all networks by compiled code.

    Args:
        calling: the module that calls a function of the network.
        cuda_graphs: replays recorded kernels; the next step then overwrites the losses.

    Raises:
        NotTraceable: torch cannot compile them as one piece.
    """
    from torch._dynamo.exc import Unsupported

    try:
        compiled = compiled_function(stacked_losses, cuda_graphs)
        losses: Losses = compiled(calling, weights, batch.tokens_BxT, prepare(network, batch))
    except Unsupported as error:
        raise NotTraceable(str(error)) from error
    return losses
