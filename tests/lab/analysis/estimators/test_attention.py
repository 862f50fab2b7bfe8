"""Recomputed attention patterns are those of the model's own layers."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lab.analysis.estimators.attention import attend, attention_blocks, attention_by_block
from lab.run.assembly import assemble
from tests.conftest import Spec


def test_the_pattern_times_the_values_is_the_output_of_the_models_own_attention(tiny: Spec) -> None:
    network = assemble(tiny(model__attention_heads=4)).network
    x_BxTxD = torch.randn(3, 20, 16, generator=torch.Generator().manual_seed(0))
    block, rotary = attention_blocks(network)[0], network.trunk.rotary(20)
    pattern_BxAxTxT, values_BxAxTxK = attend(block, x_BxTxD, rotary)
    assert pattern_BxAxTxT.shape == (3, 4, 20, 20)
    torch.testing.assert_close(pattern_BxAxTxT.sum(dim=3), torch.ones(3, 4, 20))
    heads_BxTxD = (pattern_BxAxTxT @ values_BxAxTxK).transpose(1, 2).reshape(3, 20, 16)
    expected = block.self_attn(block.input_layernorm(x_BxTxD), rotary)
    torch.testing.assert_close(block.self_attn.o_proj(heads_BxTxD), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "objective",
    [
        {"kind": "multi_token", "n": 3, "topology": "anticausal"},
        {"kind": "multi_token", "n": 2, "head": "linear"},
        {"kind": "registers"},
    ],
    ids=["anticausal", "linear", "registers"],
)
def test_every_layer_on_the_path_to_the_next_token_is_seen_in_its_order(objective: dict[str, Any], tiny: Spec) -> None:
    network = assemble(tiny(objective=objective)).network
    tokens = torch.arange(20).view(2, 10)
    inputs: dict[nn.Module, Tensor] = {}

    def record(block: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        inputs[block] = arguments[0]

    for block in attention_blocks(network):
        block.register_forward_pre_hook(record)
    network.hidden(network.trunk(tokens), 1, tokens)
    assert list(inputs) == attention_blocks(network)
    for block, (pattern, _) in zip(attention_blocks(network), attention_by_block(network, tokens), strict=True):
        torch.testing.assert_close(attend(block, inputs[block], network.trunk.rotary(10))[0], pattern)
