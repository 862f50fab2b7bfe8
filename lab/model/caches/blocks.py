"""Transformer layers with a key-value cache: they compute what `Block` does, in a third of the operations.

A decoding step is small, so the number of operations decides its time, not their arithmetic. The weights are therefore
laid out once, in the form in which the products read them: queries, keys and values in one matrix, gate and up in
another, and the gain of each norm multiplied into the matrix after it. The two components of a query that rotary
positions rotate together become neighbours, so that a rotation is one product of complex numbers. Layers that read the
same input, such as parallel heads, are batched into one product.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.model.layers import NORM_EPSILON, Block


@dataclass(frozen=True)
class BlockPositions:
    """Positions of a block of B T new tokens in their sequences, and the tokens that each of them attends to.

    Attributes:
        samples, tokens: B and T.
        end: the number of positions up to the furthest new token.
        positions_BxT: the position of each token; None if they are the last T before `end` in every sample.
        rotations: complex numbers that rotate queries and keys, [T, 1, 1, K/2] or [B, T, 1, 1, K/2].
        mask: added to attention scores, [T, end] or [B, 1, T, end]; None if every token attends to the whole cache.
    """

    samples: int
    tokens: int
    end: int
    positions_BxT: Tensor | None
    rotations: Tensor
    mask: Tensor | None


class CachedLayers:
    """Layers that read the same input, and the keys and values of the tokens they have read.

    Args:
        blocks: H layers of the same shape.
        samples: B.
        capacity: C, the largest number of positions that the cache will hold.
    """

    def __init__(self, blocks: Sequence[Block], samples: int, capacity: int) -> None:
        attention, mlp = [block.self_attn for block in blocks], [block.mlp for block in blocks]
        first = attention[0]
        self.attention_heads = first.attention_heads
        width = first.o_proj.weight.shape[0]
        self.stacked = len(blocks)
        head_width = width // self.attention_heads
        rows_D = rotary_pair_order(width, head_width).to(first.o_proj.weight.device)

        def stack(weights: Sequence[Sequence[Tensor]], gains: Sequence[Tensor] | None) -> Tensor:
            """Returns matrices [H, inputs, outputs], or [inputs, outputs] of a single layer, which include the factor
            sqrt(D) that `normalise` leaves out.
            """
            matrices = [torch.cat(list(parts)).T for parts in weights]
            if gains is not None:
                pairs = zip(matrices, gains, strict=True)
                matrices = [matrix * gain[:, None] * width**0.5 for matrix, gain in pairs]
            return torch.stack(matrices) if len(matrices) > 1 else matrices[0].contiguous()

        projections = [[a.q_proj.weight[rows_D], a.k_proj.weight[rows_D], a.v_proj.weight] for a in attention]
        self.qkv = stack(projections, [block.input_layernorm.weight for block in blocks])
        self.out = stack([[a.o_proj.weight] for a in attention], None)
        inner_gains = [block.post_attention_layernorm.weight for block in blocks]
        self.gate_up = stack([[m.gate_proj.weight, m.up_proj.weight] for m in mlp], inner_gains)
        self.down = stack([[m.down_proj.weight] for m in mlp], None)
        self.norm_shift = torch.tensor((width * NORM_EPSILON) ** 0.5, dtype=self.out.dtype, device=self.out.device)
        self.cache_HBxCx2xAxK = self.out.new_zeros(len(blocks) * samples, capacity, 2, self.attention_heads, head_width)

    def __call__(self, x_NxD: Tensor, positions: BlockPositions) -> Tensor:
        """Applies the layers to N = B T new tokens and caches their keys and values.

        Returns:
            [H, N, D], or [N, D] of a single layer.
        """
        B, T, H, A = positions.samples, positions.tokens, self.stacked, self.attention_heads
        qkv = torch.matmul(self.normalise(x_NxD), self.qkv)
        pairs = torch.view_as_complex(qkv.view(H, B, T, 3, A, -1, 2)[:, :, :, :2])
        pairs *= positions.rotations
        q, new = qkv.view(H * B, T, 3, A, -1)[:, :, 0], qkv.view(H * B, T, 3, A, -1)[:, :, 1:]
        if positions.positions_BxT is None:
            self.cache_HBxCx2xAxK[:, positions.end - T : positions.end] = new
        else:
            cache = self.cache_HBxCx2xAxK.view(H, B, *self.cache_HBxCx2xAxK.shape[1:])
            rows_Bx1 = torch.arange(B, device=qkv.device)[:, None]
            cache[:, rows_Bx1, positions.positions_BxT] = new.reshape(H, B, *new.shape[1:])
        keys, values = self.cache_HBxCx2xAxK[:, : positions.end].permute(2, 0, 3, 1, 4)
        mask = positions.mask
        if mask is not None and mask.dim() == 4 and H > 1:
            mask = mask.repeat(H, 1, 1, 1)
        y_HBxAxTxK = F.scaled_dot_product_attention(q.transpose(1, 2), keys, values, attn_mask=mask)
        y = y_HBxAxTxK.transpose(1, 2).reshape(*qkv.shape[:-1], -1)
        x = add_product(x_NxD, y, self.out)
        gate, up = torch.matmul(self.normalise(x), self.gate_up).chunk(2, dim=-1)
        return add_product(x, F.silu(gate) * up, self.down)

    def normalise(self, x: Tensor) -> Tensor:
        """Returns x / sqrt(|x|^2 + D eps): RMSNorm without its gain, divided by sqrt(D)."""
        return x / torch.hypot(torch.linalg.vector_norm(x, dim=-1, keepdim=True), self.norm_shift)

    def keep_samples(self, rows: Tensor) -> None:
        """Drops all samples from the cache except these [B']."""
        cache = self.cache_HBxCx2xAxK.view(self.stacked, -1, *self.cache_HBxCx2xAxK.shape[1:])
        self.cache_HBxCx2xAxK = cache[:, rows].flatten(0, 1)


def rotary_pair_order(width: int, head_width: int) -> Tensor:
    """Returns an order of the rows [D] of a projection in which the rotary pairs (k, k + K/2) are neighbours."""
    return torch.arange(width).view(-1, 2, head_width // 2).transpose(1, 2).reshape(-1)


def add_product(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Returns x + y W, computed in one operation."""
    return torch.addmm(x, y, weight) if weight.dim() == 2 else torch.baddbmm(x, y, weight)
