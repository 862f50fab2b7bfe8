"""The layers of a Llama-form decoder: RMSNorm, rotary attention, SwiGLU, and the block made of them.

Names carry shapes: B samples, T positions, D width, H attention heads, K width of an attention head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORM_EPSILON = 1e-5


def rotary_table(length: int, head_width: int, base: float) -> Tensor:
    """Cosines and sines [2, length, head_width] of rotary positions (Su et al. 2021), in Llama's half-split form."""
    frequencies = base ** (-torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies).repeat(1, 2)
    return torch.stack((angles.cos(), angles.sin()))


def rotate(x_BxHxTxK: Tensor, table_2xTxK: Tensor) -> Tensor:
    """Turn each pair (k, k + K/2) by its position's angle; a table [2, B, 1, T, K] gives each sample its own."""
    low, high = x_BxHxTxK.chunk(2, dim=-1)
    return x_BxHxTxK * table_2xTxK[0] + torch.cat((-high, low), dim=-1) * table_2xTxK[1]


class KeyValues:
    """Keys and values of one attention layer, allocated once: what was read is not read again.

    Args:
        shape: B, H, C, K; C is the most positions that will be held.
    """

    def __init__(self, shape: tuple[int, int, int, int], like: Tensor) -> None:
        self.keys_BxHxCxK = like.new_zeros(shape)
        self.values_BxHxCxK = like.new_zeros(shape)
        self.rows_Bx1 = torch.arange(shape[0], device=like.device)[:, None]

    def extend(self, keys_BxHxTxK: Tensor, values_BxHxTxK: Tensor, where: "Where") -> tuple[Tensor, Tensor]:
        """Put T new positions in their places; all keys and values up to the furthest of them [B, H, end, K]."""
        for kept, new in ((self.keys_BxHxCxK, keys_BxHxTxK), (self.values_BxHxCxK, values_BxHxTxK)):
            if where.positions_BxT is None:
                kept[:, :, where.end - new.shape[2] : where.end] = new
            else:
                kept.transpose(1, 2)[self.rows_Bx1, where.positions_BxT] = new.transpose(1, 2)
        return self.keys_BxHxCxK[:, :, : where.end], self.values_BxHxCxK[:, :, : where.end]


@dataclass(frozen=True)
class Where:
    """Where T tokens stand that are read behind others, and what they see."""

    end: int
    """Positions up to the furthest of them."""
    positions_BxT: Tensor | None
    """Of each token, where samples differ in what they have read; None: the last T before `end` in all of them."""
    rotary: Tensor
    mask: Tensor | None
    """[T, end] or [B, 1, T, end], True is seen; None: every token sees all that is held."""


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions, no biases: causal, or as a mask [T, T] says (True is seen)."""

    def __init__(self, width: int, attention_heads: int) -> None:
        super().__init__()
        self.attention_heads = attention_heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x_BxTxD: Tensor, rotary_2xTxK: Tensor, mask_TxT: Tensor | None = None) -> Tensor:
        q_BxHxTxK, k_BxHxTxK, v_BxHxTxK = self.projected(x_BxTxD, rotary_2xTxK)
        y_BxHxTxK = F.scaled_dot_product_attention(
            q_BxHxTxK, k_BxHxTxK, v_BxHxTxK, attn_mask=mask_TxT, is_causal=mask_TxT is None
        )
        return self.out(y_BxHxTxK)

    def read_on(self, x_BxTxD: Tensor, held: KeyValues, where: Where) -> Tensor:
        """The same for T tokens behind those whose keys and values are held."""
        q_BxHxTxK, k_BxHxTxK, v_BxHxTxK = self.projected(x_BxTxD, where.rotary)
        keys, values = held.extend(k_BxHxTxK, v_BxHxTxK, where)
        return self.out(F.scaled_dot_product_attention(q_BxHxTxK, keys, values, attn_mask=where.mask))

    def projected(self, x_BxTxD: Tensor, rotary_2xTxK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys, turned, and values, each [B, H, T, K]."""
        B, T, _ = x_BxTxD.shape
        weight_3DxD = torch.cat((self.q_proj.weight, self.k_proj.weight, self.v_proj.weight))
        qkv = F.linear(x_BxTxD, weight_3DxD).view(B, T, 3, self.attention_heads, -1).permute(2, 0, 3, 1, 4)
        rotary_2xTxK = rotary_2xTxK.to(qkv.dtype)
        return rotate(qkv[0], rotary_2xTxK), rotate(qkv[1], rotary_2xTxK), qkv[2]

    def out(self, y_BxHxTxK: Tensor) -> Tensor:
        """Attention heads side by side, projected [B, T, D]."""
        y_BxTxD: Tensor = self.o_proj(y_BxHxTxK.transpose(1, 2).flatten(2))
        return y_BxTxD


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020) of hidden width about 8D/3, no biases."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x_BxTxD: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x_BxTxD)) * self.up_proj(x_BxTxD))
        return out


class Block(nn.Module):
    """Pre-norm transformer layer: about 12 D^2 parameters."""

    def __init__(self, width: int, attention_heads: int, hidden: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(width, eps=NORM_EPSILON)
        self.self_attn = Attention(width, attention_heads)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=NORM_EPSILON)
        self.mlp = FeedForward(width, hidden)

    def forward(self, x_BxTxD: Tensor, rotary_2xTxK: Tensor, mask_TxT: Tensor | None = None) -> Tensor:
        x_BxTxD = x_BxTxD + self.self_attn(self.input_layernorm(x_BxTxD), rotary_2xTxK, mask_TxT)
        return self.fed(x_BxTxD)

    def read_on(self, x_BxTxD: Tensor, held: KeyValues, where: Where) -> Tensor:
        """The same for T tokens behind those whose keys and values are held."""
        return self.fed(x_BxTxD + self.self_attn.read_on(self.input_layernorm(x_BxTxD), held, where))

    def fed(self, x_BxTxD: Tensor) -> Tensor:
        """The feed-forward half."""
        out: Tensor = x_BxTxD + self.mlp(self.post_attention_layernorm(x_BxTxD))
        return out
