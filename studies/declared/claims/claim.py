"""The base class of claims: a sentence about arms that differ in one factor, decided by one effect.

A kind of claim is a subclass in its own file and a row in `table.py`, or an entry point of another package in the
group `mtp_lab.claims`:

    kind            effect                                                  supported if the effect is
    difference      treatment minus control                                 above 0, or above the margin
    equivalence     treatment minus control                                 within +-margin
    interaction     the gain at one level of `over` minus that at another   above 0, or above the margin
    trend           slope over the levels of the factor, per level          above 0, or above the margin
    best            best of the named levels minus the best of the others   above 0, or above the margin

An effect is in the unit of the claim's own metric, or of the study's. It is sign-flipped if less of the metric is
better, so that positive always means better.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NoReturn, Protocol, Self

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, ValidationInfo, field_validator, model_serializer

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, Tree, suggestion
from studies.declared.claims.comparison import Comparison
from studies.declared.levels import Level
from studies.statistics.forms.form import Scores
from studies.statistics.power import PValue


class HasLabel(Protocol):
    """The part of a grid's cell that claims read."""

    @property
    def label(self) -> str: ...


class Grid(Protocol):
    """The part of a study that claims read."""

    @property
    def source(self) -> str:
        """The study file, named in errors."""

    @property
    def factors(self) -> Mapping[str, list[Level]]:
        """Factor -> its levels, in the order of the file."""

    def cell_at(self, levels: Mapping[str, Level], key: str) -> HasLabel:
        """Returns the cell at one level of every factor; `key` is where the levels stand, for the error message."""


class Claim(Settings, ABC):
    """A claim as a study file declares it: a sentence, the arms it compares, and the result of the paper.

    A subclass adds its own keys, `kind: Literal["..."]` and the class attributes below.
    """

    effect_name: ClassVar[str] = "effect"
    """The name of the effect on pages."""
    two_arms: ClassVar[bool] = False
    """Whether the effect is the first cell's score minus the second's, so that it can be read off the two."""
    margin_on_both_sides: ClassVar[bool] = False
    """Whether the margin bounds the effect from both sides; otherwise it is a threshold to exceed."""
    never_negligible: ClassVar[str] = ""
    """Why claims of this kind cannot have `negligible`; empty if they can."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="name of the claim in tables and stored verdicts")
    text: str = Field(description="the claim, as a sentence")
    paper: str = Field(description="the paper's result on it")
    kind: str = Field(description="kind of the claim, which decides its effect")
    factor: str = Field(description="the factor whose levels are compared, as a dotted key")
    where: dict[str, Level] = Field(
        default_factory=dict, description='levels of the other factors; "first" and "last" are levels too'
    )
    margin: float | None = Field(
        default=None, gt=0, description="the effect has to exceed it, in the unit of the metric; 0 if absent"
    )
    negligible: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="an effect between minus and plus this is too small to matter, in the unit of the metric; the "
        "verdict is negligible if the whole interval lies there",
    )
    metric: str | None = Field(default=None, description="the claim's metric, if not the study's")
    split: str | None = Field(default=None, description="the split its metric is read on, if not the study's")

    @field_validator("negligible")
    @classmethod
    def _check_negligible(cls, negligible: float | None, info: ValidationInfo) -> float | None:
        if negligible is not None and cls.never_negligible:
            raise ValueError(f"{cls.never_negligible}; leave it out")
        if negligible is not None and info.data.get("margin") is not None:
            raise ValueError("the margin says already which effects are too small; leave one of the two out")
        return negligible

    @model_serializer(mode="wrap")
    def _without_unset_keys(self, serialise: SerializerFunctionWrapHandler) -> Tree:
        """Leaves out `negligible` if it is unset, so that studies stored without it stay equal."""
        tree: Tree = serialise(self)
        return tree if self.negligible is not None else {key: tree[key] for key in tree if key != "negligible"}

    @abstractmethod
    def compared(self, study: Grid) -> Comparison:
        """Returns the arms and the effect; the keys that every claim has have already been checked."""

    def comparison(self, study: Grid) -> Comparison:
        """Returns what the claim compares in a study.

        Raises:
            UserError: a key does not name a factor or level, or the claim does not name the cells it compares.
        """
        key_of: dict[str, str] = {}
        for key, factor in self.factors_named():
            if factor not in study.factors:
                value = "" if key.startswith("where.") else f" = {factor!r}"
                self.refuse(study, f"{key}{value}", f"no such factor; {suggestion(factor, list(study.factors))}")
            if factor in key_of:
                self.refuse(study, key, f"{key_of[factor]} names {factor} already; leave one out")
            key_of[factor] = key
        return self.compared(study)

    def factors_named(self) -> list[tuple[str, str]]:
        """Returns pairs of a key and the factor it names; no factor may be named twice."""
        return [("factor", self.factor), *((f"where.{key}", key) for key in self.where)]

    def label(self, study: Grid, levels: Mapping[str, Level]) -> str:
        """Returns the label of the cell at the levels compared and those of `where`.

        Raises:
            UserError: these levels do not identify exactly one cell of the study, or that cell is excluded.
        """
        return study.cell_at({**self.where, **levels}, f"claims.{self.name}").label

    def refuse(self, study: Grid, key: str, reason: str) -> NoReturn:
        """Raises a UserError that names the study file and a key of the claim; without a key, the claim alone."""
        place = f"{study.source}: claims.{self.name}"
        raise UserError(f"{place}.{key}: {reason}" if key else f"{place}: {reason}")

    def p_values(self, above: PValue, below: PValue) -> tuple[Scores, Scores]:
        """Returns the two-sided p values for the verdicts "supported" and "contradicted".

        Args:
            above: shift -> one-sided p value against "the effect is at most the shift".
            below: the same against "the effect is at least the shift".
        """
        margin = self.margin or 0.0
        return 2 * np.asarray(above(margin)), 2 * np.asarray(below(margin))

    def p_negligible(self, above: PValue, below: PValue) -> Scores:
        """Returns the two-sided p value for the verdict "negligible"; 1 if the claim cannot come to it.

        The interval at a level lies within +-negligible exactly if this p value is at most the level.
        """
        if self.negligible is None:
            return np.ones(())
        return 2 * np.maximum(above(-self.negligible), below(self.negligible))

    def margin_text(self) -> str:
        """Returns the margin, or the range of negligible effects, as pages show it; empty if the claim has neither."""
        if self.negligible is not None:
            return f"effects within ±{self.negligible:zg} are negligible"
        sign = "±" if self.margin_on_both_sides else ""
        return "" if self.margin is None else f"margin {sign}{self.margin:zg}"

    def with_levels_of(self, study: Grid) -> Self:
        """Returns the claim with the levels that "first" and "last" name in a study, for `effect_text`."""
        return self

    def effect_text(self, treatment: str, control: str) -> str:
        """Returns the effect in words, given the labels of the two cells shown."""
        return f"{treatment} minus {control}"
