"""Transformer layers for decoding: they keep keys and values, and do what `Block` does in a third of the operations.

A decoding step is small, and its time is that of its operations, not of their arithmetic. So the weights are laid out
once, as the products read them: queries, keys and values in one matrix, gate and up in another, the gain of each norm
folded into the matrix behind it. The two halves of a query that rotary positions turn together become neighbours, so
that turning them is one product of complex numbers. Layers that stand side by side on one input, as parallel heads do,
are read as one: their products are batched.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.model.layers import NORM_EPSILON, Block


@dataclass(frozen=True)
class Where:
    """Where B T tokens stand that are read behind others, and what they see."""

    samples: int
    tokens: int
    """B and T."""
    end: int
    """Positions up to the furthest of them."""
    positions_BxT: Tensor | None
    """Of each token, where samples differ in what they have read; None: the last T before `end` in all of them."""
    turns: Tensor
    """Complex numbers by which positions turn queries and keys, [T, 1, 1, K/2] or [B, T, 1, 1, K/2]."""
    mask: Tensor | None
    """Added to attention scores, [T, end] or [B, 1, T, end]; None: every token sees all that is held."""


class ReadingLayers:
    """Layers side by side, and the keys and values of what they have read.

    Args:
        blocks: H layers of one shape that read the same input.
        samples: B; capacity: C, the most positions that will be held.
    """

    def __init__(self, blocks: Sequence[Block], samples: int, capacity: int) -> None:
        attention, mlp = [block.self_attn for block in blocks], [block.mlp for block in blocks]
        first = attention[0]
        self.attention_heads = first.attention_heads
        width = first.o_proj.weight.shape[0]
        self.stacked = len(blocks)
        head_width = width // self.attention_heads
        rows_D = neighbours(width, head_width).to(first.o_proj.weight.device)

        def laid_out(weights: Sequence[Sequence[Tensor]], gains: Sequence[Tensor] | None) -> Tensor:
            """[H, inputs, outputs], or [inputs, outputs] of a single layer; sqrt(D) is left over from `normed`."""
            each = [torch.cat(list(parts)).T for parts in weights]
            if gains is not None:
                each = [matrix * gain[:, None] * width**0.5 for matrix, gain in zip(each, gains, strict=True)]
            return torch.stack(each) if len(each) > 1 else each[0].contiguous()

        projections = [[a.q_proj.weight[rows_D], a.k_proj.weight[rows_D], a.v_proj.weight] for a in attention]
        self.qkv = laid_out(projections, [block.input_layernorm.weight for block in blocks])
        self.out = laid_out([[a.o_proj.weight] for a in attention], None)
        inner_gains = [block.post_attention_layernorm.weight for block in blocks]
        self.gate_up = laid_out([[m.gate_proj.weight, m.up_proj.weight] for m in mlp], inner_gains)
        self.down = laid_out([[m.down_proj.weight] for m in mlp], None)
        self.shift = torch.tensor((width * NORM_EPSILON) ** 0.5, dtype=self.out.dtype, device=self.out.device)
        self.held_HBxCx2xAxK = self.out.new_zeros(len(blocks) * samples, capacity, 2, self.attention_heads, head_width)

    def __call__(self, x_NxD: Tensor, where: Where) -> Tensor:
        """What the layers make of N = B T further tokens [H, N, D], or [N, D] of a single layer."""
        B, T, H, A = where.samples, where.tokens, self.stacked, self.attention_heads
        qkv = torch.matmul(self.normed(x_NxD), self.qkv)
        pairs = torch.view_as_complex(qkv.view(H, B, T, 3, A, -1, 2)[:, :, :, :2])
        pairs *= where.turns
        q, new = qkv.view(H * B, T, 3, A, -1)[:, :, 0], qkv.view(H * B, T, 3, A, -1)[:, :, 1:]
        if where.positions_BxT is None:
            self.held_HBxCx2xAxK[:, where.end - T : where.end] = new
        else:
            held = self.held_HBxCx2xAxK.view(H, B, *self.held_HBxCx2xAxK.shape[1:])
            rows_Bx1 = torch.arange(B, device=qkv.device)[:, None]
            held[:, rows_Bx1, where.positions_BxT] = new.reshape(H, B, *new.shape[1:])
        keys, values = self.held_HBxCx2xAxK[:, : where.end].permute(2, 0, 3, 1, 4)
        mask = where.mask
        if mask is not None and mask.dim() == 4 and H > 1:
            mask = mask.repeat(H, 1, 1, 1)
        y_HBxAxTxK = F.scaled_dot_product_attention(q.transpose(1, 2), keys, values, attn_mask=mask)
        y = y_HBxAxTxK.transpose(1, 2).reshape(*qkv.shape[:-1], -1)
        x = added(x_NxD, y, self.out)
        gate, up = torch.matmul(self.normed(x), self.gate_up).chunk(2, dim=-1)
        return added(x, F.silu(gate) * up, self.down)

    def normed(self, x: Tensor) -> Tensor:
        """RMSNorm over sqrt(D), without its gain: the root of a sum of squares and a constant is a hypotenuse."""
        return x / torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), self.shift)

    def keep(self, rows: Tensor) -> None:
        """Hold these samples [B'] alone from here on."""
        held = self.held_HBxCx2xAxK.view(self.stacked, -1, *self.held_HBxCx2xAxK.shape[1:])
        self.held_HBxCx2xAxK = held[:, rows].flatten(0, 1)


def neighbours(width: int, head_width: int) -> Tensor:
    """The rows [D] of a projection in an order in which rotary pairs (k, k + K/2) of a head stand side by side."""
    return torch.arange(width).view(-1, 2, head_width // 2).transpose(1, 2).reshape(-1)


def added(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """x + y W in one operation."""
    return torch.addmm(x, y, weight) if weight.dim() == 2 else torch.baddbmm(x, y, weight)
