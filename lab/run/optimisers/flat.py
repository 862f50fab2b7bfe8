"""An optimiser for a whole network at once, with parameters, gradients and state in flat tensors.

A small network has some sixty parameters. Their norm, clipping and update take one call each here instead of sixty. The
parameters keep their names and shapes: each becomes a view of a flat tensor, and so does its state.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import ClassVar

import torch
from torch import Tensor, nn

from lab.run.checkpoints import select_prefix
from lab.run.spec import TrainingConfig

STEP = "step"
"""The state that every rule keeps of a parameter: the number of its updates so far."""


class UpdateRule(ABC):
    """The rule by which a group of parameters is updated.

    Attributes:
        name: the first part of the names of its state in a checkpoint.
        slots: its state besides the number of updates; each has the shape of the parameter and begins at zero.
    """

    name: ClassVar[str]
    slots: ClassVar[tuple[str, ...]]

    def __init__(self, training: TrainingConfig) -> None:
        self.training = training

    @abstractmethod
    def updater(self, group: "FlatGroup") -> Callable[[float], None]:
        """Returns a function that updates the values and the state of a group, in place, at a learning rate."""


class FlatGroup:
    """Parameters that are updated together: matrices alone or vectors alone, with one rule and one number of updates.

    Args:
        state: name -> the state of a parameter, for those that have been updated before.

    Attributes:
        values, gradient, slots: flat tensors of all parameters.
        state: name -> the state of a parameter, as views of the flat tensors.
    """

    def __init__(
        self,
        named: Mapping[str, nn.Parameter],
        rule: UpdateRule,
        weight_decay: float,
        state: Mapping[str, dict[str, Tensor]],
    ) -> None:
        self.parameters = list(named.values())
        self.weight_decay = weight_decay
        first = self.parameters[0]
        known = [state.get(name) for name in named]
        self.updates = known[0][STEP].clone() if known[0] else first.new_zeros((), dtype=torch.float32)
        self.values = torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters])
        self.gradient = torch.zeros_like(self.values)
        self.values.grad = self.gradient
        self.slots = {slot: self.flat_state(known, slot) for slot in rule.slots}
        pieces = {slot: self.shaped(flat) for slot, flat in self.slots.items()}
        self.state: dict[str, dict[str, Tensor]] = {
            name: {STEP: self.updates, **{slot: views[index] for slot, views in pieces.items()}}
            for index, name in enumerate(named)
        }
        for parameter, value in zip(self.parameters, self.shaped(self.values), strict=True):
            parameter.data = value
        self.addresses = [parameter.data_ptr() for parameter in self.parameters]
        self.update = rule.updater(self)

    def flat_state(self, known: Iterable[dict[str, Tensor] | None], slot: str) -> Tensor:
        """Returns one slot of all parameters, with zeros for a parameter that has not been updated yet."""
        return torch.cat(
            [
                state[slot].reshape(-1) if state else torch.zeros_like(parameter.detach()).reshape(-1)
                for state, parameter in zip(known, self.parameters, strict=True)
            ]
        )

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Returns the piece of a flat tensor that belongs to each parameter, in its shape."""
        pieces = torch.split(flat, [parameter.numel() for parameter in self.parameters])
        return [piece.view(parameter.shape) for piece, parameter in zip(pieces, self.parameters, strict=True)]

    def collect_gradients(self) -> None:
        """Copies the parameters' gradients into the flat tensor and clears them."""
        assert [parameter.data_ptr() for parameter in self.parameters] == self.addresses, "a parameter was moved"
        torch.cat([parameter.grad.reshape(-1) for parameter in self.parameters], out=self.gradient)  # type: ignore[union-attr]
        for parameter in self.parameters:
            parameter.grad = None


class FlatOptimiser:
    """Updates the parameters of a network that require a gradient, with weight decay on matrices only.

    A parameter without a gradient, such as a head that a curriculum does not train yet, is left as it is.

    Args:
        rules: name -> the rule of a parameter that requires a gradient.

    Attributes:
        state: name -> the state of each parameter that has been updated: `STEP` and the slots of its rule.
    """

    def __init__(self, network: nn.Module, training: TrainingConfig, rules: Mapping[str, UpdateRule]) -> None:
        self.training, self.rules = training, rules
        self.named = {name: value for name, value in network.named_parameters() if value.requires_grad}
        self.parameters = list(self.named.values())
        self.groups: list[FlatGroup] = []
        self.trained: list[bool] = []
        self.state: dict[str, dict[str, Tensor]] = {}

    def checkpoint_tensors(self) -> dict[str, Tensor]:
        """Returns the state by its name in a checkpoint: RULE.SLOT.PARAMETER."""
        return {
            f"{self.rules[name].name}.{slot}.{name}": value
            for name, state in self.state.items()
            for slot, value in state.items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Replaces the state of all parameters by that of a checkpoint, which may hold other tensors too."""
        self.state = {}
        for rule in {rule.name: rule for rule in self.rules.values()}.values():
            slots = {slot: select_prefix(tensors, f"{rule.name}.{slot}.") for slot in (STEP, *rule.slots)}
            for name in slots[STEP]:  # a head that has not been trained yet has no state
                self.state[name] = {slot: values[name].to(self.named[name].device) for slot, values in slots.items()}
        self.groups, self.trained = [], []

    def arrange(self) -> None:
        """Groups the parameters that have a gradient."""
        names = [name for name, has_gradient in zip(self.named, self.trained, strict=True) if has_gradient]

        def group(name: str) -> tuple[str, bool, int, str]:
            updates = int(self.state[name][STEP]) if name in self.state else 0
            return self.rules[name].name, self.named[name].dim() < 2, updates, str(self.named[name].dtype)

        self.groups = []
        for (_, is_vector, _, _), group_members in groupby(sorted(names, key=group), group):
            members = list(group_members)
            decay = 0.0 if is_vector else self.training.weight_decay
            named = {name: self.named[name] for name in members}
            self.groups.append(FlatGroup(named, self.rules[members[0]], decay, self.state))
        for flat in self.groups:
            self.state |= flat.state

    def update(self, rate: float) -> None:
        """Clips the gradient of all parameters together, updates them at this learning rate and clears the gradient."""
        trained = [parameter.grad is not None for parameter in self.parameters]
        if trained != self.trained:
            self.trained = trained
            self.arrange()
        for group in self.groups:
            group.collect_gradients()
        nn.utils.clip_grad_norm_([group.values for group in self.groups], self.training.clip_norm)
        for group in self.groups:
            group.update(rate)
