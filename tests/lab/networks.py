"""Builds tiny multi-token networks with every wiring of heads."""

from itertools import product
from typing import Any

import torch

from lab.model.config import DataShape
from lab.model.network import initialise
from lab.model.trunks.llama import LlamaConfig
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.objectives.wiring import combination_error

MODEL = LlamaConfig(width=8, layers=6, attention_heads=2)
DATA = DataShape(vocabulary=7, length=10)

COMBINATIONS = [
    {"head": head, "topology": topology, "unembedding": unembedding, "n": n, "match": match}
    for head, topology, unembedding, n, match in product(
        ("transformer", "linear", "none"), ("parallel", "causal", "anticausal"), ("shared", "replicated"), (1, 2, 3, 5),
        ("layers", "none"),
    )
    if combination_error(head, topology, unembedding, n) is None
]  # fmt: skip
STRIDES_AND_WEIGHTS: list[dict[str, Any]] = [
    {"n": 3, "stride": 2},
    {"n": 3, "weights": (1.0, 0.25, 0.0), "topology": "causal"},
    {"n": 3, "weights": (0.5, 2.0, 1.0), "topology": "anticausal", "stride": 2},
]
CURRICULA: list[dict[str, Any]] = [
    {"n": 3, "curriculum": "forward", "stage_steps": 10, "topology": "causal"},
    {"n": 3, "curriculum": "reverse", "stage_steps": 4, "topology": "anticausal"},
]


def name_of(settings: dict[str, Any]) -> str:
    return " ".join(str(value) for value in settings.values())


def multi_token_network(settings: dict[str, Any]) -> MultiToken:
    """Returns a network whose norms are not 1, so that a norm that is left out or applied twice has an effect."""
    network = MultiToken(MultiTokenConfig(**settings), MODEL, DATA)
    initialise(network, 6, torch.Generator().manual_seed(3))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(len(parameter)))
    return network
