"""The parts of a run, built from its spec: task, device, and network with weights drawn from the seed."""

from dataclasses import dataclass

import torch

from generators.foundation.errors import UserError
from generators.table import build_task
from generators.task import Task
from lab.model.network import initialise
from lab.objectives.objective import Objective
from lab.run.finetuning import build_network
from lab.run.solving import scores_tokens
from lab.run.spec import RunSpec

REASON_LENGTH = 120
"""Characters of torch's message that are shown; some of its messages have thousands."""


@dataclass(frozen=True)
class RunParts:
    """Task and network of one run, on its device."""

    task: Task
    network: Objective
    device: torch.device


def assemble(spec: RunSpec, source: str = "") -> RunParts:
    """Builds the parts of a run.

    The weights depend on the seed and the shapes of the spec alone, never on the device. Weights of the run that a
    finetuning run starts from are not loaded here.

    Args:
        source: the file that the spec comes from, named first in errors.

    Raises:
        UserError: the task, the objective with this model, the run to start from, or the device is not usable.
    """
    device = usable_device(spec.training.device)
    try:
        network = build_network(spec)
    except UserError as error:
        raise UserError(f"{source}: {error}" if source else str(error)) from None
    initialise(network, spec.model.shape.layers, torch.Generator().manual_seed(spec.seed))
    task = build_task(spec.task)
    if spec.training.stop_when_solved is not None and not scores_tokens(task):
        place = f"{source}: " if source else ""
        raise UserError(
            f"{place}training.stop_when_solved: task {task.config.kind} scores no token of its samples, so a run "
            "never solves it; leave the setting out"
        )
    return RunParts(task, network.to(device), device)


def usable_device(name: str, key: str = "training.device") -> torch.device:
    """Returns the torch device of that name after trying it.

    Args:
        key: the setting that names the device, for the error.

    Raises:
        UserError: the device does not work on this machine.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except Exception as error:  # torch raises five kinds of error, depending on how a device is absent
        devices = device_names()
        present = any(device == name or device.startswith(f"{name}:") for device in devices)
        reason = f"does not work: {(str(error).splitlines() or [''])[0][:REASON_LENGTH]}" if present else "absent"
        raise UserError(f'{key} = "{name}": {reason}; this machine has {", ".join(devices)}') from None
    return device


def device_names() -> list[str]:
    """Returns the names of the devices of this machine, the CPU first."""
    if not torch.accelerator.is_available():
        return ["cpu"]
    accelerator = torch.accelerator.current_accelerator()
    assert accelerator is not None
    return ["cpu", *(f"{accelerator.type}:{number}" for number in range(torch.accelerator.device_count()))]
