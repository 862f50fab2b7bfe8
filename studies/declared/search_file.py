"""A search file: a question, base settings, a space to search, a budget and scales, in TOML."""

from typing import Any, Literal

from pydantic import Field

from generators.foundation.settings import Settings
from studies.declared.levels import Level

Choices = list[Level]
Sampler = Literal["tpe", "gp", "random"]


class SearchScale(Settings):
    """The changes that a scale makes to a search."""

    summary: str
    trials: int | None = Field(default=None, ge=1, le=10_000)
    batch: int | None = Field(default=None, ge=1, le=1000)
    confirm_seeds: int | None = Field(default=None, ge=1, le=1000)
    space: dict[str, Any] = Field(default_factory=dict)
    set: dict[str, Any] = Field(default_factory=dict)


class SearchDeclaration(Settings):
    """The content of a search file."""

    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    metric: str = Field(default="accuracy", description="quality: higher is better, on validation while searching")
    checkpoint: Literal["best", "last"] = "best"
    cost: Literal["seconds", "parameters"] = Field(
        default="seconds",
        description="seconds of training on this machine, or parameters, which are the same on any machine",
    )
    sampler: Sampler = "tpe"
    trials: int = Field(ge=1, le=10_000)
    batch: int = Field(ge=1, le=1000, description="proposals made at once, from the results of earlier batches")
    seeds: int = Field(default=1, ge=1, le=100, description="runs of a trial, whose mean score it gets")
    confirm_seeds: int = Field(default=3, ge=1, le=1000, description="fresh runs of each setting on the front")
    base: dict[str, Any]
    space: dict[str, Any] = Field(min_length=1, description="a list of choices, or { low, high, log }")
    scales: dict[str, SearchScale] = Field(min_length=1)
