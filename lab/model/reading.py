"""A transformer layer for decoding: it keeps keys and values, and does what `Block` does in half as many operations.

A decoding step is small, and its time is that of its operations, not of their arithmetic. So the weights are laid out
once: queries, keys and values in one matrix, gate and up in another, and the gain of each norm folded into the matrix
that reads it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.model.layers import NORM_EPSILON, Block


@dataclass(frozen=True)
class Where:
    """Where T tokens stand that are read behind others, and what they see."""

    end: int
    """Positions up to the furthest of them."""
    positions_BxT: Tensor | None
    """Of each token, where samples differ in what they have read; None: the last T before `end` in all of them."""
    cosines: Tensor
    sines: Tensor
    """Of their positions, [T, 1, 1, K] or [B, T, 1, 1, K]; the sines of the first half of K are negated."""
    mask: Tensor | None
    """[T, end] or [B, 1, T, end], True is seen; None: every token sees all that is held."""


class ReadingBlock:
    """One layer of a network and the keys and values of what it has read.

    Args:
        samples: B; capacity: C, the most positions that will be held.
    """

    def __init__(self, block: Block, samples: int, capacity: int) -> None:
        attention, mlp = block.self_attn, block.mlp
        gain_D, inner_gain_D = block.input_layernorm.weight, block.post_attention_layernorm.weight
        self.qkv_3DxD = torch.cat((attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)) * gain_D
        self.gate_up_2ExD = torch.cat((mlp.gate_proj.weight, mlp.up_proj.weight)) * inner_gain_D
        self.out_DxD, self.down_DxE = attention.o_proj.weight, mlp.down_proj.weight
        self.attention_heads = attention.attention_heads
        width = self.out_DxD.shape[0]
        shape = (samples, capacity, 2, self.attention_heads, width // self.attention_heads)
        self.held_BxCx2xHxK = self.out_DxD.new_zeros(shape)
        self.rows_Bx1 = torch.arange(samples, device=self.out_DxD.device)[:, None]

    def __call__(self, x_BxTxD: Tensor, where: Where) -> Tensor:
        """What the layer makes of T further tokens [B, T, D]."""
        B, T, D = x_BxTxD.shape
        qkv = F.linear(normed(x_BxTxD), self.qkv_3DxD).view(B, T, 3, self.attention_heads, -1)
        turned = qkv[:, :, :2]
        low, high = turned.chunk(2, dim=-1)
        turned = torch.addcmul(turned * where.cosines, torch.cat((high, low), dim=-1), where.sines)
        new_BxTx2xHxK = torch.stack((turned[:, :, 1], qkv[:, :, 2]), dim=2)
        if where.positions_BxT is None:
            self.held_BxCx2xHxK[:, where.end - T : where.end] = new_BxTx2xHxK
        else:
            self.held_BxCx2xHxK[self.rows_Bx1, where.positions_BxT] = new_BxTx2xHxK
        keys, values = self.held_BxCx2xHxK[:, : where.end].permute(2, 0, 3, 1, 4)
        y_BxHxTxK = F.scaled_dot_product_attention(turned[:, :, 0].transpose(1, 2), keys, values, attn_mask=where.mask)
        x_BxTxD = x_BxTxD + F.linear(y_BxHxTxK.transpose(1, 2).reshape(B, T, D), self.out_DxD)
        gate, up = F.linear(normed(x_BxTxD), self.gate_up_2ExD).chunk(2, dim=-1)
        return x_BxTxD + F.linear(F.silu(gate) * up, self.down_DxE)


def normed(x_BxTxD: Tensor) -> Tensor:
    """RMSNorm without its gain."""
    return x_BxTxD * (x_BxTxD.square().mean(dim=-1, keepdim=True) + NORM_EPSILON).rsqrt()
