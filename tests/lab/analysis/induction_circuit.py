"""An induction circuit built by hand: two layers of attention without feed-forward parts, with readable weights.

The residual stream has room for the token, for the token before it, for the prediction, and for a constant. Head 1 of
layer 1 attends one position back by rotary phase alone: query and key are constants, and the query is rotated back by
the angle of one position in every fast pair, so that the score, a sum of cosines of (distance - 1), peaks at distance
1. It copies the token there. Head 1 of layer 2 looks, in pairs that rotate too slowly to matter, for positions whose
previous token is its own and whose own token is not, and copies the token there to the prediction. Head 2 of both
layers attends at random and writes where nothing reads.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generators.tasks.induction import Induction
from lab.model.layers import Block
from lab.objectives.multi_token import MultiToken
from lab.run.assembly import assemble
from lab.run.files import make_folder
from lab.run.spec import RunSpec
from lab.run.store import BEST, METRICS, RunFolder
from lab.run.stored_run import StoredRun
from tests.conftest import Spec

ROTARY_BASE = 1e12
SHARPNESS = 60.0
"""Attention scores of the circuit's heads at their target."""
PRIOR_LOGIT = 3.0
"""The logit of every name's second token if no earlier occurrence is found."""
COPIED_LOGIT = 6.0


def circuit_spec(tiny: Spec, **changes: Any) -> RunSpec:
    """Returns the spec of a next-token model with two layers, wide enough for the circuit on the tiny task."""
    vocabulary = len(assemble(tiny()).task.vocabulary)
    width = 4 * -(-(3 * vocabulary + 8) // 4)
    model = {"width": width, "layers": 2, "attention_heads": 2, "rotary_base": ROTARY_BASE}
    return tiny(model=model, objective={"kind": "multi_token", "n": 1}, **changes)


@torch.no_grad()
def circuit(spec: RunSpec) -> MultiToken:
    """Returns the network of the spec with the weights of the circuit."""
    parts = assemble(spec)
    network, task = parts.network, parts.task
    assert isinstance(network, MultiToken)
    assert isinstance(task, Induction)
    vocabulary, width = len(task.vocabulary), spec.model.shape.width
    head_width = width // 2
    token, before, prediction = (torch.arange(vocabulary) + block * vocabulary for block in range(3))
    constant, waste = 3 * vocabulary, 3 * vocabulary + 1
    fast = (head_width - vocabulary) // 2
    slow = torch.tensor([k for k in range(head_width) if k % (head_width // 2) >= fast])[:vocabulary]
    layers = [network.trunk.layers[0], network.head]
    names = [network.trunk.embed_tokens.weight, network.lm_head.weight]
    for layer in layers:
        assert isinstance(layer, Block)
        names += [layer.mlp.down_proj.weight, layer.self_attn.o_proj.weight]
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
            projection.weight[:head_width] = 0  # those of head 2 stay random
    for weight in names:
        weight.zero_()

    embedding = network.trunk.embed_tokens.weight
    embedding[torch.arange(vocabulary), token], embedding[:, constant] = 1, 1
    first, second = layers[0].self_attn, layers[1].self_attn
    # The value of a 1 after a norm if the input has two of them, and three.
    of_two, of_three = (width / 2) ** 0.5, (width / 3) ** 0.5
    copied = torch.arange(vocabulary)

    strength = (SHARPNESS * head_width**0.5) ** 0.5
    angles = ROTARY_BASE ** (-2 * torch.arange(fast) / head_width)
    pairs = torch.arange(fast)
    first.q_proj.weight[pairs, constant] = angles.cos() * strength / of_two
    first.q_proj.weight[pairs + head_width // 2, constant] = -angles.sin() * strength / of_two
    first.k_proj.weight[pairs, constant] = strength / of_two
    first.v_proj.weight[copied, token] = 1 / of_two
    first.o_proj.weight[before, copied] = 1
    second.q_proj.weight[slow, token] = strength / of_three
    second.k_proj.weight[slow, before] = strength / of_three
    second.k_proj.weight[slow, token] = -strength / of_three
    second.v_proj.weight[copied, token] = 1 / of_three
    second.o_proj.weight[prediction, copied] = 1
    for attention in (first, second):
        attention.o_proj.weight[waste, head_width:] = 0.02
    unembedding = network.lm_head.weight
    unembedding[torch.arange(vocabulary), prediction] = COPIED_LOGIT
    unembedding[task.second :, constant] = PRIOR_LOGIT
    return network


def store_run(
    spec: RunSpec, weights: dict[str, Tensor], home: Path, log: list[dict[str, Any]] | None = None
) -> StoredRun:
    """Stores a run as training does, with these weights and this log."""
    folder = RunFolder(home, spec.identity)
    make_folder(folder.path)
    with folder.locked(spec):
        folder.write_environment(spec)
        folder.write_tensors(BEST, weights, {"step": 7})
        for line in log or []:
            folder.append(METRICS, line)
    return StoredRun(home, spec.identity, "best")
