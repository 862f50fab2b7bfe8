"""The contract of a trunk: the part of a network from tokens to latents, and the layers that heads are made of."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from generators.foundation.errors import UserError
from lab.model.cache import TrunkCache
from lab.model.config import DataShape, ModelConfig
from lab.model.layers import NORM_EPSILON
from lab.model.packing import Packing
from lab.model.weights import count_parameters, draw_weights
from lab.model.windows import Window


class Trunk(nn.Module, ABC):
    """The shared trunk f_s, from tokens [B, T] to the latents z [B, T, D] (paper, section 2).

    It is causal: a latent depends on no later token. A subclass annotates `config` with its own settings and builds
    `embed_tokens` and `layers` after `super().__init__`, the layers by `new_layer`. Objectives make their heads of
    further layers of the same kind, by `new_layer` and `apply_layer`. Embedding and unembedding are not tied.

    Args:
        config: the settings of the model.
        layers: layers of the trunk, of the `config.shape.layers` that the model has.
        data: vocabulary, and the length T of the longest sample.

    Attributes:
        length: the largest number of positions that the trunk reads.
        embed_tokens: the embedding of tokens.
        layers: the layers, which `forward` applies in order.
    """

    config: ModelConfig
    embed_tokens: nn.Embedding
    layers: nn.ModuleList

    def __init__(self, config: ModelConfig, layers: int, data: DataShape) -> None:
        super().__init__()
        self.config, self.length = config, data.length
        self.built: list[nn.Module] = []  # a plain list: a head that is built here belongs to its objective

    @abstractmethod
    def build_layer(self) -> nn.Module:
        """Builds one layer of the trunk's kind."""

    @abstractmethod
    def apply_layer(self, layer: nn.Module, x_BxTxD: Tensor) -> Tensor:
        """Applies one layer of the trunk's kind to T positions, from the first one on [B, T, D]."""

    def new_layer(self) -> nn.Module:
        """Returns a new layer of the trunk's kind, for the trunk itself or for a head."""
        layer = self.build_layer()
        self.built.append(layer)
        return layer

    def new_norm(self) -> nn.Module:
        """Returns a new norm [..., D] as it stands before an unembedding."""
        return nn.RMSNorm(self.config.shape.width, eps=NORM_EPSILON)

    def has_kind_of(self, layer: nn.Module) -> bool:
        """Returns whether a layer is of the trunk's kind, so that `apply_layer` applies it."""
        return any(layer is other for other in (*self.layers, *self.built))

    def embed(self, tokens_BxT: Tensor) -> Tensor:
        """Computes the input of the first layer [B, T, D]: the embeddings of the tokens, and of positions if any."""
        x_BxTxD: Tensor = self.embed_tokens(tokens_BxT)
        return x_BxTxD

    def embed_at(self, tokens_BxT: Tensor, places_BxT: Tensor) -> Tensor:
        """Computes `embed` of tokens at explicit positions, which a trunk that embeds positions has to override."""
        return self.embed(tokens_BxT)

    def forward(self, tokens_BxT: Tensor) -> Tensor:
        """Computes the latent [B, T, D]."""
        x_BxTxD = self.embed(tokens_BxT)
        for layer in self.layers:
            x_BxTxD = self.apply_layer(layer, x_BxTxD)
        return x_BxTxD

    def draw(self, part: nn.Module, layers: int, generator: torch.Generator) -> None:
        """Draws the weights of the trunk or of a layer from `new_layer`, or keeps them as they are.

        By default they are drawn as all others (see `draw_weights`). Whatever is drawn comes from `generator` alone.

        Args:
            part: the trunk itself, or a layer of its kind that belongs to a head.
            layers: layers of the model.
            generator: the generator of the run's seed.
        """
        draw_weights(part, layers, generator)

    def parameters_by_part(self) -> dict[str, int]:
        """Counts the parameters of the embedding and of everything else in the trunk."""
        embedding = count_parameters(self.embed_tokens)
        return {"embedding": embedding, "trunk": count_parameters(self) - embedding}

    def new_cache(self, samples: int, capacity: int) -> TrunkCache | None:
        """Returns a cache for decoding, or None: tokens are then read again for every new one.

        Args:
            samples: the number of samples B that are continued at once.
            capacity: the largest number of positions that will be read.
        """
        return None

    @property
    def leaves_out(self) -> bool:
        """True if the trunk can leave out positions that nothing reads: it has `forward_rows` and `apply_to_rows`."""
        return False

    def forward_rows(self, tokens_BxT: Tensor, packing: Packing | None, window: Window | None) -> Tensor:
        """Computes the latent [B, T, D], with arbitrary values where a packing or a window leaves a position out."""
        raise NotImplementedError

    def apply_to_rows(
        self, layer: nn.Module, x_RxCxD: Tensor, packing: Packing | None, window: Window | None
    ) -> Tensor:
        """Applies a layer to packed rows [R, C, D], or computes its output [R, Q, D] at the positions of a window."""
        raise NotImplementedError

    @property
    def takes_embeddings(self) -> bool:
        """True if `forward_embedded` computes the latents of `forward`: a trunk that overrides `forward` has to say so
        itself, and one that overrides `embed` has to override `forward_embedded` too.
        """
        kind = type(self)
        own = kind.embed is Trunk.embed or kind.forward_embedded is not Trunk.forward_embedded
        return own and kind.forward is Trunk.forward

    def forward_embedded(self, x_RxCxD: Tensor, packing: Packing | None = None, window: Window | None = None) -> Tensor:
        """Computes the latent [B, T, D] of inputs that need not be embeddings of tokens.

        Args:
            x_RxCxD: the inputs [B, T, D], without embeddings of positions; in packed rows if there is a packing.
            packing: the packing of the inputs; this and a window only if `leaves_out` is True.
            window: the places at which the latent is needed.
        """
        assert packing is None, "this trunk packs no samples"
        assert window is None, "this trunk leaves no position out"
        for layer in self.layers:
            x_RxCxD = self.apply_layer(layer, x_RxCxD)
        return x_RxCxD

    takes_masks: bool = False
    """True if the trunk has `run_at`, which takes positions and attention masks."""

    def run_at(self, x_BxSxD: Tensor, positions_BxS: Tensor, mask: Tensor, window: Window | None = None) -> Tensor:
        """Computes the latent [B, S, D] of embedded inputs at explicit positions.

        Args:
            x_BxSxD: embeddings, without those of positions.
            positions_BxS: the position of each input, below `length`.
            mask: which inputs each of them attends to (True), [S, S] or [B, 1, S, S].
            window: the places at which the output is needed; only if `leaves_out` is True.
        """
        raise NotImplementedError


def require_masks(trunk: Trunk, subject: str) -> None:
    """Refuses a trunk that takes no attention masks.

    Args:
        subject: what needs them, for the error message.

    Raises:
        UserError: the trunk has no `run_at`.
    """
    if not trunk.takes_masks:
        raise UserError(
            f'{subject} needs attention masks and positions, which model.kind = "{trunk.config.kind}" does not have; '
            'give a model with attention, for example kind = "llama"'
        )
