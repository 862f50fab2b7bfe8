"""A GPT-2: learned positions, LayerNorm with biases, GELU (Radford et al. 2019).

The final norm is a LayerNorm too. Embedding and unembedding are not tied, and weights are drawn as those of a Llama.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.model.cache import TrunkCache
from lab.model.caches.by_position import PositionCache
from lab.model.config import AttentionConfig, DataShape
from lab.model.layers import NORM_EPSILON
from lab.model.packing import Packing
from lab.model.trunk import Trunk
from lab.model.weights import count_parameters
from lab.model.windows import Window


class GptConfig(AttentionConfig):
    """Settings of `gpt`."""

    kind: Literal["gpt"] = "gpt"


class GptLayer(nn.Module):
    """A pre-norm transformer layer with biases, with about 12 D^2 parameters."""

    def __init__(self, width: int, attention_heads: int) -> None:
        super().__init__()
        self.attention_heads = attention_heads
        self.attention_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.o_proj = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.up_proj = nn.Linear(width, 4 * width)
        self.down_proj = nn.Linear(4 * width, width)

    def forward(self, x_BxTxD: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the output [B, T, D], causally unless a mask [T, T] or [B, 1, T, T] is given."""
        q, k, v = self.queries_keys_values(x_BxTxD)
        y_BxHxTxK = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.after_attention(x_BxTxD, y_BxHxTxK)

    def queries_keys_values(self, x_BxTxD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns queries, keys and values [B, H, T, K] of the layer's attention heads."""
        B, T, _ = x_BxTxD.shape
        qkv = self.qkv_proj(self.attention_norm(x_BxTxD)).view(B, T, 3, self.attention_heads, -1)
        q_BxHxTxK, k_BxHxTxK, v_BxHxTxK = qkv.permute(2, 0, 3, 1, 4).unbind()
        return q_BxHxTxK, k_BxHxTxK, v_BxHxTxK

    @property
    def kept_width(self) -> int:
        """Numbers of the keys and values of a position."""
        return 2 * self.o_proj.in_features

    def resume(self, x_BxTxD: Tensor, kept_BxCxW: Tensor, places_BxT: Tensor) -> Tensor:
        """Computes the output [B, T, D] from keys and values that are kept (see `KeepsByPosition`)."""
        q_BxHxTxK, *new = self.queries_keys_values(x_BxTxD)
        rows_Bx1 = torch.arange(len(x_BxTxD), device=x_BxTxD.device)[:, None]
        kept_BxCxW[rows_Bx1, places_BxT] = torch.cat([x.transpose(1, 2).flatten(2) for x in new], dim=2)
        end = int(places_BxT.max()) + 1
        pair = kept_BxCxW[:, :end].view(len(x_BxTxD), end, 2, self.attention_heads, -1)
        k_BxHxPxK, v_BxHxPxK = pair.permute(2, 0, 3, 1, 4).unbind()
        seen_Bx1xTxP = torch.arange(end, device=x_BxTxD.device) <= places_BxT[:, None, :, None]
        y_BxHxTxK = F.scaled_dot_product_attention(q_BxHxTxK, k_BxHxPxK, v_BxHxPxK, attn_mask=seen_Bx1xTxP)
        return self.after_attention(x_BxTxD, y_BxHxTxK)

    def after_attention(self, x_BxTxD: Tensor, y_BxHxTxK: Tensor) -> Tensor:
        """Computes the output [B, T, D] from the input of the layer and from what its heads have read."""
        x_BxTxD = x_BxTxD + self.o_proj(y_BxHxTxK.transpose(1, 2).flatten(2))
        hidden = F.gelu(self.up_proj(self.mlp_norm(x_BxTxD)), approximate="tanh")
        out: Tensor = x_BxTxD + self.down_proj(hidden)
        return out


class Gpt(Trunk):
    """Transformer layers on embeddings of tokens and of positions."""

    config: GptConfig
    takes_masks = True

    def __init__(self, config: GptConfig, layers: int, data: DataShape) -> None:
        super().__init__(config, layers, data)
        self.embed_tokens = nn.Embedding(data.vocabulary, config.shape.width)
        self.embed_positions = nn.Embedding(data.length, config.shape.width)
        self.layers = nn.ModuleList(self.new_layer() for _ in range(layers))

    def build_layer(self) -> GptLayer:
        return GptLayer(self.config.shape.width, self.config.shape.attention_heads)

    def new_norm(self) -> nn.LayerNorm:
        return nn.LayerNorm(self.config.shape.width, eps=NORM_EPSILON)

    def embed(self, tokens_BxT: Tensor) -> Tensor:
        return self.embed_at(tokens_BxT, torch.arange(tokens_BxT.shape[1], device=tokens_BxT.device)[None])

    def embed_at(self, tokens_BxT: Tensor, places_BxT: Tensor) -> Tensor:
        x_BxTxD: Tensor = self.embed_tokens(tokens_BxT) + self.embed_positions(places_BxT)
        return x_BxTxD

    def apply_layer(self, layer: nn.Module, x_BxTxD: Tensor) -> Tensor:
        out: Tensor = layer(x_BxTxD)
        return out

    def forward_embedded(self, x_RxCxD: Tensor, packing: Packing | None = None, window: Window | None = None) -> Tensor:
        positions_T = torch.arange(x_RxCxD.shape[1], device=x_RxCxD.device)
        return super().forward_embedded(x_RxCxD + self.embed_positions(positions_T), packing, window)

    def run_at(self, x_BxSxD: Tensor, positions_BxS: Tensor, mask: Tensor, window: Window | None = None) -> Tensor:
        assert window is None, "this trunk leaves no position out"
        x_BxSxD = x_BxSxD + self.embed_positions(positions_BxS)
        for layer in self.layers:
            x_BxSxD = layer(x_BxSxD, mask)
        return x_BxSxD

    def new_cache(self, samples: int, capacity: int) -> TrunkCache | None:
        return PositionCache(self, samples, capacity)

    def parameters_by_part(self) -> dict[str, int]:
        embedding = count_parameters(self.embed_tokens) + count_parameters(self.embed_positions)
        return {"embedding": embedding, "trunk": count_parameters(self.layers)}
