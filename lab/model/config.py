"""Model sizes by name, and the shape of the network that a configuration describes.

The sizes are those of the paper (appendix, table of model sizes), which count non-embedding parameters, about
12 D^2 L; the three smallest are the lab's own, for one CPU core.
"""

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from generators.foundation.settings import Settings


@dataclass(frozen=True)
class ModelShape:
    """Width D, layers L (including transformer heads of the objective), attention heads H."""

    width: int
    layers: int
    attention_heads: int

    @property
    def hidden(self) -> int:
        """Hidden width of SwiGLU: the multiple of 4 nearest to 8D/3, which gives a block about 12 D^2 parameters."""
        return 4 * round(8 * self.width / 12)


SIZES = {
    "30k": ModelShape(28, 3, 1),
    "100k": ModelShape(52, 3, 1),
    "300k": ModelShape(80, 4, 2),
    "1M": ModelShape(128, 5, 4),
    "3M": ModelShape(256, 4, 8),
    "10M": ModelShape(384, 6, 8),
    "30M": ModelShape(512, 10, 8),
    "100M": ModelShape(768, 14, 12),
    "300M": ModelShape(1024, 25, 16),
    "1B": ModelShape(1536, 36, 24),
}


class ModelConfig(Settings):
    """A model, given either by the name of a size or by width, layers and attention heads."""

    size: str | None = Field(default=None, description="name of a size, such as 100k or 1M")
    width: int | None = Field(default=None, ge=4, le=16384, description="width of the residual stream")
    layers: int | None = Field(default=None, ge=1, le=256, description="transformer layers, heads included")
    attention_heads: int | None = Field(default=None, ge=1, le=256, description="attention heads of a layer")
    rotary_base: float = Field(default=10000.0, gt=1.0, description="base of the rotary frequencies")

    @model_validator(mode="after")
    def _check(self) -> Self:
        explicit = (self.width, self.layers, self.attention_heads)
        if self.size is not None:
            if self.size not in SIZES:
                raise ValueError(f"size {self.size!r} is not one of {', '.join(SIZES)}")
            if explicit != (None, None, None):
                raise ValueError("give a size, or width, layers and attention_heads, not both")
        elif None in explicit:
            raise ValueError(f"give a size ({', '.join(SIZES)}), or all of width, layers and attention_heads")
        if self.shape.width % (2 * self.shape.attention_heads):
            raise ValueError(
                f"width {self.width} should be a multiple of twice attention_heads ({self.attention_heads})"
            )
        return self

    @property
    def shape(self) -> ModelShape:
        """The shape of the named size, or the one given explicitly."""
        if self.size is not None:
            return SIZES[self.size]
        assert self.width is not None
        assert self.layers is not None
        assert self.attention_heads is not None
        return ModelShape(self.width, self.layers, self.attention_heads)
