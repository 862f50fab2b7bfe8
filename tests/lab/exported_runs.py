"""Stored runs to export, and the Llama of exported files written out by hand."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lab.run.assembly import assemble
from lab.run.spec import parse_spec
from lab.run.store import BEST, RunFolder
from lab.run.stored_run import StoredRun
from tests.conftest import tiny_tree

OBJECTIVE_SETTINGS: list[dict[str, Any]] = [
    {"kind": "multi_token", "n": 1},
    {"kind": "multi_token", "n": 3},
    {"kind": "multi_token", "n": 3, "topology": "causal", "match": "none"},
    {"kind": "multi_token", "n": 3, "topology": "anticausal"},
    {"kind": "multi_token", "n": 2, "unembedding": "replicated"},
    {"kind": "multi_token", "n": 2, "head": "none", "unembedding": "replicated"},
    {"kind": "sequential_modules", "n": 3},
    {"kind": "token_order"},
    {"kind": "registers"},
    {"kind": "next_latent"},
    {"kind": "future_summary"},
    {"kind": "joint"},
    {"kind": "teacherless"},
    {"kind": "masked_teacher"},
    {"kind": "belief_state"},
]


def stored_run(home: Path, objective: dict[str, Any], task: dict[str, Any] | None = None) -> StoredRun:
    """Stores a run as training would, with random weights and norms other than one."""
    tree = tiny_tree(model__rotary_base=50.0)
    tree |= {"objective": objective, "task": task or tree["task"]}
    spec = parse_spec(tree, "a spec")
    network = assemble(spec).network
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(number))
    folder = RunFolder(home, spec.identity)
    with folder.locked(spec):
        folder.write_tensors(BEST, network.state_dict(), {"step": 7})
    return StoredRun(home, spec.identity, "best")


def logits_by_hand(folder: Path, tokens_BxT: Tensor) -> Tensor:
    """Computes the logits of config.json and model.safetensors head by head and position by position, in float64."""
    config = json.loads((folder / "config.json").read_text())
    weights = {name: value.double() for name, value in load_file(folder / "model.safetensors").items()}
    heads, width = config["num_attention_heads"], config["head_dim"]

    def norm(x: Tensor, name: str) -> Tensor:
        return weights[name] * x / (x.square().mean(-1, keepdim=True) + config["rms_norm_eps"]).sqrt()

    def rotated(x_BxK: Tensor, t: int) -> Tensor:
        """Rotates pairs (k, k + K/2), as complex numbers, by exp(i t theta^(-2k/K))."""
        angle = t * config["rope_theta"] ** (-torch.arange(0, width, 2).double() / width)
        pairs = torch.complex(*x_BxK.chunk(2, -1)) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat((pairs.real, pairs.imag), -1)

    x = weights["model.embed_tokens.weight"][tokens_BxT]
    for layer in range(config["num_hidden_layers"]):
        layer_weights = {
            name.split(".", 3)[3]: value for name, value in weights.items() if name.startswith(f"model.layers.{layer}.")
        }
        h = norm(x, f"model.layers.{layer}.input_layernorm.weight")
        q, k, v = ((h @ layer_weights[f"self_attn.{letter}_proj.weight"].T).split(width, -1) for letter in "qkv")
        attended = torch.zeros_like(x)
        for head in range(heads):
            keys = torch.stack([rotated(k[head][:, t], t) for t in range(x.shape[1])], 1)
            for t in range(x.shape[1]):
                scores = (keys[:, : t + 1] @ rotated(q[head][:, t], t)[..., None])[..., 0] / width**0.5
                share = scores.exp() / scores.exp().sum(-1, keepdim=True)
                attended[:, t, head * width : (head + 1) * width] = (share[..., None] * v[head][:, : t + 1]).sum(1)
        x = x + attended @ layer_weights["self_attn.o_proj.weight"].T
        h = norm(x, f"model.layers.{layer}.post_attention_layernorm.weight")
        gate = h @ layer_weights["mlp.gate_proj.weight"].T
        x = (
            x
            + (gate / (1 + (-gate).exp()) * (h @ layer_weights["mlp.up_proj.weight"].T))
            @ layer_weights["mlp.down_proj.weight"].T
        )
    return norm(x, "model.norm.weight") @ weights["lm_head.weight"].T
