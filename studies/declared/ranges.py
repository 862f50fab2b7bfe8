"""The range of a setting that is tuned or searched."""

from typing import Self

from pydantic import Field, model_validator

from generators.foundation.settings import Settings


class Range(Settings):
    """The values that a tuned setting may take, on a logarithmic scale by default."""

    low: float = Field(description="smallest value")
    high: float = Field(description="largest value")
    log: bool = Field(default=True, description="whether the scale is logarithmic")

    @property
    def middle(self) -> float:
        """The first value tried."""
        return (self.low * self.high) ** 0.5 if self.log else (self.low + self.high) / 2

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"low = {self.low} should be below high = {self.high}, above 0 if log")
        return self
