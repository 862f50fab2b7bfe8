"""A recurrent trunk: layers of gated recurrent units (Cho et al. 2014) on a residual stream.

A layer is x + W GRU(norm(x)): with the residual connection and the norm before it, as in a transformer, deep stacks
train as well as shallow ones. The state has about 1.44 D units and W brings it back to D, so that a layer has the
12 D^2 parameters of a transformer layer, and the named sizes mean the same for every kind. There are no positions, no
attention and no feed-forward part.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from lab.model.cache import TrunkCache
from lab.model.caches.by_position import PositionCache
from lab.model.config import DataShape, SizedConfig
from lab.model.layers import NORM_EPSILON
from lab.model.trunk import Trunk

STATE_WIDTHS = (160**0.5 - 4) / 6
"""Units of a state per unit of width: the s that solves 3s + 3s^2 + s = 12."""


class GruConfig(SizedConfig):
    """Settings of `gru`."""

    kind: Literal["gru"] = "gru"


# Compiled, every position would be code of its own, and compiling would take minutes.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def gated_recurrence(x_BxTxD: Tensor, state_BxS: Tensor, weights: list[Tensor]) -> Tensor:
    """Computes the states [B, T, S] of a gated recurrent unit from its input and its first state.

    Args:
        weights: of the input [3S, D] and of the state [3S, S], and their biases [3S], as `torch.nn.GRU` has them.
    """
    states_BxTxS, _ = torch.gru(x_BxTxD, state_BxS[None], weights, True, 1, 0.0, False, False, True)
    return states_BxTxS


class GruLayer(nn.Module):
    """A pre-norm recurrent layer, with about 12 D^2 parameters."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.state_width = 4 * round(STATE_WIDTHS * width / 4)
        self.norm = nn.RMSNorm(width, eps=NORM_EPSILON)
        self.input_proj = nn.Linear(width, 3 * self.state_width)
        self.state_proj = nn.Linear(self.state_width, 3 * self.state_width)
        self.o_proj = nn.Linear(self.state_width, width, bias=False)

    def forward(self, x_BxTxD: Tensor) -> Tensor:
        """Computes the output [B, T, D] from a first state of zeros."""
        states_BxTxS = self.states(x_BxTxD, x_BxTxD.new_zeros(len(x_BxTxD), self.state_width))
        return self.after_states(x_BxTxD, states_BxTxS)

    def states(self, x_BxTxD: Tensor, state_BxS: Tensor) -> Tensor:
        """Computes the states [B, T, S] after each position, from the state before the first."""
        source, state = self.input_proj, self.state_proj
        weights = [source.weight, state.weight, source.bias, state.bias]
        states_BxTxS: Tensor = gated_recurrence(self.norm(x_BxTxD), state_BxS, weights)
        return states_BxTxS

    @property
    def kept_width(self) -> int:
        """Units of a state."""
        return self.state_width

    def resume(self, x_BxTxD: Tensor, kept_BxCxW: Tensor, places_BxT: Tensor) -> Tensor:
        """Computes the output [B, T, D] from the state before it, which is kept (see `KeepsByPosition`)."""
        rows_Bx1 = torch.arange(len(x_BxTxD), device=x_BxTxD.device)[:, None]
        first_Bx1 = places_BxT[:, :1]
        before_BxS = (kept_BxCxW[rows_Bx1, first_Bx1 - 1] * (first_Bx1 > 0)[..., None])[:, 0]
        states_BxTxS = self.states(x_BxTxD, before_BxS)
        kept_BxCxW[rows_Bx1, places_BxT] = states_BxTxS
        return self.after_states(x_BxTxD, states_BxTxS)

    def after_states(self, x_BxTxD: Tensor, states_BxTxS: Tensor) -> Tensor:
        """Computes the output [B, T, D] from the input of the layer and its states."""
        out: Tensor = x_BxTxD + self.o_proj(states_BxTxS)
        return out


class Gru(Trunk):
    """Recurrent layers on embeddings of tokens."""

    config: GruConfig

    def __init__(self, config: GruConfig, layers: int, data: DataShape) -> None:
        super().__init__(config, layers, data)
        self.embed_tokens = nn.Embedding(data.vocabulary, config.shape.width)
        self.layers = nn.ModuleList(self.new_layer() for _ in range(layers))

    def build_layer(self) -> GruLayer:
        return GruLayer(self.config.shape.width)

    def apply_layer(self, layer: nn.Module, x_BxTxD: Tensor) -> Tensor:
        out: Tensor = layer(x_BxTxD)
        return out

    def new_cache(self, samples: int, capacity: int) -> TrunkCache | None:
        return PositionCache(self, samples, capacity)
