"""Checks of the parameters: where their values come from, where they are stored, and how they are counted."""

import torch

from lab.model.weights import shared_memory_problem
from lab.objectives.checks.network import build_network
from lab.objectives.objective import Objective


def check_weights(network: Objective) -> str:
    """Compares the weights of two networks of one seed, built with different states of torch's global generator."""
    other = build_network(network.config, 1, network.trunk.config).state_dict()
    if different := [name for name, value in network.state_dict().items() if not torch.equal(value, other[name])]:
        return (
            f"`initialise` does not draw {', '.join(different)}: it draws embeddings and the matrices of linear "
            "layers; initialise other parameters to a constant, or draw those of a trunk in its method `draw`"
        )
    return ""


def check_memory(network: Objective) -> str:
    """Checks that no two parameters or buffers share memory, which no checkpoint could store."""
    return shared_memory_problem(network)


def check_parameter_count(network: Objective) -> str:
    """Checks that embedding, trunk and `head_parts` together hold every parameter once."""
    counted = sum(network.parameters_by_part().values())
    total = sum(parameter.numel() for _, parameter in network.named_parameters(remove_duplicate=False))
    if counted == total:
        return ""
    return f"embedding, trunk and head_parts have {counted:,} parameters, but the network has {total:,}"
