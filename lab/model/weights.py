"""Functions that draw, count and check the weights of a network."""

import torch
from torch import nn


@torch.no_grad()
def draw_weights(module: nn.Module, layers: int, generator: torch.Generator) -> None:
    """Draws every weight of a module.

    Matrices are normal with variance 1/inputs, embeddings normal with unit variance. Output projections, whose names
    end with `o_proj` or `down_proj`, are divided by sqrt(2 `layers`), which preserves the scale of the residual stream
    (Radford et al. 2019, section 2.3). Biases become zero; all other parameters, such as norms, keep their values.
    """
    for name, part in module.named_modules():
        draw_one(name, part, layers, generator)


def draw_one(name: str, part: nn.Module, layers: int, generator: torch.Generator) -> None:
    """Draws the weights that one module holds itself, as `draw_weights` says."""
    if isinstance(part, nn.Embedding):
        part.weight.normal_(generator=generator)
    elif isinstance(part, nn.Linear):
        part.weight.normal_(std=part.in_features**-0.5, generator=generator)
        if part.bias is not None:
            part.bias.zero_()
        if name.endswith(("o_proj", "down_proj")):
            part.weight.div_((2 * layers) ** 0.5)


def shared_memory_problem(module: nn.Module) -> str:
    """Returns a sentence if two parameters or buffers share memory, which a checkpoint cannot store; "" otherwise."""
    owners: dict[int, str] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        owner = owners.setdefault(value.untyped_storage()._cdata, name)
        if owner != name:
            return (
                f"{owner} and {name} share memory, but a checkpoint stores each under its own name; "
                "make them separate parameters"
            )
    return ""


def count_parameters(module: nn.Module) -> int:
    """Counts the parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())
