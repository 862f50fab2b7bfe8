"""Networks of every objective in a tiny model, and pieces of naive losses."""

from typing import Any

import torch
from torch import Tensor

from lab.model.config import DataShape
from lab.model.network import initialise
from lab.model.trunks.llama import LlamaConfig
from lab.objectives.objective import Objective
from lab.objectives.table import OBJECTIVES

MODEL = LlamaConfig(width=8, layers=4, attention_heads=2)
DATA = DataShape(vocabulary=7, length=10)


def build_objective_network(kind: str, **settings: Any) -> Any:
    config = OBJECTIVES.config({"kind": kind, **settings}, "a spec")
    network: Objective = OBJECTIVES.find(kind, "a spec")(config, MODEL, DATA)
    initialise(network, 4, torch.Generator().manual_seed(3))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(len(parameter)))
    return network


def cross_entropy(logits_V: Tensor, token: Tensor) -> Tensor:
    return logits_V.logsumexp(0) - logits_V[token]


def trunk_of(network: Objective, tokens_P: Tensor) -> Tensor:
    x = network.trunk.embed_tokens(tokens_P)[None]
    for layer in network.trunk.layers:
        x = layer(x, network.trunk.rotary(len(tokens_P)))
    return x[0]


def mean(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).mean()
