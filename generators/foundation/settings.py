"""Strict, frozen settings, validated once at the edge; wrong input becomes a one-sentence UserError.

Every file, flag or setting that a user can write passes through `validate`; the code behind it trusts the values.
"""

import json
import math
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from generators.foundation.errors import UserError

Tree = dict[str, Any]


class Settings(BaseModel):
    """Base class of settings: frozen and strict, so unknown keys, strings for numbers, nan and infinity are errors."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


S = TypeVar("S", bound=BaseModel)


def validate(model: type[S], data: object, source: str, prefix: str = "") -> S:
    """Turns parsed TOML or JSON into settings.

    Args:
        source: the file or flag that the data came from, named in the error.
        prefix: the dotted key of the data in that file.

    Raises:
        UserError: the data is invalid; the message names source, key, value and what would be right.
    """
    try:
        return model.model_validate_json(json.dumps(data, default=str))
    except RecursionError:
        raise UserError(f"{source}: {TOO_DEEP}") from None
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":  # Python 3.13 reads and writes deeper tables than pydantic does
            too_deep = "recursion" in error.errors()[0]["msg"]
            raise UserError(f"{source}: {TOO_DEEP if too_deep else NOT_UNICODE}") from None
        # A misspelt key is reported as one unknown and one missing key; the unknown one is more helpful.
        first = min(error.errors(include_url=False), key=lambda details: details["type"] == "missing")
        path = [str(part) for part in first["loc"]]
        key = ".".join(part for part in (prefix, *path) if part)
        raise UserError(f"{source}: {_sentence(model, first, path, key, prefix)}") from None


TOO_DEEP = "tables or lists are nested too deeply to be settings"
NOT_UNICODE = "a value has bytes that are no text; settings should be valid UTF-8"
# Phrases of pydantic's messages -> the words of a TOML file.
PLAIN_WORDS = {
    "Input should be": "should be",
    "an object": "a table",
    "a valid dictionary": "a table",
    "a valid array": "a list",
    "String should match pattern": "should match the pattern",
    "Dictionary should have": "should have",
    "List should have": "should have",
    "String should have": "should have",
    " after validation, not 0": "",
}


def _sentence(model: type[BaseModel], error: Mapping[str, Any], path: list[str], key: str, prefix: str) -> str:
    if error["type"] == "extra_forbidden":
        names = list(_owner(model, path[:-1]).model_fields)
        stem = key.rpartition(".")[0]
        return f"{key} = {_quoted(error['input'])}: no such key; " + suggestion(path[-1], names, stem and stem + ".")
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    for words, plain in PLAIN_WORDS.items():
        message = message.replace(words, plain)
    if error["type"] == "missing":
        return f"{key} is missing; add it to the file" + (f", or give it with --set {key}=..." if prefix else "")
    value = error["input"]
    quoted = "" if isinstance(value, dict) else f" = {_quoted(value)}"
    if isinstance(value, str) and ("number" in message or "integer" in message) and _is_number(value):
        message += f", without quotes: {value}"
    return f"{key}{quoted}: {message}" if key or quoted else message


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _owner(model: type[BaseModel], path: list[str]) -> type[BaseModel]:
    """Follows a path of keys to the settings class at its end, skipping list indices and keys of mappings."""
    for part in path:
        field = model.model_fields.get(part)
        if field is None:
            continue
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), model)
    return model


def _quoted(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def suggestion(word: str, names: list[str], stem: str = "", cutoff: float = 0.4) -> str:
    """Returns the name nearest to a misspelt word, if one is near, and the list of all names.

    Args:
        stem: a prefix for the nearest name, for example the table that contains a key.
        cutoff: how similar the nearest name has to be, from 0 to 1, as difflib measures it.
    """
    near = get_close_matches(word, names, n=1, cutoff=cutoff) if len(names) > 1 else names
    listed = ", ".join(names)
    return f"the nearest is {stem}{near[0]} (there are: {listed})" if near else f"there are: {listed or 'none'}"


def read_toml(path: Path) -> Tree:
    """Reads a TOML file.

    Raises:
        UserError: the file is missing, unreadable, not UTF-8 or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read as text: not UTF-8 (see byte {error.start})") from None
    except RecursionError:
        raise UserError(f"{path}: not valid TOML: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or that of int() on thousands of digits
        raise UserError(f"{path}: not valid TOML: {error}") from None


def split_assignment(assignment: str) -> tuple[str, Any]:
    """Splits `key.path=value` into key and value; the value is parsed as TOML, or taken as a string if that fails."""
    key, equals, raw = assignment.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {assignment}: should be key=value, for example --set objective.n=4")
    try:
        return key.strip(), tomllib.loads(f"value = {raw}")["value"]
    except (ValueError, RecursionError):  # TOMLDecodeError, or that of int() on thousands of digits
        return key.strip(), raw


def assign_value(tree: Tree, key: str, value: Any) -> None:
    """Puts a value under a dotted key of `tree`, creating the tables on the way."""
    *path, last = key.split(".")
    for part in path:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise UserError(f"{key} = {value!r}: {part} is not a table")
    tree[last] = value
