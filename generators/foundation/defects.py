"""Reasons why a class of another package cannot be a row of a registry."""

from inspect import get_annotations
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError


def kind_defect(settings: type[BaseModel], name: str) -> str | None:
    """Says why settings are not those of a kind, the name of an entry point; None if they are."""
    settings.model_rebuild()  # a class with a type that nobody defines cannot be validated with
    if get_args(settings.model_fields["kind"].annotation) == (name,):
        return None
    return f'should have kind: Literal["{name}"] in {settings.__name__}, as its entry point is called {name}'


def attribute_defect(row: type[Any], base: type[Any]) -> str | None:
    """Says which class attribute that the base class declares is missing in a row, or of another type."""
    for attribute, hint in get_annotations(base).items():
        origin: Any = get_origin(hint)
        if origin is not ClassVar:
            continue
        if not hasattr(row, attribute):
            return f"does not set {attribute}"
        value = getattr(row, attribute)
        try:
            TypeAdapter(get_args(hint)[0]).validate_python(value, strict=True)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"].replace("Input should be", "should be")
            return f"has {attribute} = {value!r}, which {problem}"
    return None
