"""A transformer layer is that of a Llama."""

import torch
from torch import Tensor

from lab.model.layers import Block, rotary_table


def test_a_block_equals_a_llama_layer_written_by_hand() -> None:
    """The layer as transformers computes it: separate projections, half-split rotation and an explicit mask."""
    block = Block(16, 2, 44)
    x = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))
    positions = torch.arange(7.0)
    angles = torch.outer(positions, 100.0 ** (-torch.arange(0, 8, 2) / 8))
    cos, sin = torch.cat((angles, angles), 1).cos(), torch.cat((angles, angles), 1).sin()

    def norm(y: Tensor) -> Tensor:
        return y / (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    def heads(y: Tensor) -> Tensor:
        return y.view(2, 7, 2, 8).transpose(1, 2)

    def rotated(y: Tensor) -> Tensor:
        return y * cos + torch.cat((-y[..., 4:], y[..., :4]), -1) * sin

    attention, mlp = block.self_attn, block.mlp
    h = norm(x)
    q, k, v = (
        heads(h @ weight.T) for weight in (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)
    )
    scores = rotated(q) @ rotated(k).transpose(-1, -2) / 8**0.5
    scores = scores.masked_fill(torch.ones(7, 7).triu(1).bool(), -torch.inf)
    x2 = x + (scores.softmax(-1) @ v).transpose(1, 2).reshape(2, 7, 16) @ attention.o_proj.weight.T
    h = norm(x2)
    gate = h @ mlp.gate_proj.weight.T
    expected = x2 + (gate * gate.sigmoid() * (h @ mlp.up_proj.weight.T)) @ mlp.down_proj.weight.T

    torch.testing.assert_close(block(x, rotary_table(7, 8, 100.0)), expected, rtol=1e-5, atol=1e-5)


def test_rotary_positions_given_per_sample_act_as_shared_ones() -> None:
    block, x = Block(8, 2, 24), torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    table = rotary_table(5, 4, 100.0)
    per_sample = table[:, torch.arange(5).expand(3, -1)].unsqueeze(2)
    torch.testing.assert_close(block(x, table), block(x, per_sample))
