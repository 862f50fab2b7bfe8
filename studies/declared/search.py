"""A search as declared: a question, a base spec, a space, objectives, a budget, scales. Data, validated whole."""

from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, Tree, read_toml, split_assignment, suggestion, validate
from lab.run.evaluation import SCORES
from lab.run.finetuning import planned
from lab.run.spec import RunSpec, parse_spec
from studies.declared.levels import Level, assign, copied, short
from studies.declared.study import Range

SEARCHES = Path(__file__).parents[1] / "catalog" / "searches"
TRIED_MAXIMUM = 500
"""Combinations a choice is tried in, before it is said that none with it can run."""

Choices = list[Level]
Sampler = Literal["tpe", "gp", "random"]


class Levels(Settings):
    """A list of choices."""

    levels: Choices = Field(min_length=1)


class SearchScale(Settings):
    """What a scale changes."""

    summary: str
    trials: int | None = Field(default=None, ge=1, le=10_000)
    batch: int | None = Field(default=None, ge=1, le=1000)
    confirm_seeds: int | None = Field(default=None, ge=1, le=1000)
    space: dict[str, Any] = Field(default_factory=dict)
    set: dict[str, Any] = Field(default_factory=dict)


class SearchDeclaration(Settings):
    """The search file."""

    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    metric: str = Field(default="accuracy", description="quality: higher is better, on validation while searching")
    checkpoint: Literal["best", "last"] = "best"
    cost: Literal["seconds", "parameters"] = Field(
        default="seconds",
        description="seconds of training, on this machine as it was; or parameters, the same anywhere",
    )
    sampler: Sampler = "tpe"
    trials: int = Field(ge=1, le=10_000)
    batch: int = Field(ge=1, le=1000, description="proposals asked at once; they see the results of earlier batches")
    seeds: int = Field(default=1, ge=1, le=100, description="runs a trial, whose mean it is")
    confirm_seeds: int = Field(default=3, ge=1, le=1000, description="fresh runs of each setting on the front")
    base: dict[str, Any]
    space: dict[str, Any] = Field(min_length=1, description="a list of choices, or { low, high, log }")
    scales: dict[str, SearchScale] = Field(min_length=1)


@dataclass(frozen=True)
class Search:
    """A declaration at one scale: what is going to run."""

    name: str
    scale: str
    source: str
    declaration: SearchDeclaration
    base: Tree
    space: dict[str, Choices | Range]
    trials: int
    batch: int
    confirm_seeds: int

    def spec(self, settings: Tree, seed: int) -> RunSpec:
        """The run of a setting and a seed.

        Raises:
            UserError: the settings refuse each other.
        """
        tree = copied(self.base)
        for key in sorted(settings, key=lambda key: key.count(".")):
            assign(tree, key, settings[key], self.source)
        return parse_spec({**tree, "seed": seed}, f"{self.source}, {label(settings)}")

    def refusal(self, settings: Tree) -> str | None:
        """Why a setting cannot run, or None where it can."""
        try:
            planned(self.spec(settings, 0))
        except UserError as error:
            return str(error)
        return None

    @property
    def first(self) -> Tree:
        """The first proposal, which the rest is read against: the first of each list, the middle of each range."""
        return {key: one.middle if isinstance(one, Range) else one[0] for key, one in self.space.items()}


def label(settings: Tree) -> str:
    """`n=2 learning_rate=0.00693`: the short name of each setting."""
    return " ".join(
        f"{short(key)}={value:.3g}" if isinstance(value, float) else f"{short(key)}={value}"
        for key, value in settings.items()
    )


def load_search(name: str, scale: str, assignments: list[str]) -> Search:
    """A search by catalog name or path, at a scale, with `--set` assignments on its base spec.

    Raises:
        UserError: a sentence that names file, key, value and what would be right.
    """
    path = locate(name)
    declaration = validate(SearchDeclaration, read_toml(path), str(path))
    if scale not in declaration.scales:
        raise UserError(f"{path}: --scale {scale}: no such scale; {suggestion(scale, list(declaration.scales))}")
    chosen = declaration.scales[scale]
    for key in chosen.space:
        if key not in declaration.space:
            near = suggestion(key, list(declaration.space))
            raise UserError(f"{path}: scales.{scale}.space.{key}: no such setting in the space; {near}")
    space = {key: dimension(key, value, str(path)) for key, value in (declaration.space | chosen.space).items()}
    base = copied(declaration.base)
    changes = [(f"{path}: scales.{scale}.set", *change) for change in chosen.set.items()]
    changes += [("--set", *split_assignment(assignment)) for assignment in assignments]
    for where, key, value in changes:
        if key in space:
            raise UserError(
                f"{where}: {key} is searched in {path.stem}; what it may be stands in the file, under space"
            )
        assign(base, key, value, where)
    if "seed" in base:
        raise UserError(f"{path}: base.seed: seeds are the search's own; leave it out")
    search = Search(
        path.stem,
        scale,
        str(path),
        declaration,
        base,
        space,
        chosen.trials or declaration.trials,
        chosen.batch or declaration.batch,
        chosen.confirm_seeds or declaration.confirm_seeds,
    )
    if declaration.metric not in SCORES:
        near = suggestion(declaration.metric, list(SCORES))
        raise UserError(f"{path}: metric = {declaration.metric!r}: no such score; {near}")
    examine(search)
    return search


def locate(name: str) -> Path:
    """The file of a search: a path as it is, or a name in the catalog."""
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    if not (SEARCHES / f"{name}.toml").exists():
        near = suggestion(name, searches())
        raise UserError(f"search {name!r}: not in the catalog; {near}, or give the path of a .toml file")
    return SEARCHES / f"{name}.toml"


def searches() -> list[str]:
    """Names of the searches that are shipped."""
    return sorted(path.stem for path in SEARCHES.glob("*.toml"))


def dimension(key: str, value: Any, source: str) -> Choices | Range:
    """What a setting may be, as the file says it."""
    if isinstance(value, dict):
        span = validate(Range, value, source, f"space.{key}")
        if not span.low < span.high or (span.log and span.low <= 0):
            raise UserError(
                f"{source}: space.{key}: low = {span.low} should be below high = {span.high}, above 0 if log"
            )
        return span
    if not isinstance(value, list):
        raise UserError(f"{source}: space.{key} = {value!r}: should be a list of choices or {{ low, high, log }}")
    levels = validate(Levels, {"levels": value}, source, f"space.{key}").levels
    if len(set(map(repr, levels))) < len(levels):
        raise UserError(f"{source}: space.{key} = {levels}: a choice stands there twice")
    return levels


def examine(search: Search) -> None:
    """Refuse a space in which nothing can run, and a choice, or an end of a range, that can run with nothing else."""
    middles: dict[str, Choices] = {
        key: [one.middle] if isinstance(one, Range) else one for key, one in search.space.items()
    }
    if reason := refused(search, middles):
        raise UserError(f"{search.source}: space: nothing in it can run; of the last tried: {reason}")
    for key, one in search.space.items():
        for level in [one.low, one.high] if isinstance(one, Range) else one:
            if reason := refused(search, {**middles, key: [level]}):
                raise UserError(f"{search.source}: space.{key}: {level!r} can run with nothing else there: {reason}")


def refused(search: Search, choices: dict[str, Choices]) -> str | None:
    """Why the last of the combinations cannot run, or None where one can."""
    reason = None
    for values in islice(product(*choices.values()), TRIED_MAXIMUM):
        reason = search.refusal(dict(zip(choices, values, strict=True)))
        if reason is None:
            return None
    return reason and reason.removeprefix(f"{search.source}, ")
