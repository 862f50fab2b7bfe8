"""The optimiser step, which training, cost estimates, the `step` analysis and the benchmarks share."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from generators.foundation.errors import WorkFailed
from lab.loss.compiler import Compiler, NotTraceable, require_compiler
from lab.loss.losses import accumulate_gradient
from lab.model.batches import TensorBatch
from lab.model.network import compile_layers
from lab.objectives.objective import Objective
from lab.run.optimisers.table import build_optimiser
from lab.run.schedule import learning_rate
from lab.run.spec import TrainingConfig

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # otherwise cuBLAS may add in a different order each time

CPU_SHORTAGE = "DefaultCPUAllocator"
"""Part of the plain RuntimeError that torch raises when the CPU's memory is short."""
Backward = Callable[[TensorBatch], dict[str, Tensor]]
"""Adds the gradient of a batch to the parameters' and returns the value of each loss term by name."""


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Makes GPU results reproducible; by default, attention accumulates gradients in a nondeterministic order."""
    if device.type == "cpu":
        yield
        return
    memory: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False  # the lab never reads memory that it has not written
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        memory.fill_uninitialized_memory = before[1]


@contextmanager
def shortage_reported(run: Path) -> Iterator[None]:
    """Reports, in one sentence, that the device or the machine has too little memory.

    Args:
        run: the folder of the run that is trained.

    Raises:
        WorkFailed: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and CPU_SHORTAGE not in str(error):
            raise
        raise WorkFailed(
            f"{run}: out of memory; its last checkpoint, if it has one, is intact. A smaller training.batch_size, more "
            'training.micro_batches, or training.loss = "sequential" or "chunked" needs less'
        ) from None


def update_parameters(optimiser: torch.optim.Optimizer, closure: Callable[[], Tensor] | None = None) -> None:
    """Updates the parameters of an optimiser and clears their gradients.

    Args:
        closure: computes the loss and its gradient, for optimisers such as L-BFGS that need them several times a step.
    """
    optimiser.step(closure)  # type: ignore[arg-type]
    optimiser.zero_grad()


class OptimiserStep:
    """A network and its optimiser, which take optimiser steps together.

    Args:
        network: the module to train; `training.compile` compiles its loss, as one piece if possible.
        training: the settings of loss, precision, clipping, optimiser and schedule.
        backward: the backward pass, by default that of `training.loss` through `network`, which is then an Objective.

    Raises:
        UserError: `training.compile` is true, and there is no C++ compiler; or torch lacks the optimiser.
    """

    def __init__(self, network: nn.Module, training: TrainingConfig, backward: Backward | None = None) -> None:
        self.network, self.training = network, training
        self.device = next(network.parameters()).device
        self.backward = backward
        self.compiler: Compiler | None = None
        if training.compile:
            require_compiler()
        self.optimiser = build_optimiser(network, training)

    def release_outputs(self) -> None:
        """Lets CUDA graphs reuse their output buffers."""
        if self.training.cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def add_gradient(self, batch: TensorBatch) -> dict[str, Tensor]:
        """Adds the gradient of a batch to the parameters', in the precision of training.

        Returns:
            The value of each loss term by name, in nats.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.training.precision == "bf16"):
            if self.backward is not None:
                return self.backward(batch)
            assert isinstance(self.network, Objective)
            if self.training.compile and self.compiler is None:
                self.compile(whole=not batch.uneven)
            try:
                return self.own_gradient(self.network, batch)
            except NotTraceable:  # before anything was added: the first piece of the first batch raises it
                self.compile(whole=False)
                return self.own_gradient(self.network, batch)

    def compile(self, whole: bool) -> None:
        """Compiles the loss as one piece, or else its layers and read-outs, for all later batches."""
        self.compiler = Compiler(whole, self.training.cuda_graphs)
        if not whole or self.training.loss != "joint":
            compile_layers(self.network, self.training.cuda_graphs)

    def own_gradient(self, objective: Objective, batch: TensorBatch) -> dict[str, Tensor]:
        """Adds the gradient of the objective's own loss and returns the value of each term by name."""
        training = self.training
        values = accumulate_gradient(objective, batch, training.loss, training.micro_batches, self.compiler)
        return {name: value.clone() for name, value in values.items()} if training.cuda_graphs else values

    def take(self, batch: TensorBatch, step: int) -> dict[str, Tensor]:
        """Takes optimiser step `step`, counted from 0, on a batch.

        Returns:
            The value of each loss term by name, in nats.
        """
        self.release_outputs()
        values = self.add_gradient(batch)
        self.optimiser.update(*self.rates(step))
        return values

    def rates(self, step: int) -> list[float]:
        """Returns the learning rate of a step."""
        return [learning_rate(self.training, step)]
