"""The shared trunk, and functions that compile, initialise and count networks.

The next-token path of a run, trunk -> head 1 -> norm -> unembedding, is a Llama.
"""

import torch
from torch import Tensor, nn

from lab.model.config import ModelShape
from lab.model.layers import Block, rotary_table
from lab.model.packing import Packing
from lab.model.windows import Window


class Trunk(nn.Module):
    """The shared trunk f_s, from tokens to the latent z (paper, section 2). Embedding and unembedding are not tied."""

    rotary_2xTxK: Tensor

    def __init__(self, shape: ModelShape, layers: int, vocabulary_size: int, length: int, rotary_base: float) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary_size, shape.width)
        self.layers = nn.ModuleList(new_block(shape) for _ in range(layers))
        table = rotary_table(length, shape.width // shape.attention_heads, rotary_base)
        self.register_buffer("rotary_2xTxK", table, persistent=False)

    def rotary(self, positions: int) -> Tensor:
        """Returns cosines and sines of the first positions [2, positions, K], for any layer of this shape."""
        return self.rotary_2xTxK[:, :positions]

    def forward(self, tokens_BxT: Tensor, packing: Packing | None = None, window: Window | None = None) -> Tensor:
        """Computes the latent [B, T, D]; it is arbitrary where a packing or a window leaves a position out."""
        rotary_2xTxK = self.rotary(tokens_BxT.shape[1])
        if packing is None:
            return self.run(self.embed_tokens(tokens_BxT), rotary_2xTxK, window=window)
        x_RxCxD = self.embed_tokens(packing.pack(tokens_BxT))
        return packing.unpack(self.run(x_RxCxD, packing.rotary(rotary_2xTxK), packing.mask, window))

    def run(
        self,
        x_BxTxD: Tensor,
        rotary_2xTxK: Tensor,
        mask_TxT: Tensor | None = None,
        window: Window | None = None,
    ) -> Tensor:
        """Applies the layers alone to embedded inputs, causally unless a mask is given (True marks visible keys)."""
        for layer in self.layers if window is None else self.layers[:-1]:
            x_BxTxD = layer(x_BxTxD, rotary_2xTxK, mask_TxT)
        return x_BxTxD if window is None else window.spread(self.layers[-1](x_BxTxD, rotary_2xTxK, mask_TxT, window))

    @property
    def is_plain(self) -> bool:
        """True for the lab's own trunk, which can leave positions out; an objective's own trunk may not be able to."""
        return type(self) is Trunk and len(self.layers) > 0 and all(type(layer) is Block for layer in self.layers)


def new_block(shape: ModelShape) -> Block:
    """Returns a new transformer layer of this shape, for the trunk or a head."""
    return Block(shape.width, shape.attention_heads, shape.hidden)


def compile_blocks(network: nn.Module, cuda_graphs: bool = False) -> None:
    """Compiles every transformer layer in place. All layers share the code; names and weights do not change.

    Args:
        cuda_graphs: records the kernels of a layer and replays them together. The next step then overwrites the
            outputs of a layer, so copy any that are kept.
    """
    for part in network.modules():
        if isinstance(part, Block):
            part.compile(mode="reduce-overhead" if cuda_graphs else None)


@torch.no_grad()
def initialise(module: nn.Module, layers: int, generator: torch.Generator) -> None:
    """Draws every weight of a module.

    Matrices are normal with variance 1/inputs, embeddings normal with unit variance. The two output projections of a
    block are divided by sqrt(2 `layers`), which preserves the scale of the residual stream (Radford et al. 2019,
    section 2.3). Biases become zero; all other parameters, such as norms, keep their values.
    """
    for name, part in module.named_modules():
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
