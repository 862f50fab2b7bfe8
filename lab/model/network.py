"""The shared trunk, and how weights are drawn.

The next-token path of a run, trunk -> head 1 -> norm -> unembedding, is a Llama.
"""

import os
import shutil

import torch
from torch import Tensor, nn

from generators.foundation.errors import UserError
from lab.model.config import ModelShape
from lab.model.layers import Block, rotary_table


class Trunk(nn.Module):
    """f_s: tokens -> latent z_t (paper, section 2). Embedding not tied to the unembedding."""

    rotary_2xTxK: Tensor

    def __init__(self, shape: ModelShape, layers: int, vocabulary_size: int, length: int, rotary_base: float) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary_size, shape.width)
        self.layers = nn.ModuleList(new_block(shape) for _ in range(layers))
        table = rotary_table(length, shape.width // shape.attention_heads, rotary_base)
        self.register_buffer("rotary_2xTxK", table, persistent=False)

    def rotary(self, positions: int) -> Tensor:
        """Cosines and sines of the first positions [2, positions, K], for any layer of this shape."""
        return self.rotary_2xTxK[:, :positions]

    def forward(self, tokens_BxT: Tensor) -> Tensor:
        return self.run(self.embed_tokens(tokens_BxT), self.rotary(tokens_BxT.shape[1]))

    def run(self, x_BxTxD: Tensor, rotary_2xTxK: Tensor, mask_TxT: Tensor | None = None) -> Tensor:
        """The layers alone, on embedded inputs: causal, or as a mask says (True is seen)."""
        for layer in self.layers:
            x_BxTxD = layer(x_BxTxD, rotary_2xTxK, mask_TxT)
        return x_BxTxD


def new_block(shape: ModelShape) -> Block:
    """A layer of this shape, for the trunk or a head."""
    return Block(shape.width, shape.attention_heads, shape.hidden)


def compile_blocks(network: nn.Module, cuda_graphs: bool = False) -> None:
    """Compile every transformer layer where it stands: one piece of code for all, names and weights as they were.

    Args:
        cuda_graphs: a layer's kernels are recorded and replayed together; what is kept from a step is to be copied.

    Raises:
        UserError: there is no compiler.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        raise UserError("training.compile = true: needs a C++ compiler (g++, clang++ or CXX); false always works")
    for part in network.modules():
        if isinstance(part, Block):
            part.compile(mode="reduce-overhead" if cuda_graphs else None)


@torch.no_grad()
def initialise(module: nn.Module, layers: int, generator: torch.Generator) -> None:
    """Draw every weight from `generator`: matrices normal with variance 1/inputs, embeddings of unit variance,
    and each block's two output projections smaller by sqrt(2 `layers`), so that the residual stream keeps its scale
    (Radford et al. 2019, section 2.3). Norms start at one, biases at zero."""
    for name, part in module.named_modules():
        if isinstance(part, nn.Embedding):
            part.weight.normal_(generator=generator)
        elif isinstance(part, nn.Linear):
            part.weight.normal_(std=part.in_features**-0.5, generator=generator)
            if part.bias is not None:
                part.bias.zero_()
            if name.endswith(("o_proj", "down_proj")):
                part.weight.div_((2 * layers) ** 0.5)


def count_parameters(module: nn.Module) -> int:
    """Parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())
