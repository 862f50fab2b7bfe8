"""Reasons why a class of another package cannot be a row of a registry."""

from inspect import get_annotations
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError


def kind_defect(settings: type[BaseModel], name: str) -> str | None:
    """Returns why settings do not have the name of their entry point as their kind; None if they do."""
    settings.model_rebuild()  # a class with a type that nobody defines cannot be validated with
    if get_args(settings.model_fields["kind"].annotation) == (name,):
        return None
    return f'should have kind: Literal["{name}"] in {settings.__name__}, as its entry point is called {name}'


def attribute_defect(row: type[Any], base: type[Any]) -> str | None:
    """Returns which class attribute of the base class a row lacks or gives another type; None if there is no such
    attribute.
    """
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
