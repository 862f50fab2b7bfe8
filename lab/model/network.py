"""Functions that compile and initialise a whole network: its trunk, and what an objective adds to it."""

import torch
from torch import nn

from lab.model.trunk import Trunk
from lab.model.weights import draw_one


def compile_layers(network: nn.Module, cuda_graphs: bool = False) -> None:
    """Compiles every layer of a trunk's kind in place. All layers share the code; names and weights do not change.

    Args:
        cuda_graphs: records the kernels of a layer and replays them together. The next step then overwrites the
            outputs of a layer, so copy any that are kept.
    """
    for trunk, parts in parts_of_trunks(network):
        for part in parts:
            if part is not trunk:
                part.compile(mode="reduce-overhead" if cuda_graphs else None)


@torch.no_grad()
def initialise(network: nn.Module, layers: int, generator: torch.Generator) -> None:
    """Draws every weight of a network, in the order of its modules.

    A trunk draws its own weights and those of the layers of its kind (see `Trunk.draw`); all others are drawn as
    `lab.model.weights.draw_weights` says.
    """
    owners = {id(part): trunk for trunk, parts in parts_of_trunks(network) for part in (trunk, *parts)}
    drawn: set[int] = set()
    for name, part in network.named_modules():
        if id(part) in drawn:
            continue
        if id(part) in owners:
            owners[id(part)].draw(part, layers, generator)
            drawn |= {id(inner) for inner in part.modules()}
        else:
            draw_one(name, part, layers, generator)


def parts_of_trunks(network: nn.Module) -> list[tuple[Trunk, list[nn.Module]]]:
    """Returns the trunks of a network, each with the layers of its kind wherever they stand in the network."""
    modules = list(network.modules())
    trunks = [part for part in modules if isinstance(part, Trunk)]
    return [(trunk, [part for part in modules if trunk.has_kind_of(part)]) for trunk in trunks]
