"""The settings of a model, its sizes by name, and the shape of the network that they describe.

The sizes are those of the paper (appendix, table of model sizes), which count non-embedding parameters, about
12 D^2 L; the three smallest are the lab's own, for one CPU core.
"""

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from generators.foundation.settings import Settings


@dataclass(frozen=True)
class ModelShape:
    """Width D, layers L (including the heads that are layers of the trunk's kind), attention heads H."""

    width: int
    layers: int
    attention_heads: int = 1

    @property
    def hidden(self) -> int:
        """Hidden width of SwiGLU: the multiple of 4 nearest to 8D/3, which gives a block about 12 D^2 parameters."""
        return 4 * round(8 * self.width / 12)


@dataclass(frozen=True)
class DataShape:
    """The properties of a task that a network depends on.

    Attributes:
        vocabulary: number of tokens V in the vocabulary.
        length: number of tokens T of the longest sample.
    """

    vocabulary: int
    length: int


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
    """Settings of a model. A subclass declares `kind: Literal[...]`, the name of its trunk, and `shape`."""

    kind: str

    @property
    def shape(self) -> ModelShape:
        """Width and layers of the model, heads included."""
        raise NotImplementedError

    def with_layers(self, layers: int) -> Self:
        """Returns the same model with another number of layers, which may exceed the maximum of a spec."""
        return self.model_copy(update={"layers": layers})


class SizedConfig(ModelConfig):
    """A model that is described by the name of a size, or by its width and layers."""

    size: str | None = Field(default=None, description="name of a size, such as 100k or 1M")
    width: int | None = Field(default=None, ge=4, le=16384, description="width of the residual stream")
    layers: int | None = Field(default=None, ge=1, le=256, description="layers, heads included")

    @model_validator(mode="after")
    def _check(self) -> Self:
        explicit = self._explicit()
        names = [*explicit]
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        if self.size is not None:
            if self.size not in SIZES:
                raise ValueError(f"size {self.size!r} is not one of {', '.join(SIZES)}")
            if any(value is not None for value in explicit.values()):
                raise ValueError(f"give a size, or {listed}, not both")
        elif None in explicit.values():
            raise ValueError(f"give a size ({', '.join(SIZES)}), or all of {listed}")
        self._check_shape()
        return self

    def _explicit(self) -> dict[str, int | None]:
        """Returns the settings that describe the model without the name of a size."""
        return {"width": self.width, "layers": self.layers}

    def _check_shape(self) -> None:
        """Raises a ValueError if no network has this shape."""

    @property
    def shape(self) -> ModelShape:
        """The shape of the named size, or the one given explicitly."""
        if self.size is not None:
            return SIZES[self.size]
        numbers = {name: number for name, number in self._explicit().items() if number is not None}
        return ModelShape(**numbers)

    def with_layers(self, layers: int) -> Self:
        numbers = {name: getattr(self.shape, name) for name in self._explicit()}
        return self.model_copy(update={"size": None, **numbers, "layers": layers})


class AttentionConfig(SizedConfig):
    """A model whose layers have attention heads."""

    attention_heads: int | None = Field(default=None, ge=1, le=256, description="attention heads of a layer")

    def _explicit(self) -> dict[str, int | None]:
        return {**super()._explicit(), "attention_heads": self.attention_heads}

    def _check_shape(self) -> None:
        if self.shape.width % self.shape.attention_heads:
            raise ValueError(f"width {self.width} should be a multiple of attention_heads ({self.attention_heads})")
