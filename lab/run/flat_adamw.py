"""AdamW for a whole network at once, with parameters, gradients and moments in flat tensors.

A small network has some sixty parameters. Their norm, clipping and update take one call each here instead of sixty. The
parameters keep their names and shapes: each becomes a view of a flat tensor, and so do its moments.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from lab.run.spec import TrainingConfig

EPSILON = 1e-8
SLOTS = ("step", "exp_avg", "exp_avg_sq")
"""The state of AdamW for each parameter: updates so far, and decayed means of the gradient and of its square."""


class FlatGroup:
    """Parameters that are updated by one call: all matrices, or all vectors, with the same number of updates so far.

    Args:
        state: name -> the state of a parameter (see `SLOTS`), for those that have been updated before.
    """

    def __init__(self, named: Mapping[str, nn.Parameter], weight_decay: float, state: Mapping[str, dict[str, Tensor]]):
        self.parameters = list(named.values())
        self.weight_decay = weight_decay
        first = self.parameters[0]
        known = [state.get(name) for name in named]
        self.updates = known[0]["step"].clone() if known[0] else first.new_zeros((), dtype=torch.float32)
        self.values = torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters])
        self.gradient = torch.zeros_like(self.values)
        self.values.grad = self.gradient
        self.means, self.squares = (self.flat_state(known, slot) for slot in ("exp_avg", "exp_avg_sq"))
        self.state: dict[str, dict[str, Tensor]] = {}
        """Name -> the state of a parameter, as views of the flat tensors."""
        sizes = [parameter.numel() for parameter in self.parameters]
        pieces = (torch.split(flat, sizes) for flat in (self.values, self.means, self.squares))
        for (name, parameter), value, mean, square in zip(named.items(), *pieces, strict=True):
            shape = parameter.shape
            parameter.data = value.view(shape)
            self.state[name] = {"step": self.updates, "exp_avg": mean.view(shape), "exp_avg_sq": square.view(shape)}
        self.addresses = [parameter.data_ptr() for parameter in self.parameters]

    def flat_state(self, known: Iterable[dict[str, Tensor] | None], slot: str) -> Tensor:
        """Returns one slot of all parameters, with zeros for a parameter that has not been updated yet."""
        return torch.cat(
            [
                state[slot].reshape(-1) if state else torch.zeros_like(parameter.detach()).reshape(-1)
                for state, parameter in zip(known, self.parameters, strict=True)
            ]
        )

    def collect_gradients(self) -> None:
        """Copies the parameters' gradients into the flat tensor and clears them."""
        assert [parameter.data_ptr() for parameter in self.parameters] == self.addresses, "a parameter was moved"
        torch.cat([parameter.grad.reshape(-1) for parameter in self.parameters], out=self.gradient)  # type: ignore[union-attr]
        for parameter in self.parameters:
            parameter.grad = None


class FlatAdamW:
    """AdamW over the parameters of a network that require a gradient, with weight decay on matrices only.

    A parameter without a gradient, such as a head that a curriculum does not train yet, is left as it is.

    Attributes:
        state: name -> the state of each parameter that has been updated (see `SLOTS`).
    """

    def __init__(self, network: nn.Module, training: TrainingConfig) -> None:
        self.training = training
        self.named = {name: value for name, value in network.named_parameters() if value.requires_grad}
        self.parameters = list(self.named.values())
        self.groups: list[FlatGroup] = []
        self.trained: list[bool] = []
        self.state: dict[str, dict[str, Tensor]] = {}

    def load(self, state: Mapping[str, dict[str, Tensor]]) -> None:
        """Replaces the state of all parameters, by name."""
        self.state = {
            name: {slot: value.to(self.named[name].device) for slot, value in slots.items()}
            for name, slots in state.items()
        }
        self.groups, self.trained = [], []

    def arrange(self) -> None:
        """Groups the parameters that have a gradient."""
        names = [name for name, has_gradient in zip(self.named, self.trained, strict=True) if has_gradient]

        def group(name: str) -> tuple[bool, int, str]:
            updates = int(self.state[name]["step"]) if name in self.state else 0
            return self.named[name].dim() < 2, updates, str(self.named[name].dtype)

        self.groups = []
        for (is_vector, _, _), members in groupby(sorted(names, key=group), group):
            decay = 0.0 if is_vector else self.training.weight_decay
            self.groups.append(FlatGroup({name: self.named[name] for name in members}, decay, self.state))
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
            adamw(
                [group.values],
                [group.gradient],
                [group.means],
                [group.squares],
                [],
                [group.updates],
                fused=True,
                amsgrad=False,
                beta1=self.training.beta1,
                beta2=self.training.beta2,
                lr=rate,
                weight_decay=group.weight_decay,
                eps=EPSILON,
                maximize=False,
            )
