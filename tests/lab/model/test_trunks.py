"""The shipped trunks are the networks that they are named after, and settings without an effect are refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from generators.foundation.errors import UserError
from lab.model.config import SIZES, DataShape
from lab.model.network import initialise
from lab.model.table import MODELS, build_trunk, parse_model
from lab.model.trunk import Trunk
from lab.model.weights import count_parameters

DATA = DataShape(vocabulary=7, length=6)


def drawn(kind: str, **settings: object) -> Trunk:
    """Returns a trunk of 2 layers whose norms and biases have an effect."""
    trunk = build_trunk(parse_model({"kind": kind, "width": 8, "layers": 2, **settings}, "the test"), 2, DATA)
    generator = torch.Generator().manual_seed(0)
    initialise(trunk, 2, generator)
    with torch.no_grad():
        for value in trunk.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return trunk


def test_a_gru_layer_is_that_of_torch_between_a_norm_and_a_residual_connection() -> None:
    trunk, tokens = drawn("gru"), torch.tensor([[0, 3, 5, 1], [6, 6, 2, 4]])
    x = trunk.embed_tokens(tokens)
    for layer in trunk.layers:
        unit = nn.GRU(8, layer.state_width, batch_first=True)
        names = {"weight_ih_l0": "input_proj.weight", "weight_hh_l0": "state_proj.weight"}
        names |= {"bias_ih_l0": "input_proj.bias", "bias_hh_l0": "state_proj.bias"}
        unit.load_state_dict({name: layer.get_parameter(other) for name, other in names.items()})
        x = x + unit(F.rms_norm(x, (8,), layer.norm.weight, 1e-5))[0] @ layer.o_proj.weight.T
    torch.testing.assert_close(trunk(tokens), x)


def test_a_gpt_layer_is_that_of_torch_with_learned_positions() -> None:
    trunk, tokens = drawn("gpt", attention_heads=2), torch.tensor([[0, 3, 5, 1], [6, 6, 2, 4]])
    x = trunk.embed_tokens(tokens) + trunk.get_parameter("embed_positions.weight")[:4]
    gelu = nn.GELU("tanh")
    for layer in trunk.layers:
        block = nn.TransformerEncoderLayer(8, 2, 32, dropout=0.0, activation=gelu, batch_first=True, norm_first=True)
        attention = {"in_proj_weight": "qkv_proj.weight", "in_proj_bias": "qkv_proj.bias"}
        attention |= {"out_proj.weight": "o_proj.weight", "out_proj.bias": "o_proj.bias"}
        block.self_attn.load_state_dict({name: layer.get_parameter(other) for name, other in attention.items()})
        pairs = (("norm1", "attention_norm"), ("norm2", "mlp_norm"), ("linear1", "up_proj"), ("linear2", "down_proj"))
        for name, other in pairs:
            block.get_submodule(name).load_state_dict(layer.get_submodule(other).state_dict())
        x = block(x, nn.Transformer.generate_square_subsequent_mask(4), is_causal=True)
    torch.testing.assert_close(trunk(tokens), x)


@pytest.mark.parametrize("kind", MODELS.rows)
def test_named_sizes_mean_the_same_for_every_kind(kind: str) -> None:
    for name in ("30k", "100k", "1M", "10M", "100M"):
        shape = SIZES[name]
        with torch.device("meta"):
            trunk = build_trunk(parse_model({"kind": kind, "size": name}, "the test"), shape.layers, DATA)
        assert count_parameters(trunk.layers) == pytest.approx(12 * shape.width**2 * shape.layers, rel=0.05)


def test_a_llama_is_the_default_and_leaves_its_kind_out_of_the_spec() -> None:
    plain, named = (parse_model({**kind, "size": "1M"}, "x") for kind in ({}, {"kind": "llama"}))
    assert plain == named
    assert "kind" not in named.model_dump(mode="json")
    assert parse_model({"kind": "gru", "size": "1M"}, "x").model_dump(mode="json")["kind"] == "gru"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kind": "gru", "width": 8, "layers": 2, "attention_heads": 2}, "model.attention_heads = 2: no such key"),
        ({"kind": "gpt", "size": "1M", "rotary_base": 10.0}, "model.rotary_base = 10.0: no such key"),
        ({"kind": "grue", "size": "1M"}, "model.kind = 'grue': no such model; the nearest is gru"),
        ({"kind": "gru", "width": 8}, "give a size .* or all of width and layers"),
        ({"kind": "gpt", "width": 8, "layers": 2}, "or all of width, layers and attention_heads"),
        ({"kind": "gpt", "width": 9, "layers": 2, "attention_heads": 2}, "width 9 should be a multiple of attention_heads"),
        ({"width": 6, "layers": 2, "attention_heads": 2}, "should be a multiple of twice attention_heads"),
    ],
)  # fmt: skip
def test_settings_of_another_kind_are_refused_in_one_sentence(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=f"^x: .*{sentence}"):
        parse_model(settings, "x")
