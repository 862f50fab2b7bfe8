"""Writes the reference of the public names, `docs/api.md`, from their docstrings: `make docs`.

Nothing is imported: griffe reads the sources, so that the names of all packages are those that a type checker sees.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "api.md"
ROOMS = ("lab", "studies", "reports", "generators")
INTRODUCTION = """# Reference of the public names

`make docs` writes this page from the docstrings. It lists what `import lab, studies, reports, generators` offer; anything
else may change without notice. [From Python](python.md) introduces the names by examples.

Names of tensors and arrays end in their axes: `tokens_BxT` is `[B, T]`. B is samples, T tokens of a sample, P positions
of a prompt, D the width of the network, V the vocabulary, A arms of a claim and K seeds.
"""
TITLES = {"parameters": "Arguments", "attributes": "Attributes"}
LINE_MAXIMUM = 100
"""Longer signatures are broken into one parameter a line."""


@cache
def public_objects() -> dict[str, Any]:
    """Returns the public names of all packages, such as `lab.train` -> its definition as griffe reads it."""
    loader = griffe.GriffeLoader(docstring_parser="google", search_paths=[ROOT])
    packages = {room: loader.load(room) for room in ROOMS}
    loader.resolve_aliases(implicit=False, external=False)
    objects = {}
    for room, package in packages.items():
        for name in sorted(map(str, package.exports or ()), key=str.lower):
            member = package.members[name]
            objects[f"{room}.{name}"] = member.final_target if member.is_alias else member
    return objects


def reference() -> str:
    """Returns the whole page."""
    parts, room = [INTRODUCTION], ""
    for name, value in public_objects().items():
        if not name.startswith(f"{room}."):
            room = name.partition(".")[0]
            parts.append(f"## {room}\n")
        parts.append("\n".join(entry(name, value, "###")))
    return "\n".join(parts).rstrip() + "\n"


def entry(name: str, value: Any, heading: str) -> Iterator[str]:
    """Yields the lines on one name, and on the methods and properties of a class."""
    yield f"{heading} {name}"
    yield ""
    if value.is_function or (value.is_class and "__init__" in value.members):
        function = value if value.is_function else value.members["__init__"]
        yield from ("```text", signature(name, function), "```", "")
    yield from described(value)
    if value.is_class:
        members = {member: value.members[member] for member in value.members if not member.startswith("_")}
        for member, definition in members.items():
            is_described = definition.docstring is not None and not definition.is_alias
            if is_described and (definition.is_function or "property" in definition.labels):
                yield from entry(f"{name}.{member}", definition, "####")


def described(value: Any) -> Iterator[str]:
    """Yields the docstring of a name."""
    for section in value.docstring.parse("google") if value.docstring else ():
        kind = section.kind.value
        if kind == "text":
            yield section.value
        elif kind in TITLES:
            yield f"{TITLES[kind]}:\n"
            yield from (f"- `{item.name}`: {one_line(item.description)}" for item in section.value)
        elif kind == "raises":
            yield "Raises:\n"
            yield from (f"- `{item.annotation}`: {one_line(item.description)}" for item in section.value)
        elif kind in ("returns", "yields"):
            yield f"{kind.capitalize()}: {' '.join(one_line(item.description) for item in section.value)}"
        elif kind == "admonition":
            yield f"{section.title}:\n"
            yield "\n".join(f"    {line}".rstrip() for line in section.value.description.splitlines())
        else:
            raise ValueError(f"{value.path}: the docstring has a section {kind!r}, which the reference cannot show")
        yield ""


def signature(name: str, function: Any) -> str:
    """Returns a call with its parameters, in a line if they fit."""
    parameters = []
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        stars = {"variadic positional": "*", "variadic keyword": "**"}.get(parameter.kind.value, "")
        text = stars + parameter.name + (f": {parameter.annotation}" if parameter.annotation else "")
        if (
            parameter.kind.value == "keyword-only"
            and "*" not in parameters
            and not any(p[0] == "*" for p in parameters)
        ):
            parameters.append("*")
        default = None if stars or parameter.default is None else str(parameter.default)
        parameters.append(text if default is None else f"{text}{' = ' if parameter.annotation else '='}{default}")
    result = f" -> {function.returns}" if function.returns and function.name != "__init__" else ""
    line = f"{name}({', '.join(parameters)}){result}"
    if len(line) <= LINE_MAXIMUM:
        return line
    return "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f"){result}"])


def one_line(text: str) -> str:
    """Returns a text without its line breaks."""
    return " ".join(text.split())


if __name__ == "__main__":
    print(reference(), end="")
