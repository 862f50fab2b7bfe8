"""A Llama: rotary positions, RMSNorm, SwiGLU, no biases (Touvron et al. 2023).

The next-token path of a run, trunk -> head 1 -> norm -> unembedding, is then a Llama.
"""

from typing import Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from torch import Tensor, nn

from generators.foundation.settings import Tree
from lab.model.cache import TrunkCache
from lab.model.caches.llama import LlamaCache
from lab.model.config import AttentionConfig, DataShape
from lab.model.layers import Block, rotary_table
from lab.model.packing import Packing
from lab.model.trunk import Trunk
from lab.model.windows import Window


class LlamaConfig(AttentionConfig):
    """Settings of `llama`."""

    kind: Literal["llama"] = "llama"
    rotary_base: float = Field(default=10000.0, gt=1.0, description="base of the rotary frequencies")

    def _check_shape(self) -> None:
        if self.shape.width % (2 * self.shape.attention_heads):
            raise ValueError(
                f"width {self.width} should be a multiple of twice attention_heads ({self.attention_heads})"
            )

    @model_serializer(mode="wrap")
    def _leave_out_kind(self, serialise: SerializerFunctionWrapHandler) -> Tree:
        """Leaves out `kind`, so that runs keep the identities that they had when every model was a Llama."""
        tree: Tree = serialise(self)
        tree.pop("kind", None)
        return tree


class Llama(Trunk):
    """Transformer layers with rotary positions, which can leave out the positions that nothing reads."""

    config: LlamaConfig
    rotary_2xTxK: Tensor
    takes_masks = True

    def __init__(self, config: LlamaConfig, layers: int, data: DataShape) -> None:
        super().__init__(config, layers, data)
        shape = config.shape
        self.embed_tokens = nn.Embedding(data.vocabulary, shape.width)
        self.layers = nn.ModuleList(self.new_layer() for _ in range(layers))
        table = rotary_table(data.length, shape.width // shape.attention_heads, config.rotary_base)
        self.register_buffer("rotary_2xTxK", table, persistent=False)

    def build_layer(self) -> Block:
        shape = self.config.shape
        return Block(shape.width, shape.attention_heads, shape.hidden)

    def rotary(self, positions: int) -> Tensor:
        """Returns cosines and sines of the first positions [2, positions, K], for any layer of this trunk."""
        return self.rotary_2xTxK[:, :positions]

    def apply_layer(self, layer: nn.Module, x_BxTxD: Tensor) -> Tensor:
        out: Tensor = layer(x_BxTxD, self.rotary(x_BxTxD.shape[1]))
        return out

    def new_cache(self, samples: int, capacity: int) -> TrunkCache | None:
        if not self.leaves_out:
            return None
        return LlamaCache(self.embed_tokens, self.layers, self.rotary_2xTxK, samples, capacity)

    @property
    def leaves_out(self) -> bool:
        """True for the lab's own trunk; one that is derived from it may not be able to leave positions out."""
        return type(self) is Llama and len(self.layers) > 0 and all(type(layer) is Block for layer in self.layers)

    def forward_rows(self, tokens_BxT: Tensor, packing: Packing | None, window: Window | None) -> Tensor:
        tokens_RxC = tokens_BxT if packing is None else packing.pack(tokens_BxT)
        return self.forward_embedded(self.embed_tokens(tokens_RxC), packing, window)

    def forward_embedded(self, x_RxCxD: Tensor, packing: Packing | None = None, window: Window | None = None) -> Tensor:
        if packing is None:
            return self.run(x_RxCxD, self.rotary(x_RxCxD.shape[1]), window=window)
        return packing.unpack(self.run(x_RxCxD, packing.rotary(self.rotary_2xTxK), packing.mask, window))

    def apply_to_rows(
        self, layer: nn.Module, x_RxCxD: Tensor, packing: Packing | None, window: Window | None
    ) -> Tensor:
        if packing is None:
            rotary, mask = self.rotary(x_RxCxD.shape[1]), None
        else:
            rotary, mask = packing.rotary(self.rotary_2xTxK), packing.mask
        out: Tensor = layer(x_RxCxD, rotary, mask, window)
        return out

    def run_at(self, x_BxSxD: Tensor, positions_BxS: Tensor, mask: Tensor, window: Window | None = None) -> Tensor:
        return self.run(x_BxSxD, self.rotary_2xTxK[:, positions_BxS].unsqueeze(2), mask, window)

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
