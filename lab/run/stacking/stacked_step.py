"""The optimiser step of a stack of K runs, and the state of one run in the optimiser that they share."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from lab.loss.compiler import Compiler
from lab.run.optimisers.flat import FlatOptimiser
from lab.run.optimisers.table import OPTIMISERS
from lab.run.schedule import learning_rate
from lab.run.spec import TrainingConfig
from lab.run.stacking.network_stack import NetworkStack
from lab.run.step import OptimiserStep


def compiler_of(training: TrainingConfig) -> Compiler | None:
    """Returns the compiler of the losses of a stack; None if they are not compiled."""
    return Compiler(cuda_graphs=training.cuda_graphs) if training.compile else None


class StackedStep(OptimiserStep):
    """K networks and their optimiser, which take optimiser steps together.

    Attributes:
        trainings: the settings of each of the K runs, which may differ in the learning rate.
    """

    def __init__(self, stack: NetworkStack, training: TrainingConfig) -> None:
        super().__init__(stack.network, training, stack.add_gradient)
        rules = OPTIMISERS[training.optimiser](stack.network, training)
        self.optimiser = FlatOptimiser(stack.named, training, rules, stacked=True)
        self.trainings: Sequence[TrainingConfig] = [training] * stack.size

    def rates(self, step: int) -> list[float]:
        """Returns the learning rate of each run at a step."""
        return [learning_rate(training, step) for training in self.trainings]


class RowState:
    """The state of one run in the optimiser of a stack.

    Attributes:
        loaded: the tensors of a checkpoint, until the stack takes them over.
    """

    def __init__(self, optimiser: FlatOptimiser, row: int) -> None:
        self.optimiser, self.row = optimiser, row
        self.loaded: Mapping[str, Tensor] | None = {}

    def checkpoint_tensors(self) -> dict[str, Tensor]:
        """Returns the state by its name in a checkpoint."""
        return self.optimiser.checkpoint_tensors(self.row) if self.loaded is None else dict(self.loaded)

    def load(self, tensors: Mapping[str, Tensor], /) -> None:
        """Keeps the state of a checkpoint for the stack."""
        self.loaded = tensors
