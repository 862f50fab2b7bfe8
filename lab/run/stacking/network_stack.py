"""K networks of one structure as one: every parameter has a leading dimension K, over which torch vectorises."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from lab.loss.compiler import Compiler, NotTraceable
from lab.loss.losses import total_and_values
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from lab.run.evaluation import Evaluator, add_by_name
from lab.run.stacking.batch_stack import BatchStack
from lab.run.stacking.compiled_losses import Losses, compiled_losses

vectorised_attention = partial(sdpa_kernel, SDPBackend.MATH)
"""Attention of matrix products, over which torch vectorises. On a GPU the backward pass of a fused kernel refuses the
layout in which vmap leaves the values of its forward pass; on a CPU such a kernel runs for one network after the other.
"""


class Calling(nn.Module):
    """A module whose forward pass calls a function of an objective, so that the function can be called with weights."""

    def __init__(self, network: Objective) -> None:
        super().__init__()
        self.network = network

    def forward(self, function: Any, *arguments: Any) -> Any:
        """Returns the value of a function of the objective and of further arguments."""
        return function(self.network, *arguments)


class NetworkStack:
    """The weights of K networks of one structure.

    Args:
        network: a network of that structure; its own weights do not matter.
        compiler: compiles the losses, unless torch cannot compile them as one piece.

    Attributes:
        named: name -> the parameters of that name of all networks [K, ...].
    """

    def __init__(self, network: Objective, size: int, compiler: Compiler | None = None) -> None:
        self.network, self.size, self.compiler = network, size, compiler
        self.calling = Calling(network)
        self.named = {
            name: nn.Parameter(value.new_empty(size, *value.shape), requires_grad=value.requires_grad)
            for name, value in network.named_parameters()
        }
        self.buffers: dict[str, Tensor] = {}

    def fill(self, networks: Sequence[Objective]) -> None:
        """Copies the weights of K networks, some of which may be the same."""
        for name, stacked in self.named.items():
            stacked.data = torch.stack([network.get_parameter(name).detach() for network in networks])
        self.buffers = {}
        for name, value in self.network.named_buffers():
            values = [network.get_buffer(name) for network in networks]
            if any(not torch.equal(other, value) for other in values):
                self.buffers[name] = torch.stack(values)

    def attach(self, networks: Mapping[int, Objective]) -> None:
        """Makes the parameters of networks views of rows of this stack, until it is filled again.

        Args:
            networks: row -> network.
        """
        for name, stacked in self.named.items():
            for row, network in networks.items():
                network.get_parameter(name).data = stacked.data[row]

    def call_with(self, arguments: tuple[Any, ...], weights: Mapping[str, Tensor]) -> Any:
        """Calls a function of an objective with the weights of one network.

        Args:
            arguments: the function, and what it takes besides the objective.
        """
        return functional_call(self.calling, {f"network.{name}": value for name, value in weights.items()}, arguments)

    def add_gradient(self, batch: TensorBatch) -> dict[str, Tensor]:
        """Adds the gradient of each network on its batch, and returns the value of each loss term by name [K]."""
        assert isinstance(batch, BatchStack)
        if batch.separate:
            return self.add_gradients_in_turn(batch.separate)
        with vectorised_attention():
            total_K, values = self.losses(batch) if self.compiler is None else self.compiled(batch, self.compiler)
        total_K.sum().backward()  # type: ignore[no-untyped-call]
        return {name: value_K.detach().clone() for name, value_K in values.items()}

    def compiled(self, batch: BatchStack, compiler: Compiler) -> Losses:
        """Computes the losses of a batch by compiled code, if torch can compile them."""
        weights = {**self.named, **self.buffers}
        try:
            return compiled_losses(self.calling, self.network, weights, batch, compiler.cuda_graphs)
        except NotTraceable:
            self.compiler = None
            return self.losses(batch)

    def losses(self, batch: BatchStack) -> Losses:
        """Computes the weighted sum of all terms of each network [K], and the value of each term by name [K]."""

        def loss(weights: Mapping[str, Tensor], tokens_BxT: Tensor) -> Losses:
            own = TensorBatch(tokens_BxT, batch.loss, batch.indices, batch.step)
            outputs: Losses = self.call_with((total_and_values, own), weights)
            return outputs

        outputs: Losses = vmap(loss)({**self.named, **self.buffers}, batch.tokens_BxT)
        return outputs

    def add_gradients_in_turn(self, batches: Sequence[TensorBatch]) -> dict[str, Tensor]:
        """Adds the gradients of batches whose shapes differ, one network after the other."""
        rows = []
        for row, batch in enumerate(batches):
            weights = {name: value[row] for name, value in {**self.named, **self.buffers}.items()}
            total, values = self.call_with((total_and_values, batch), weights)
            total.backward()  # adds to the row of this network alone
            rows.append(values)
        return {name: torch.stack([values[name].detach() for values in rows]) for name in rows[0]}

    @torch.no_grad()
    def scores(self, evaluator: Evaluator, weights: Mapping[str, Tensor] | None = None) -> list[dict[str, float]]:
        """Computes all metrics of each network on a split.

        Args:
            weights: name -> other weights [K, ...] than those of the stack.
        """
        counts: dict[str, int] = {}
        sums, hits = [], []
        for batch, positions in evaluator.parts:
            self.network.prepare(batch)
            arguments = evaluator.sums_and_hits, batch, positions, counts
            with vectorised_attention():
                sum_K, hit_KxS = vmap(partial(self.call_with, arguments))({**(weights or self.named), **self.buffers})
            sums.append(sum_K)
            hits.append(hit_KxS)
        totals = {name: total_K.tolist() for name, total_K in add_by_name(sums).items()}
        all_hits_KxS = torch.cat(hits, dim=1)
        return [
            evaluator.metrics({name: total_K[row] for name, total_K in totals.items()}, counts, all_hits_KxS[row])
            for row in range(self.size)
        ]
