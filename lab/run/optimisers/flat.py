"""An optimiser for a whole network at once, with parameters, gradients and state in flat tensors.

A small network has some sixty parameters. Their norm, clipping and update take one call each here instead of sixty. The
parameters keep their names and shapes: each becomes a view of a flat tensor, and so does its state.

The parameters of K networks of one structure may be updated together: each parameter then has a leading dimension K,
and the flat tensors have a row for each network, which is clipped by its own norm and updated at its own learning rate.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

import torch
from torch import Tensor, nn

from lab.run.checkpoints import select_prefix
from lab.run.spec import TrainingConfig

STEP = "step"
"""The state that every rule keeps of a parameter: the number of its updates so far."""


CLIPPED_NORM_EPSILON = 1e-6
"""Added to the norm of a row before it divides, as torch's `clip_grad_norm_` does."""


@dataclass(frozen=True)
class FlatRow:
    """The tensors of a group that belong to one network.

    Attributes:
        values, gradient: all parameters of the group [N].
        slots: slot -> the state of all parameters [N].
        updates: the number of updates so far, a tensor without dimensions.
    """

    values: Tensor
    gradient: Tensor
    slots: dict[str, Tensor]
    updates: Tensor


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
    def updater(self, group: "FlatGroup", rows: Sequence[FlatRow]) -> Callable[[float], None]:
        """Returns a function that updates the values and the state of rows of a group, in place, at a learning rate."""


class FlatGroup:
    """Parameters that are updated together: matrices alone or vectors alone, with one rule and one number of updates.

    Args:
        state: name -> the state of a parameter, for those that have been updated before.
        stacked: whether parameters and state have a leading dimension of K networks.

    Attributes:
        values, gradient, slots: flat tensors of all parameters, [N] or [K, N].
        rows: the same for each network.
        state: name -> the state of a parameter, as views of the flat tensors.
    """

    def __init__(
        self,
        named: Mapping[str, nn.Parameter],
        rule: UpdateRule,
        weight_decay: float,
        state: Mapping[str, dict[str, Tensor]],
        stacked: bool = False,
    ) -> None:
        self.parameters = list(named.values())
        self.rule, self.weight_decay = rule, weight_decay
        first = self.parameters[0]
        self.leading = first.shape[:1] if stacked else first.shape[:0]
        known = [state.get(name) for name in named]
        self.updates = known[0][STEP].clone() if known[0] else first.new_zeros(self.leading, dtype=torch.float32)
        self.values = self.flat(parameter.detach() for parameter in self.parameters)
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
        self.rows = [FlatRow(self.values, self.gradient, self.slots, self.updates)]
        if stacked:
            slots = [{slot: flat[row] for slot, flat in self.slots.items()} for row in range(len(self.values))]
            self.rows = [
                FlatRow(*tensors) for tensors in zip(self.values, self.gradient, slots, self.updates, strict=True)
            ]
        self.updaters: dict[tuple[int, ...], Callable[[float], None]] = {}

    def flat(self, tensors: Iterable[Tensor]) -> Tensor:
        """Returns tensors of the shapes of the parameters as one flat tensor."""
        return torch.cat([tensor.reshape(*self.leading, -1) for tensor in tensors], dim=-1)

    def flat_state(self, known: Iterable[dict[str, Tensor] | None], slot: str) -> Tensor:
        """Returns one slot of all parameters, with zeros for a parameter that has not been updated yet."""
        return self.flat(
            state[slot] if state else torch.zeros_like(parameter.detach())
            for state, parameter in zip(known, self.parameters, strict=True)
        )

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Returns the piece of a flat tensor that belongs to each parameter, in its shape."""
        sizes = [parameter.numel() // self.leading.numel() for parameter in self.parameters]
        pieces = torch.split(flat, sizes, dim=-1)
        return [piece.view(parameter.shape) for piece, parameter in zip(pieces, self.parameters, strict=True)]

    def collect_gradients(self) -> None:
        """Copies the parameters' gradients into the flat tensor and clears them."""
        assert [parameter.data_ptr() for parameter in self.parameters] == self.addresses, "a parameter was moved"
        gradients = [parameter.grad.reshape(*self.leading, -1) for parameter in self.parameters]  # type: ignore[union-attr]
        torch.cat(gradients, dim=-1, out=self.gradient)
        for parameter in self.parameters:
            parameter.grad = None

    def update(self, rates: Sequence[float]) -> None:
        """Updates each row at its learning rate; rows of equal rate are updated together."""
        for rate in dict.fromkeys(rates):
            rows = tuple(row for row, other in enumerate(rates) if other == rate)
            if rows not in self.updaters:
                self.updaters[rows] = self.rule.updater(self, [self.rows[row] for row in rows])
            self.updaters[rows](rate)


class FlatOptimiser:
    """Updates parameters that require a gradient, with weight decay on matrices only.

    A parameter without a gradient, such as a head that a curriculum does not train yet, is left as it is.

    Args:
        named: the parameters of a network, or those of K networks of one structure as stacks [K, ...].
        rules: name -> the rule of a parameter that requires a gradient.
        stacked: whether the parameters are stacks.

    Attributes:
        state: name -> the state of each parameter that has been updated: `STEP` and the slots of its rule.
    """

    def __init__(
        self,
        named: Mapping[str, nn.Parameter],
        training: TrainingConfig,
        rules: Mapping[str, UpdateRule],
        stacked: bool = False,
    ) -> None:
        self.training, self.rules, self.stacked = training, rules, stacked
        self.named = {name: value for name, value in named.items() if value.requires_grad}
        self.parameters = list(self.named.values())
        self.groups: list[FlatGroup] = []
        self.trained: list[bool] = []
        self.state: dict[str, dict[str, Tensor]] = {}

    def checkpoint_tensors(self, row: int | None = None) -> dict[str, Tensor]:
        """Returns the state by its name in a checkpoint, RULE.SLOT.PARAMETER; of a stack, that of one network."""
        return {
            f"{self.rules[name].name}.{slot}.{name}": value if row is None else value[row]
            for name, state in self.state.items()
            for slot, value in state.items()
        }

    def load(self, *rows: Mapping[str, Tensor]) -> None:
        """Replaces the state of all parameters by that of a checkpoint, which may hold other tensors too.

        Args:
            rows: the tensors of the checkpoint; of a stack, of one checkpoint for each network.
        """
        self.state = {}
        for rule in {rule.name: rule for rule in self.rules.values()}.values():
            slots = {slot: [select_prefix(row, f"{rule.name}.{slot}.") for row in rows] for slot in (STEP, *rule.slots)}
            for name in slots[STEP][0]:  # a head that has not been trained yet has no state
                device = self.named[name].device
                values = {slot: [row[name].to(device) for row in named] for slot, named in slots.items()}
                self.state[name] = {slot: torch.stack(v) if self.stacked else v[0] for slot, v in values.items()}
        self.groups, self.trained = [], []

    def arrange(self) -> None:
        """Groups the parameters that have a gradient."""
        names = [name for name, has_gradient in zip(self.named, self.trained, strict=True) if has_gradient]

        def group(name: str) -> tuple[str, bool, int, str]:
            updates = int(self.state[name][STEP].max()) if name in self.state else 0
            is_vector = self.named[name].dim() - self.stacked < 2
            return self.rules[name].name, is_vector, updates, str(self.named[name].dtype)

        self.groups = []
        for (_, is_vector, _, _), group_members in groupby(sorted(names, key=group), group):
            members = list(group_members)
            decay = 0.0 if is_vector else self.training.weight_decay
            named = {name: self.named[name] for name in members}
            self.groups.append(FlatGroup(named, self.rules[members[0]], decay, self.state, self.stacked))
        for flat in self.groups:
            self.state |= flat.state

    def update(self, *rates: float) -> None:
        """Clips the gradient of all parameters together, updates them and clears the gradient.

        Args:
            rates: the learning rate; of a stack, that of each network, whose gradient is clipped by itself.
        """
        trained = [parameter.grad is not None for parameter in self.parameters]
        if trained != self.trained:
            self.trained = trained
            self.arrange()
        for group in self.groups:
            group.collect_gradients()
        if self.stacked:
            self.clip_rows()
        else:
            nn.utils.clip_grad_norm_([group.values for group in self.groups], self.training.clip_norm)
        for group in self.groups:
            group.update(rates)

    def clip_rows(self) -> None:
        """Clips the gradient of each network by its norm."""
        norm_KxG = torch.stack([torch.linalg.vector_norm(group.gradient, dim=1) for group in self.groups], dim=1)
        norm_K = torch.linalg.vector_norm(norm_KxG, dim=1)
        scale_Kx1 = (self.training.clip_norm / (norm_K + CLIPPED_NORM_EPSILON)).clamp(max=1.0)[:, None]
        for group in self.groups:
            group.gradient.mul_(scale_Kx1)
