"""A search at one scale: the space it proposes settings from, and the run of each setting and seed."""

from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, Tree, read_toml, suggestion, validate
from lab.run.evaluation import SCORES
from lab.run.finetuning import meta_network
from lab.run.spec import RunSpec, parse_spec
from studies.declared.catalog import SEARCHES, STUDIES, check_is_not, name_of
from studies.declared.levels import changed, short
from studies.declared.ranges import Range
from studies.declared.scales import base_at_scale, scale_named
from studies.declared.search_file import Choices, SearchDeclaration

COMBINATIONS_MAXIMUM = 500
"""Combinations in which a choice is tried before it is refused because none of them can run."""


class ChoiceList(Settings):
    """Validates the choices of one setting."""

    levels: Choices = Field(min_length=1)


@dataclass(frozen=True)
class Search:
    """A search file at one scale, with every setting resolved."""

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
        """Returns the run of a setting and a seed.

        Raises:
            UserError: the settings contradict each other.
        """
        tree = changed(self.base, settings.items(), self.source)
        return parse_spec({**tree, "seed": seed}, f"{self.source}, {label(settings)}")

    def refusal(self, settings: Tree) -> str | None:
        """Returns why a setting cannot run; None if it can."""
        try:
            meta_network(self.spec(settings, 0))
        except UserError as error:
            return str(error)
        return None

    @property
    def first(self) -> Tree:
        """The first proposal, the reference for the others: the first of each list, the middle of each range."""
        return {key: span.middle if isinstance(span, Range) else span[0] for key, span in self.space.items()}


def label(settings: Tree) -> str:
    """Returns `n=2 learning_rate=0.00693`: the short name of each setting with its value."""
    return " ".join(
        f"{short(key)}={value:z.3g}" if isinstance(value, float) else f"{short(key)}={value}"
        for key, value in settings.items()
    )


def load_search(name: str, scale: str, assignments: list[str]) -> Search:
    """Loads a search by catalog name or path, at a scale, with `--set` assignments on its base settings.

    Raises:
        UserError: names the file, the key, its value and what would be right.
    """
    path = SEARCHES.locate(name)
    tree = read_toml(path)
    check_is_not(STUDIES, "factors", tree, path)
    declaration = validate(SearchDeclaration, tree, str(path))
    file_name, chosen = name_of(path), scale_named(declaration.scales, scale, path)
    for key in chosen.space:
        if key not in declaration.space:
            near = suggestion(key, list(declaration.space))
            raise UserError(f"{path}: scales.{scale}.space.{key}: no such setting in the space; {near}")
    space = {key: dimension(key, value, str(path)) for key, value in (declaration.space | chosen.space).items()}

    def reserved(key: str) -> str | None:
        return f"is searched in {file_name}; change its choices in the file, under space" if key in space else None

    search = Search(
        name=file_name,
        scale=scale,
        source=str(path),
        declaration=declaration,
        base=base_at_scale(declaration, chosen.set, assignments, path, scale, reserved),
        space=space,
        trials=chosen.trials or declaration.trials,
        batch=chosen.batch or declaration.batch,
        confirm_seeds=chosen.confirm_seeds or declaration.confirm_seeds,
    )
    if declaration.metric not in SCORES:
        near = suggestion(declaration.metric, list(SCORES))
        raise UserError(f"{path}: metric = {declaration.metric!r}: no such score; {near}")
    check_space(search)
    return search


def dimension(key: str, value: Any, source: str) -> Choices | Range:
    """Validates one setting of the space: a list of choices, or a range.

    Raises:
        UserError: it is neither, or a choice is repeated.
    """
    if isinstance(value, dict):
        return validate(Range, value, source, f"space.{key}")
    if not isinstance(value, list):
        raise UserError(f"{source}: space.{key} = {value!r}: should be a list of choices or {{ low, high, log }}")
    choices = validate(ChoiceList, {"levels": value}, source, f"space.{key}").levels
    if len(set(map(repr, choices))) < len(choices):
        raise UserError(f"{source}: space.{key} = {choices}: lists a choice twice")
    return choices


def check_space(search: Search) -> None:
    """Refuses a space if a choice, or an end of a range, is in no combination that can run.

    Raises:
        UserError: gives the reason why the last combination tried cannot run.
    """
    middles: dict[str, Choices] = {
        key: [span.middle] if isinstance(span, Range) else span for key, span in search.space.items()
    }
    if reason := refusal_of_all(search, middles):
        raise UserError(f"{search.source}: space: nothing in it can run; the last combination tried: {reason}")
    for key, span in search.space.items():
        for level in [span.low, span.high] if isinstance(span, Range) else span:
            if reason := refusal_of_all(search, {**middles, key: [level]}):
                raise UserError(f"{search.source}: space.{key}: {level!r} cannot run with any other setting: {reason}")


def refusal_of_all(search: Search, choices: dict[str, Choices]) -> str | None:
    """Returns why the last of the combinations cannot run; None if any combination can."""
    reason = None
    for values in islice(product(*choices.values()), COMBINATIONS_MAXIMUM):
        reason = search.refusal(dict(zip(choices, values, strict=True)))
        if reason is None:
            return None
    return reason and reason.removeprefix(f"{search.source}, ")
