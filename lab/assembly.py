"""A run's parts, built from its spec: the task, and the network with its weights drawn from the seed."""

from dataclasses import dataclass

import torch

from generators.errors import UserError
from generators.table import build_task
from generators.task import Task
from lab.model.network import initialise
from lab.objectives.objective import DataShape, Objective
from lab.objectives.table import build_objective
from lab.spec import RunSpec


@dataclass(frozen=True)
class Parts:
    """Task and network of one run, on its device."""

    task: Task
    network: Objective
    device: torch.device


def assemble(spec: RunSpec) -> Parts:
    """Build a run's parts. The weights depend on the spec's seed and shapes alone, never on the device.

    Raises:
        UserError: the task's file, the objective in this model, or the device is not to be had.
    """
    device = usable_device(spec.training.device)
    task = build_task(spec.task)
    network = build_objective(spec.objective, spec.model, data_shape(task))
    initialise(network, spec.model.shape.layers, torch.Generator().manual_seed(spec.seed))
    return Parts(task, network.to(device), device)


def planned(spec: RunSpec) -> Objective:
    """The network of a spec without a weight in memory: shapes and counts only.

    Raises:
        UserError: the task's file, or the objective in this model, is not to be had.
    """
    task = build_task(spec.task)
    with torch.device("meta"):
        return build_objective(spec.objective, spec.model, data_shape(task))


def data_shape(task: Task) -> DataShape:
    """What a network must know of its task."""
    return DataShape(len(task.vocabulary), task.length)


def usable_device(name: str) -> torch.device:
    """The device of that name, tried."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f'training.device = "{name}": not usable on this machine ({reason}); "cpu" always is') from None
    return device
