"""A search file: a question, base settings, a space to search, a budget and scales, in TOML."""

from typing import Any, Literal

from pydantic import Field

from generators.foundation.settings import Settings
from studies.declared.levels import Level

Choices = list[Level]
Sampler = Literal["tpe", "gp", "random"]


class SearchScale(Settings):
    """The changes that a scale makes to a search."""

    summary: str = Field(description="what a search at this scale takes, or shows")
    trials: int | None = Field(default=None, ge=1, le=10_000, description="replaces the trials of the search")
    batch: int | None = Field(default=None, ge=1, le=1000, description="replaces the batch of the search")
    confirm_seeds: int | None = Field(default=None, ge=1, le=1000, description="replaces the confirming seeds")
    space: dict[str, Any] = Field(default_factory=dict, description="replaces choices or ranges of some settings")
    set: dict[str, Any] = Field(default_factory=dict, description="dotted key -> value that replaces a base setting")


class SearchDeclaration(Settings):
    """The content of a search file."""

    title: str = Field(min_length=1, description="title of the search")
    question: str = Field(min_length=1, description="the question that the front answers")
    metric: str = Field(default="accuracy", description="quality: higher is better, on validation while searching")
    checkpoint: Literal["best", "last"] = Field(default="best", description="checkpoint that is scored")
    cost: Literal["seconds", "parameters"] = Field(
        default="seconds",
        description="seconds of training on this machine, or parameters, which are the same on any machine",
    )
    sampler: Sampler = Field(default="tpe", description="optuna's sampler, which proposes the settings")
    trials: int = Field(ge=1, le=10_000, description="settings that are tried")
    batch: int = Field(ge=1, le=1000, description="proposals made at once, from the results of earlier batches")
    seeds: int = Field(default=1, ge=1, le=100, description="runs of a trial, whose mean score it gets")
    confirm_seeds: int = Field(default=3, ge=1, le=1000, description="fresh runs of each setting on the front")
    base: dict[str, Any] = Field(description="the tables of a run that all trials share")
    space: dict[str, Any] = Field(min_length=1, description="a list of choices, or { low, high, log }")
    scales: dict[str, SearchScale] = Field(min_length=1, description="name -> changes for a cheaper or larger version")
