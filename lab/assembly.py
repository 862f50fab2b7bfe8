"""A run's parts, built from its spec: the task, and the network with its weights drawn from the seed."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generators.errors import UserError
from generators.table import build_task
from generators.task import Task
from lab.model.network import Trunk, initialise, parameters_of
from lab.objectives.objective import Objective
from lab.objectives.table import build_objective
from lab.spec import RunSpec


class Network(nn.Module):
    """Trunk and objective."""

    def __init__(self, trunk: Trunk, objective: Objective) -> None:
        super().__init__()
        self.trunk = trunk
        self.objective = objective

    def latent(self, tokens_BxP: Tensor) -> Tensor:
        """z = f_s(x) [B, P, D]."""
        z_BxPxD: Tensor = self.trunk(tokens_BxP)
        return z_BxPxD

    def parameters_by_part(self) -> dict[str, int]:
        """Parameters of each part, in the order of the forward pass; norms count with the part they end."""
        counted = {"embedding": parameters_of(self.trunk.embed_tokens), "trunk": parameters_of(self.trunk.layers)}
        return counted | {name: parameters_of(part) for name, part in self.objective.parts().items()}


@dataclass(frozen=True)
class Parts:
    """Task and network of one run, on its device."""

    task: Task
    network: Network
    device: torch.device


def assemble(spec: RunSpec) -> Parts:
    """Build a run's parts. The weights depend on the spec's seed and shapes alone, never on the device.

    Raises:
        UserError: the task's file, the objective in this model, or the device is not to be had.
    """
    device = usable_device(spec.training.device)
    task = build_task(spec.task)
    objective = build_objective(spec.objective, spec.model, len(task.vocabulary), task.length)
    trunk = Trunk(spec.model.shape, objective.trunk_layers, len(task.vocabulary), task.length, spec.model.rotary_base)
    network = Network(trunk, objective)
    initialise(network, spec.model.shape.layers, torch.Generator().manual_seed(spec.seed))
    return Parts(task, network.to(device), device)


def check(spec: RunSpec) -> None:
    """Refuse what `assemble` would refuse, without allocating a weight.

    Raises:
        UserError: as `assemble`.
    """
    task = build_task(spec.task)
    with torch.device("meta"):
        build_objective(spec.objective, spec.model, len(task.vocabulary), task.length)


def usable_device(name: str) -> torch.device:
    """The device of that name, tried."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f'training.device = "{name}": not usable on this machine ({reason}); "cpu" always is') from None
    return device
