"""Reasons why a class of another package, or of a notebook, cannot be a row of a registry."""

from inspect import get_annotations, getattr_static
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError


def kind_defect(settings: type[BaseModel], name: str) -> str | None:
    """Returns why settings do not have the name of their entry point as their kind; None if they do."""
    settings.model_rebuild()  # a class with a type that nobody defines cannot be validated with
    if get_args(settings.model_fields["kind"].annotation) == (name,):
        return None
    return f'should have kind: Literal["{name}"] in {settings.__name__}, as its entry point is called {name}'


def kind_of(row: object) -> str:
    """Returns the kind that the settings of a class declare; empty if it declares none."""
    settings = get_type_hints(row).get("config") if isinstance(row, type) else None
    kind = getattr(settings, "model_fields", {}).get("kind")
    return str(next(iter(get_args(kind.annotation)), "")) if kind else ""


def class_defect(row: object, base: type[Any]) -> str | None:
    """Returns why an object is not a complete subclass of the base class; None if it is one."""
    if not (isinstance(row, type) and issubclass(row, base)):
        return f"is not a subclass of {base.__module__}.{base.__name__}"
    abstract = [
        attribute for attribute in dir(row) if getattr(getattr_static(row, attribute), "__isabstractmethod__", False)
    ]
    return f"does not implement {', '.join(abstract)}" if abstract else attribute_defect(row, base)


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
