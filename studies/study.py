"""A study as declared: a question, a base spec, factors, tuning, seeds, claims, scales. Data, validated whole.

A study file is TOML; `studies/catalog` ships some. Every cell of the grid is checked against the spec and the
model it would build before anything runs.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from generators.errors import UserError
from generators.settings import Settings, Tree, assign_value, read_toml, split_assignment, suggestion, validate
from lab.assembly import check
from lab.spec import RunSpec, parse_spec
from studies.statistics import smallest_p

Level = bool | int | float | str
CATALOG = Path(__file__).parent / "catalog"
TUNING_SEED = 2**30
"""Runs that choose settings use this seed; the runs that count use 0, 1, 2, ..."""
SMOKE = "smoke"
"""The scale that only shows that a study runs; its seeds need not be able to decide anything."""


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

    trials: int = Field(ge=1)
    search: dict[str, Range] = Field(min_length=1)


class Claim(Settings):
    """A sentence about two arms that differ in one factor, and the paper's own figure for it.

    `difference`: the treatment scores higher than the control. `equivalence`: the two are less than `margin` apart.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    text: str
    paper: str
    kind: Literal["difference", "equivalence"]
    factor: str
    treatment: Level
    control: Level
    where: dict[str, Level] = Field(
        default_factory=dict, description='the other factors; "first" and "last" are levels too'
    )
    margin: float | None = Field(default=None, gt=0)


class Scale(Settings):
    """What a scale changes."""

    summary: str
    seeds: int | None = Field(default=None, ge=1)
    trials: int | None = Field(default=None, ge=1)
    factors: dict[str, list[Level]] = Field(default_factory=dict)
    set: dict[str, Any] = Field(default_factory=dict)


class Declaration(Settings):
    """The study file."""

    title: str
    question: str
    paper: str
    caveat: str = ""
    metric: str = "accuracy"
    shortcut: str | None = Field(default=None, description="the shortcut the figures draw beside the scores")
    checkpoint: Literal["best", "last"] = "best"
    seeds: int = Field(ge=1)
    level: float = Field(default=0.05, gt=0, lt=0.5)
    test: Literal["independent", "paired"] = "independent"
    base: dict[str, Any]
    factors: dict[str, list[Level]] = Field(min_length=1)
    tuning: Tuning
    claims: list[Claim] = Field(min_length=1)
    scales: dict[str, Scale] = Field(min_length=1)


@dataclass(frozen=True)
class Cell:
    """One point of the grid: factor -> level."""

    levels: tuple[tuple[str, Level], ...]

    @property
    def label(self) -> str:
        """`size=30k n=2`: the last part of each factor's key, in the order of the study file."""
        return " ".join(f"{key.rpartition('.')[2]}={level}" for key, level in self.levels)


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
    def cells(self) -> list[Cell]:
        """The full grid, the last factor fastest."""
        return [Cell(tuple(zip(self.factors, levels, strict=True))) for levels in product(*self.factors.values())]

    @property
    def runs(self) -> int:
        """Runs of the whole study."""
        return len(self.cells) * (self.trials + self.seeds)

    def spec(self, cell: Cell, settings: dict[str, float], seed: int) -> RunSpec:
        """The run of a cell with tuned settings and a seed."""
        tree = copied(self.base)
        for key, value in (*cell.levels, *settings.items()):
            assign_value(tree, key, value)
        return parse_spec({**tree, "seed": seed}, f"{self.source}, cell {cell.label}")

    def arm(self, claim: Claim, level: Level) -> Cell:
        """The cell of a claim's arm.

        Raises:
            UserError: the claim does not name exactly one cell.
        """
        wanted = {claim.factor: level, **claim.where}
        levels = []
        for key, known in self.factors.items():
            if key not in wanted:
                raise UserError(f"{self.source}: claims.{claim.name}.where says nothing of {key}; give one of {known}")
            value = {"first": known[0], "last": known[-1]}.get(str(wanted[key]), wanted[key])
            if value not in known:
                near = suggestion(str(value), [str(one) for one in known])
                raise UserError(
                    f"{self.source}: claims.{claim.name}: {key} = {value!r} is not a level of that factor; {near}"
                )
            levels.append((key, value))
        return Cell(tuple(levels))

    def arms(self, claim: Claim) -> tuple[Cell, Cell]:
        """Treatment and control."""
        return self.arm(claim, claim.treatment), self.arm(claim, claim.control)


def declared(path: Path) -> Declaration:
    """A study file, read and validated by itself."""
    return validate(Declaration, read_toml(path), str(path))


def load(name: str, scale: str, assignments: list[str]) -> Study:
    """A study by catalog name or path, at a scale, with `--set` assignments on its base spec.

    Raises:
        UserError: a sentence that names file, key, value and what would be right.
    """
    path = locate(name)
    declaration = declared(path)
    if scale not in declaration.scales:
        raise UserError(f"{path}: --scale {scale}: no such scale; {suggestion(scale, list(declaration.scales))}")
    chosen = declaration.scales[scale]
    base = copied(declaration.base)
    for key, value in chosen.set.items():
        assign_value(base, key, value)
    for assignment in assignments:
        key, value = split_assignment(assignment)
        if key in declaration.factors:
            raise UserError(f"--set {assignment}: {key} is a factor of {path.stem}; its levels stand in the study file")
        assign_value(base, key, value)
    study = Study(
        name=path.stem,
        scale=scale,
        source=str(path),
        declaration=declaration,
        assignments=tuple(assignments),
        base=base,
        factors=declaration.factors | chosen.factors,
        seeds=chosen.seeds or declaration.seeds,
        trials=chosen.trials or declaration.tuning.trials,
    )
    examine(study)
    return study


def locate(name: str) -> Path:
    """The file of a study: a path as it is, or a name in the catalog."""
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    if not (CATALOG / f"{name}.toml").exists():
        raise UserError(
            f"study {name!r}: not in the catalog; {suggestion(name, catalog())}, or give the path of a .toml file"
        )
    return CATALOG / f"{name}.toml"


def catalog() -> list[str]:
    """Names of the studies that are shipped."""
    return sorted(path.stem for path in CATALOG.glob("*.toml"))


def examine(study: Study) -> None:
    """Refuse what could not run, or could not decide its claims, before anything does."""
    declaration, source = study.declaration, study.source
    for key, levels in study.factors.items():
        if key not in declaration.factors:
            near = suggestion(key, list(declaration.factors))
            raise UserError(f"{source}: scales.{study.scale}.factors.{key}: no such factor; {near}")
        if not levels:
            raise UserError(f"{source}: factors.{key} = []: should have at least one level")
        if len(set(map(repr, levels))) < len(levels):
            raise UserError(f"{source}: factors.{key} = {levels}: a level stands there twice")
    for key, span in declaration.tuning.search.items():
        if not span.low < span.high or (span.log and span.low <= 0):
            raise UserError(
                f"{source}: tuning.search.{key}: low = {span.low} should be below high = {span.high}, above 0 if log"
            )
    middle = {key: span.middle for key, span in declaration.tuning.search.items()}
    for cell in study.cells:
        spec = study.spec(cell, middle, 0)
        try:
            check(spec)
        except UserError as error:
            raise UserError(f"{source}, cell {cell.label}: {error}") from None
    for claim in declaration.claims:
        if claim.factor not in study.factors:
            near = suggestion(claim.factor, list(study.factors))
            raise UserError(f"{source}: claims.{claim.name}.factor = {claim.factor!r}: no such factor; {near}")
        if (claim.kind == "equivalence") != (claim.margin is not None):
            raise UserError(f"{source}: claims.{claim.name}.margin: an equivalence needs one, a difference has none")
        study.arms(claim)
    reached = smallest_p(study.seeds, declaration.test) * len(declaration.claims)
    if study.scale != SMOKE and reached > declaration.level:
        raise UserError(
            f"{source}: seeds = {study.seeds}: with {len(declaration.claims)} claims the smallest p "
            f"the {declaration.test} test can give is {reached:.3f}, above level = {declaration.level}; give more seeds"
        )


def copied(tree: Tree) -> Tree:
    """A tree whose tables can be changed without changing the original."""
    return {key: copied(value) if isinstance(value, dict) else value for key, value in tree.items()}
