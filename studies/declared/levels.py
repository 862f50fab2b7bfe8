"""A level of a factor, and the dotted keys that factors and settings are written under."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import PlainValidator

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree, assign_value


def scalar(value: Any) -> Any:
    """Returns a level of a factor as it is.

    Raises:
        ValueError: it is a list or a table.
    """
    if not isinstance(value, bool | int | float | str):
        raise ValueError("should be a number, a text, or true or false")
    return value


Level = Annotated[bool | int | float | str, PlainValidator(scalar)]
"""A level of a factor, as a study file writes it."""


def short(key: str) -> str:
    """Returns the last part of a dotted key, preceded by its table if that is [start]: `start.n`."""
    stem = "start." if key.startswith("start.") else ""
    return stem + key.rpartition(".")[2]


def level_key(key: str, level: Level) -> str:
    """Returns the key under which a level of a factor gets a label: `objective.n=2`, `model.tied=true`."""
    return f"{key}={str(level).lower() if isinstance(level, bool) else level}"


def claim_key(name: str) -> str:
    """Returns the key under which a claim gets a label: `claim=small_gains`."""
    return f"claim={name}"


def flat(tree: Tree, stem: str = "") -> dict[str, Any]:
    """Returns the values of a tree by dotted key."""
    values: dict[str, Any] = {}
    for key, value in tree.items():
        values |= flat(value, f"{stem}{key}.") if isinstance(value, dict) else {stem + key: value}
    return values


def copied(tree: Tree) -> Tree:
    """Copies a tree, so that changes to the copy's tables do not affect the original."""
    return {key: copied(value) if isinstance(value, dict) else value for key, value in tree.items()}


def assign(tree: Tree, key: str, value: Any, where: str) -> None:
    """Assigns a value to a dotted key.

    Args:
        where: the file or option that contains the key, named in the error.

    Raises:
        UserError: a part of the key is not a table.
    """
    try:
        assign_value(tree, key, value)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def changed(tree: Tree, changes: Iterable[tuple[str, Any]], where: str) -> Tree:
    """Returns a copy of a tree with values assigned to dotted keys; a table is assigned before the keys inside it."""
    result = copied(tree)
    for key, value in sorted(changes, key=lambda change: change[0].count(".")):
        assign(result, key, value, where)
    return result


def known_level(level: Level, known: list[Level]) -> Level:
    """Returns a level; "first" and "last" name those of `known`."""
    return {"first": known[0], "last": known[-1]}.get(str(level), level)
