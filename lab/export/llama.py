"""The Llama of an exported folder, computed from its files alone, for comparison with the run it was exported from."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from lab.run.checkpoints import select_prefix


@torch.no_grad()
def exported_logits(folder: Path, tokens_BxT: Tensor) -> Tensor:
    """Computes the logits [B, T, V] of the model that `config.json` and `model.safetensors` describe.

    It follows LlamaForCausalLM of transformers and shares no code with the lab's own layers.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = load_file(folder / "model.safetensors")
    rotary_2xTxK = rotary_angles(config, tokens_BxT.shape[1])
    x_BxTxD = weights["model.embed_tokens.weight"][tokens_BxT]
    for number in range(config["num_hidden_layers"]):
        x_BxTxD = apply_layer(config, select_prefix(weights, f"model.layers.{number}."), x_BxTxD, rotary_2xTxK)
    unembedding = weights["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"]
    return F.linear(normalise(config, x_BxTxD, weights["model.norm.weight"]), unembedding)


def rotary_angles(config: dict[str, float], positions: int) -> Tensor:
    """Returns the cosine and the sine of every position's angles [2, T, K], repeated for both halves of a head."""
    frequencies = config["rope_theta"] ** (-torch.arange(0, config["head_dim"], 2).float() / config["head_dim"])
    angles_TxK = torch.outer(torch.arange(positions).float(), frequencies).repeat(1, 2)
    return torch.stack((angles_TxK.cos(), angles_TxK.sin()))


def normalise(config: dict[str, float], x_BxTxD: Tensor, weight_D: Tensor) -> Tensor:
    """Returns x divided by its root mean square, times the weight."""
    return weight_D * x_BxTxD * (x_BxTxD.square().mean(dim=-1, keepdim=True) + config["rms_norm_eps"]).rsqrt()


def apply_layer(config: dict[str, float], weights: dict[str, Tensor], x_BxTxD: Tensor, rotary_2xTxK: Tensor) -> Tensor:
    """Applies one decoder layer: attention with rotary positions, then a gated MLP, each after a norm."""

    def rotate_half(y_BxHxTxK: Tensor) -> Tensor:
        low, high = y_BxHxTxK.chunk(2, dim=-1)
        return y_BxHxTxK * rotary_2xTxK[0] + torch.cat((-high, low), dim=-1) * rotary_2xTxK[1]

    split = (*x_BxTxD.shape[:2], int(config["num_attention_heads"]), -1)
    normed_BxTxD = normalise(config, x_BxTxD, weights["input_layernorm.weight"])
    q, k, v = (
        F.linear(normed_BxTxD, weights[f"self_attn.{name}_proj.weight"]).view(*split).transpose(1, 2) for name in "qkv"
    )
    y_BxHxTxK = F.scaled_dot_product_attention(rotate_half(q), rotate_half(k), v, is_causal=True)
    x_BxTxD = x_BxTxD + F.linear(y_BxHxTxK.transpose(1, 2).flatten(2), weights["self_attn.o_proj.weight"])
    normed_BxTxD = normalise(config, x_BxTxD, weights["post_attention_layernorm.weight"])
    gate, up = (F.linear(normed_BxTxD, weights[f"mlp.{name}_proj.weight"]) for name in ("gate", "up"))
    return x_BxTxD + F.linear(F.silu(gate) * up, weights["mlp.down_proj.weight"])
