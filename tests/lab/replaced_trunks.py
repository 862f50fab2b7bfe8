"""Objectives that replace the trunk and keep the interface: they pass every check, and neither is a Llama."""

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from lab.model.config import DataShape, ModelConfig
from lab.model.trunks.llama import Llama, LlamaConfig
from lab.objectives.objective import NextTokenModel, ObjectiveConfig
from lab.objectives.table import OBJECTIVES


class LearnedPositionsConfig(ObjectiveConfig):
    kind: Literal["learned_positions"] = "learned_positions"


class RecurrentConfig(ObjectiveConfig):
    kind: Literal["recurrent"] = "recurrent"


class PositionsTrunk(Llama):
    """Adds a learned vector to each embedding."""

    def __init__(self, model: ModelConfig, data: DataShape, layers: int) -> None:
        assert isinstance(model, LlamaConfig)
        super().__init__(model, layers, data)
        self.positions = nn.Embedding(data.length, model.shape.width)

    def forward(self, tokens_BxT: Tensor) -> Tensor:
        x_BxTxD = self.embed_tokens(tokens_BxT) + self.positions.weight[: tokens_BxT.shape[1]]
        return self.run(x_BxTxD, self.rotary(tokens_BxT.shape[1]))


class RecurrentTrunk(Llama):
    """A gated recurrent unit (Cho et al. 2014) in place of the layers, of linear maps that `initialise` draws."""

    def __init__(self, model: ModelConfig, data: DataShape) -> None:
        assert isinstance(model, LlamaConfig)
        super().__init__(model, 0, data)
        width = model.shape.width
        self.gates = nn.Linear(2 * width, 2 * width)
        self.candidate = nn.Linear(2 * width, width)

    def forward(self, tokens_BxT: Tensor) -> Tensor:
        x_BxTxD = self.embed_tokens(tokens_BxT)
        state_BxD, states = torch.zeros_like(x_BxTxD[:, 0]), []
        for x_BxD in x_BxTxD.unbind(1):
            update, reset = self.gates(torch.cat((x_BxD, state_BxD), 1)).sigmoid().chunk(2, 1)
            new_BxD = self.candidate(torch.cat((x_BxD, reset * state_BxD), 1)).tanh()
            state_BxD = (1 - update) * state_BxD + update * new_BxD
            states.append(state_BxD)
        return torch.stack(states, 1)


class WithOwnTrunk(NextTokenModel):
    def __init__(self, config: ObjectiveConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data, 0)
        self.trunk = self.new_trunk(model, data)
        self.norm = nn.RMSNorm(model.shape.width, eps=1e-5)
        self.lm_head = nn.Linear(model.shape.width, data.vocabulary, bias=False)

    def new_trunk(self, model: ModelConfig, data: DataShape) -> Llama:
        raise NotImplementedError

    def terms(self, latent_BxSxD, batch, graph):  # type: ignore[no-untyped-def]
        from lab.loss.term import Term

        targets = batch.targets(1)
        yield Term("loss_1", graph.cross_entropy(latent_BxSxD, self.lm_head.weight, targets, self.norm), targets.count)


class LearnedPositions(WithOwnTrunk):
    """A Llama with learned positions beside the rotary ones."""

    config: LearnedPositionsConfig

    def new_trunk(self, model: ModelConfig, data: DataShape) -> Llama:
        return PositionsTrunk(model, data, model.shape.layers)

    def head_parts(self) -> dict[str, nn.Module]:
        return {"norm": self.norm, "unembedding": self.lm_head}


class Recurrent(WithOwnTrunk):
    """A recurrent network."""

    config: RecurrentConfig

    def new_trunk(self, model: ModelConfig, data: DataShape) -> Llama:
        return RecurrentTrunk(model, data)

    def head_parts(self) -> dict[str, nn.Module]:
        return {"norm": self.norm, "unembedding": self.lm_head}


KINDS = {"learned_positions": LearnedPositions, "recurrent": Recurrent}


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds both objectives to the table, as an installed package does."""
    for kind, objective in KINDS.items():
        monkeypatch.setitem(OBJECTIVES.rows, kind, f"{__name__}:{objective.__name__}")  # type: ignore[arg-type]
