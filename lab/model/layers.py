"""The layers of a decoder in Llama form: rotary attention, SwiGLU and the pre-norm block of both.

Suffixes of names are shapes: B samples, T positions, D width, H attention heads, K width of an attention head.
"""

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.model.windows import Window

NORM_EPSILON = 1e-5


def rotary_table(length: int, head_width: int, base: float) -> Tensor:
    """Returns cosines and sines of rotary positions [2, length, head_width] (Su et al. 2021), in Llama's split form.

    The sines of the first half are negated, so that `rotate` need not negate anything.
    """
    frequencies = base ** (-torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    return torch.stack((angles.cos().repeat(1, 2), torch.cat((-angles.sin(), angles.sin()), dim=1)))


def rotate(x_BxHxTxK: Tensor, table_2xTxK: Tensor) -> Tensor:
    """Rotates each pair of elements (k, k + K/2) by the angle of its position.

    Args:
        table_2xTxK: from `rotary_table`; with shape [2, B, 1, T, K] each sample has its own positions.
    """
    swapped_BxHxTxK = x_BxHxTxK.roll(x_BxHxTxK.shape[-1] // 2, -1)
    return torch.addcmul(x_BxHxTxK * table_2xTxK[0], swapped_BxHxTxK, table_2xTxK[1])


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions and without biases.

    It is causal unless a mask is given, in which True marks the keys that a query sees.
    """

    def __init__(self, width: int, attention_heads: int) -> None:
        super().__init__()
        self.attention_heads = attention_heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(
        self, x_BxTxD: Tensor, rotary_2xTxK: Tensor, mask_TxT: Tensor | None = None, window: Window | None = None
    ) -> Tensor:
        """Computes the output [B, T, D], or [B, Q, D] at the positions of a window."""
        if window is not None or x_BxTxD.device.type == "cuda":
            return self.projected_apart(x_BxTxD, rotary_2xTxK, mask_TxT, window)
        B, T, _ = x_BxTxD.shape
        weight_3DxD = torch.cat((self.q_proj.weight, self.k_proj.weight, self.v_proj.weight))
        qkv_BxTx3xHxK = F.linear(x_BxTxD, weight_3DxD).view(B, T, 3, self.attention_heads, -1)
        if in_bf16_on_cpu(x_BxTxD):
            qkv_BxTx3xHxK = qkv_BxTx3xHxK.float()
        q_BxHxTxK, k_BxHxTxK, v_BxHxTxK = qkv_BxTx3xHxK.permute(2, 0, 3, 1, 4).unbind()
        rotary_2xTxK = rotary_2xTxK.to(k_BxHxTxK.dtype)
        q_BxHxTxK, k_BxHxTxK = rotate(q_BxHxTxK, rotary_2xTxK), rotate(k_BxHxTxK, rotary_2xTxK)
        return self.output(q_BxHxTxK, k_BxHxTxK, v_BxHxTxK, mask_TxT)

    def projected_apart(self, x_BxTxD: Tensor, rotary: Tensor, mask: Tensor | None, window: Window | None) -> Tensor:
        """Computes queries and output at the positions of a window, but keys and values at all positions.

        Compiled code seems to need this on a GPU: where the values were part of a larger product in bfloat16, torch
        2.11 gave them wrong gradients, which were not finite with one kernel of attention and far too large with
        another.
        """
        x_BxQxD = x_BxTxD if window is None else window.select(x_BxTxD)
        projected = [
            projection(x).view(*x.shape[:2], self.attention_heads, -1).transpose(1, 2)
            for projection, x in ((self.q_proj, x_BxQxD), (self.k_proj, x_BxTxD), (self.v_proj, x_BxTxD))
        ]
        q_BxHxQxK, k_BxHxTxK, v_BxHxTxK = (x.float() for x in projected) if in_bf16_on_cpu(x_BxTxD) else projected
        rotary = rotary.to(k_BxHxTxK.dtype)
        own_rotary, own_mask = (rotary, mask) if window is None else (window.rotary(rotary), window.mask(mask))
        q_BxHxQxK, k_BxHxTxK = rotate(q_BxHxQxK, own_rotary), rotate(k_BxHxTxK, rotary)
        return self.output(q_BxHxQxK, k_BxHxTxK, v_BxHxTxK, own_mask)

    def output(self, q_BxHxQxK: Tensor, k_BxHxTxK: Tensor, v_BxHxTxK: Tensor, mask: Tensor | None) -> Tensor:
        """Attends from Q queries, causally unless a mask is given, and projects the result [B, Q, D]."""
        with torch.autocast("cpu", enabled=False) if in_bf16_on_cpu(q_BxHxQxK) else nullcontext():
            y_BxHxQxK = F.scaled_dot_product_attention(
                q_BxHxQxK, k_BxHxTxK, v_BxHxTxK, attn_mask=mask, is_causal=mask is None
            )
        out: Tensor = self.o_proj(y_BxHxQxK.transpose(1, 2).flatten(2))
        return out


def in_bf16_on_cpu(x: Tensor) -> bool:
    """Tells whether products are computed in bfloat16 on a CPU, where attention has no fast bfloat16 kernel."""
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu")


class FeedForward(nn.Module):
    """A SwiGLU layer (Shazeer 2020) without biases."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x_BxTxD: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x_BxTxD)) * self.up_proj(x_BxTxD))
        return out


class Block(nn.Module):
    """A pre-norm transformer layer, with about 12 D^2 parameters."""

    def __init__(self, width: int, attention_heads: int, hidden: int) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(width, eps=NORM_EPSILON)
        self.self_attn = Attention(width, attention_heads)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=NORM_EPSILON)
        self.mlp = FeedForward(width, hidden)

    def forward(
        self, x_BxTxD: Tensor, rotary_2xTxK: Tensor, mask_TxT: Tensor | None = None, window: Window | None = None
    ) -> Tensor:
        """Computes the output [B, T, D], or [B, Q, D] at the positions of a window."""
        attended = self.self_attn(self.input_layernorm(x_BxTxD), rotary_2xTxK, mask_TxT, window)
        x_BxTxD = (x_BxTxD if window is None else window.select(x_BxTxD)) + attended
        out: Tensor = x_BxTxD + self.mlp(self.post_attention_layernorm(x_BxTxD))
        return out
