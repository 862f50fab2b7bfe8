"""A run's parts, built from its spec: the task, and the network with its weights drawn from the seed."""

from dataclasses import dataclass

import torch

from generators.foundation.errors import UserError
from generators.table import build_task
from generators.task import Task
from lab.model.network import initialise
from lab.objectives.objective import Objective
from lab.run.finetuning import network_of
from lab.run.spec import RunSpec


@dataclass(frozen=True)
class RunParts:
    """Task and network of one run, on its device."""

    task: Task
    network: Objective
    device: torch.device


def assemble(spec: RunSpec) -> RunParts:
    """Build a run's parts. The weights depend on the spec's seed and shapes alone, never on the device; those of its
    start are not in them yet.

    Raises:
        UserError: the task's file, the objective in this model, what it starts from, or the device is not to be had.
    """
    device = usable_device(spec.training.device)
    network = network_of(spec)
    initialise(network, spec.model.shape.layers, torch.Generator().manual_seed(spec.seed))
    return RunParts(build_task(spec.task), network.to(device), device)


def usable_device(name: str) -> torch.device:
    """The device of that name, tried."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f'training.device = "{name}": not usable on this machine ({reason}); "cpu" always is') from None
    return device
