"""A study as declared: a question, a base spec, factors, tuning, seeds, claims, scales. Data, validated whole.

A study file is TOML; `studies/catalog` ships some. Every cell of the grid is checked against the spec and the
model it would build before anything runs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, Tree, suggestion
from lab.run.spec import RunSpec, parse_spec
from studies.declared.claims.table import AnyClaim
from studies.declared.levels import Level, assign, copied, scalar, short
from studies.statistics.forms.form import Form
from studies.statistics.forms.independent import INDEPENDENT
from studies.statistics.forms.table import FORMS, form_name

TUNING_SEED = 2**30
"""Runs that choose settings use this seed and the ones after it; the runs that count use 0, 1, 2, ..."""
PRUNED_SEEDS_MINIMUM = 5


def _levels(value: Any) -> Any:
    if not isinstance(value, list):
        return scalar(value)
    if not value:
        raise ValueError("should have at least one level")
    return [scalar(each) for each in value]


Part = dict[str, Annotated[Level | list[Level], PlainValidator(_levels)]]
"""A part of the grid: factor -> a level, or several; "first" and "last" are levels too, and a factor left out has all
 of its levels there."""


class Range(Settings):
    """What a tuned setting may be."""

    low: float
    high: float
    log: bool = True

    @property
    def middle(self) -> float:
        """The first value tried."""
        return (self.low * self.high) ** 0.5 if self.log else (self.low + self.high) / 2


class Tuning(Settings):
    """How each cell's settings are chosen: the same number of trials for every cell, judged on validation."""

    trials: int = Field(ge=1, le=10_000)
    search: dict[str, Range] = Field(min_length=1)
    seeds: int = Field(default=1, ge=1, le=100, description="runs of a trial, whose mean it is judged by")
    pruner: Literal["none", "wilcoxon"] = Field(
        default="none", description="wilcoxon: a trial ends before its last seed where it loses to the best one"
    )
    sampler: Literal["tpe", "gp"] = Field(
        default="tpe", description="what proposes: tree-structured Parzen estimators, or a Gaussian process"
    )

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.pruner == "wilcoxon" and self.seeds < PRUNED_SEEDS_MINIMUM:
            raise ValueError(
                f'pruner = "wilcoxon" with seeds = {self.seeds}: a signed-rank test needs at least '
                f"{PRUNED_SEEDS_MINIMUM} seeds to tell two trials apart"
            )
        return self


class Exclusion(Settings):
    """Cells that are left out, and why; the first rule that fits a cell gives its reason."""

    where: Part = Field(min_length=1)
    reason: str = Field(min_length=1)


class Scale(Settings):
    """What a scale changes."""

    summary: str
    seeds: int | None = Field(default=None, ge=1, le=1000)
    trials: int | None = Field(default=None, ge=1, le=10_000)
    factors: dict[str, list[Level]] = Field(default_factory=dict)
    cells: list[Part] = Field(default_factory=list, description="in place of the study's")
    search: dict[str, Range] = Field(default_factory=dict, description="of tuned settings, in place of the study's")
    set: dict[str, Any] = Field(default_factory=dict)


class Declaration(Settings):
    """The study file."""

    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    paper: str
    caveat: str = ""
    metric: str = Field(default="accuracy", description="what tuning improves, on validation, and claims are about")
    split: str = Field(default="test", description="where the metric of the runs that count is read")
    shortcut: str | None = Field(default=None, description="the shortcut the figures draw beside the scores")
    checkpoint: Literal["best", "last"] = "best"
    seeds: int = Field(ge=1, le=1000)
    level: float = Field(default=0.05, gt=0, lt=0.5)
    looks: list[int] | None = Field(default=None, min_length=2, description="seeds at which it is judged, if not once")
    test: Annotated[str, AfterValidator(form_name)] = INDEPENDENT.name
    base: dict[str, Any]
    factors: dict[str, list[Level]] = Field(min_length=1)
    cells: list[Part] = Field(default_factory=list, description="parts of the grid that are run; all of it if none")
    exclude: list[Exclusion] = Field(default_factory=list)
    levels: dict[str, dict[str, dict[str, Any]]] = Field(
        default_factory=dict, description="factor -> level -> table, where the levels of a factor are names of tables"
    )
    tuning: Tuning
    claims: list[AnyClaim] = Field(min_length=1)
    scales: dict[str, Scale] = Field(min_length=1)

    @property
    def form(self) -> Form:
        """The form of the permutation test that `test` names."""
        return FORMS[self.test]


@dataclass(frozen=True)
class Cell:
    """One point of the grid: factor -> level."""

    levels: tuple[tuple[str, Level], ...]

    @property
    def label(self) -> str:
        """`size=30k n=2`: the short name of each factor, in the order of the study file."""
        return " ".join(f"{short(key)}={level}" for key, level in self.levels)

    def within(self, part: dict[str, list[Level]]) -> bool:
        """Whether it is in a part of the grid."""
        return all(level in part[key] for key, level in self.levels)


def meant(level: Level, known: list[Level]) -> Level:
    """A level, or the one that "first" or "last" stands for."""
    return {"first": known[0], "last": known[-1]}.get(str(level), level)


@dataclass(frozen=True)
class Study:
    """A declaration at one scale: what is going to run."""

    name: str
    scale: str
    source: str
    declaration: Declaration
    assignments: tuple[str, ...]
    base: Tree
    factors: dict[str, list[Level]]
    seeds: int
    trials: int

    @property
    def parts(self) -> list[dict[str, list[Level]]]:
        """Grids whose cells are the study's: those listed, or the full one."""
        listed = self.declaration.scales[self.scale].cells or self.declaration.cells
        return [self.part(each) for each in listed] or [self.factors]

    def part(self, where: Part) -> dict[str, list[Level]]:
        """The levels that each factor has in a part of the grid; none where it is on another scale's."""
        found = {}
        for key, known in self.factors.items():
            asked = where.get(key, known)
            wanted = [meant(level, known) for level in (asked if isinstance(asked, list) else [asked])]
            found[key] = [level for level in known if level in wanted]
        return found

    @cached_property
    def grid(self) -> dict[Cell, str]:
        """Every cell of the parts, the last factor fastest, and why it is left out; empty where it is not."""
        rules = [(self.part(rule.where), rule.reason) for rule in self.declaration.exclude]
        cells = (
            Cell(tuple(zip(part, levels, strict=True))) for part in self.parts for levels in product(*part.values())
        )
        return {cell: next((why for part, why in rules if cell.within(part)), "") for cell in cells}

    @property
    def cells(self) -> list[Cell]:
        """What runs."""
        return [cell for cell, reason in self.grid.items() if not reason]

    @property
    def excluded(self) -> dict[Cell, str]:
        """What does not, and why."""
        return {cell: reason for cell, reason in self.grid.items() if reason}

    @property
    def middle(self) -> dict[str, float]:
        """The tuned settings that are tried first."""
        return {key: span.middle for key, span in self.declaration.tuning.search.items()}

    @property
    def tuning_runs(self) -> int:
        """Runs that tuning a cell takes, at most."""
        return self.trials * self.declaration.tuning.seeds

    @property
    def runs(self) -> int:
        """Runs of the whole study, at most."""
        return len(self.cells) * (self.tuning_runs + self.seeds)

    def changes(self, cell: Cell, settings: dict[str, float]) -> list[tuple[str, Any]]:
        """What a cell and tuned settings put where, a table before what is put inside it."""
        tables = self.declaration.levels
        levels = [(key, copied(tables[key][str(level)]) if key in tables else level) for key, level in cell.levels]
        return sorted([*levels, *settings.items()], key=lambda change: change[0].count("."))

    def described(self, key: str, level: Level) -> str:
        """A level as people read it: with the settings of its table, where it is the name of one."""
        table = self.declaration.levels.get(key, {}).get(str(level))
        inside = table and ", ".join(f"{name} = {json.dumps(value)}" for name, value in table.items())
        return f"{level} ({inside})" if inside else str(level)

    def spec(self, cell: Cell, settings: dict[str, float], seed: int) -> RunSpec:
        """The run of a cell with tuned settings and a seed."""
        tree = copied(self.base)
        for key, value in self.changes(cell, settings):
            assign(tree, key, value, self.source)
        return parse_spec({**tree, "seed": seed}, f"{self.source}, cell {cell.label}")

    def cell_at(self, levels: Mapping[str, Level], key: str) -> Cell:
        """Returns the cell at one level of every factor.

        Args:
            key: the key of the study file that these levels belong to, named in errors.

        Raises:
            UserError: a factor has no such level here, or is missing; or the cell is excluded or not listed.
        """
        chosen = []
        for factor, known in self.factors.items():
            if factor not in levels:
                raise UserError(f"{self.source}: {key}.where has no level of {factor}; give one of {known}")
            value = meant(levels[factor], known)
            if not any(value == level and isinstance(value, bool) == isinstance(level, bool) for level in known):
                near = suggestion(str(value), [str(level) for level in known])
                raise UserError(f"{self.source}: {key}: {factor} = {value!r} is not a level of that factor; {near}")
            chosen.append((factor, value))
        cell = Cell(tuple(chosen))
        if self.grid.get(cell) != "":
            state = f"is excluded ({self.grid[cell]})" if cell in self.grid else "is not among the cells listed"
            raise UserError(f"{self.source}: {key}: its arm {cell.label} {state}; compare other cells")
        return cell
