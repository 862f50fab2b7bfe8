"""The settings of a pydantic model as rows of text: key, type, default, range and description."""

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from generators.foundation.options import two_columns
from generators.foundation.settings import Tree

WORDS = {bool: "boolean", int: "integer", float: "number", str: "text", Any: "any value"}
SCALAR = frozenset(["boolean", "integer", "number", "text"])
"""The types of a level of a factor, which read as `scalar`."""


@dataclass(frozen=True)
class SettingRow:
    """One setting.

    Attributes:
        key: its dotted key; NAME stands for a key that the user chooses.
        type: its type in words, or its choices.
        default: its default as JSON types; None if it has none or is required.
        is_required: whether it has to be given.
        range: the values that its type allows; empty if all are.
        description: what it does.
    """

    key: str
    type: str
    default: Any
    is_required: bool
    range: str
    description: str

    @property
    def default_text(self) -> str:
        """The default as the reference shows it."""
        if self.is_required:
            return "required"
        return "absent" if self.default is None else json.dumps(self.default, ensure_ascii=False)

    @property
    def facts(self) -> str:
        """Type, range and default on one line."""
        text = self.default_text
        default = {"required": text, "absent": "absent by default"}.get(text, f"default {text}")
        return ", ".join(part for part in (self.type, self.range, default) if part)

    def tree(self) -> Tree:
        """Returns everything but the key."""
        return {
            "type": self.type,
            "required": self.is_required,
            "default": self.default,
            "range": self.range,
            "description": self.description,
        }


def setting_rows(model: type[BaseModel], stem: str = "") -> list[SettingRow]:
    """Returns the settings of a model, and after each table the settings inside it.

    A setting `kind` that can only name the model itself is left out.

    Args:
        stem: the dotted key of the model, with a dot at its end.
    """
    rows = []
    for name, field in model.model_fields.items():
        if name == "kind" and get_origin(field.annotation) is Literal:
            continue
        rows.append(
            SettingRow(
                f"{stem}{name}",
                type_text(field.annotation),
                default_of(field),
                field.is_required(),
                range_text([*field.metadata, *inner_metadata(field.annotation)]),
                field.description or "",
            )
        )
        for table, place in nested_models(field.annotation, f"{stem}{name}."):
            rows += setting_rows(table, place)
    return rows


def setting_lines(rows: Sequence[SettingRow]) -> list[str]:
    """Returns the settings in two columns: the key, and everything else."""
    return two_columns({row.key: f"{row.facts}: {row.description}" if row.description else row.facts for row in rows})


def type_text(annotation: Any) -> str:
    """Returns a type in words: `integer`, `list of numbers`, `"best" or "last"`."""
    if annotation in WORDS:
        return WORDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(arguments[0])
    if isinstance(annotation, TypeVar):
        return type_text(annotation.__bound__)
    if origin is Literal:
        return alternatives([json.dumps(choice) for choice in arguments])
    if origin in (Union, types.UnionType):
        parts = list(dict.fromkeys(type_text(part) for part in arguments if part is not type(None)))
        if set(parts) >= SCALAR:
            parts = ["scalar", *(part for part in parts if part not in SCALAR)]
        return alternatives(parts)
    if origin in (list, tuple, Sequence):
        inner = type_text(arguments[0])
        return f"list of {inner}s" if inner.isalpha() else f"list of {inner}"
    if origin in (dict, Mapping) or (isinstance(annotation, type) and issubclass(annotation, BaseModel | dict)):
        return "table"
    return str(getattr(annotation, "__name__", annotation))


def alternatives(parts: Sequence[str]) -> str:
    """Returns `a, b or c`."""
    return parts[-1] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def default_of(field: FieldInfo) -> Any:
    """Returns the default of a setting as JSON types; None for one that is required, empty or a table of its own."""
    if field.is_required():
        return None
    value = field.default if field.default_factory is None else None  # factories make empty tables and lists
    return None if isinstance(value, BaseModel) else value


def inner_metadata(annotation: Any) -> list[Any]:
    """Returns the constraints of an annotated type inside an optional one."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return [part for info in arguments[1:] for part in (info.metadata if isinstance(info, FieldInfo) else [info])]
    if get_origin(annotation) in (Union, types.UnionType):
        return [part for argument in arguments for part in inner_metadata(argument)]
    return []


def range_text(metadata: Sequence[Any]) -> str:
    """Returns the bounds of a setting in words: `1 to 10`, `above 0`, `not empty`."""
    bounds: dict[str, Any] = {}
    for info in metadata:
        for name in ("ge", "gt", "le", "lt", "min_length", "pattern"):
            if getattr(info, name, None) is not None:
                bounds[name] = getattr(info, name)
    parts = []
    if {"ge", "le"} <= bounds.keys():
        parts.append(f"{bound(bounds.pop('ge'))} to {bound(bounds.pop('le'))}")
    words = {"ge": "at least", "gt": "above", "lt": "below", "le": "at most", "pattern": "matches"}
    parts += [f"{word} {bound(bounds[name])}" for name, word in words.items() if name in bounds]
    if (shortest := bounds.get("min_length")) is not None:
        parts.append("not empty" if shortest == 1 else f"at least {shortest} entries")
    return ", ".join(parts)


def bound(value: Any) -> str:
    """Returns a bound as text, with commas in large integers."""
    return f"{value:,}" if isinstance(value, int) else f"{value:zg}" if isinstance(value, float) else str(value)


def nested_models(annotation: Any, stem: str) -> Iterator[tuple[type[BaseModel], str]]:
    """Yields the models inside the type of a setting, with the dotted key of each."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, stem
    arguments = get_args(annotation)
    if get_origin(annotation) in (dict, Mapping):
        yield from nested_models(arguments[1], f"{stem}NAME.")
    elif get_origin(annotation) is not Literal:
        for argument in arguments:
            yield from nested_models(argument, stem)
