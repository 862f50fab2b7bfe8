"""A causal convolution: layers that read the latest few positions of a residual stream."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from lab import DataShape, SizedConfig, Trunk


class ConvolutionConfig(SizedConfig):
    """Settings of `convolution`."""

    kind: Literal["convolution"] = "convolution"
    span: int = Field(default=3, ge=1, le=64, description="positions that a layer reads, its own included")


class ConvolutionLayer(nn.Module):
    """Adds to each position a function of the latest `span` positions."""

    def __init__(self, width: int, span: int) -> None:
        super().__init__()
        self.span = span
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.up_proj = nn.Linear(span * width, 4 * width)
        self.down_proj = nn.Linear(4 * width, width, bias=False)

    def forward(self, x_BxTxD: Tensor) -> Tensor:
        padded = F.pad(self.norm(x_BxTxD), (0, 0, self.span - 1, 0))
        latest = [padded[:, shift : shift + x_BxTxD.shape[1]] for shift in range(self.span)]
        out: Tensor = x_BxTxD + self.down_proj(F.silu(self.up_proj(torch.cat(latest, dim=-1))))
        return out


class Convolution(Trunk):
    """Convolutions on embeddings of tokens."""

    config: ConvolutionConfig

    def __init__(self, config: ConvolutionConfig, layers: int, data: DataShape) -> None:
        super().__init__(config, layers, data)
        self.embed_tokens = nn.Embedding(data.vocabulary, config.shape.width)
        self.layers = nn.ModuleList(self.new_layer() for _ in range(layers))

    def build_layer(self) -> ConvolutionLayer:
        return ConvolutionLayer(self.config.shape.width, self.config.span)

    def apply_layer(self, layer: nn.Module, x_BxTxD: Tensor) -> Tensor:
        out: Tensor = layer(x_BxTxD)
        return out
