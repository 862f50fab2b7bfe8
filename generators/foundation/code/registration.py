"""Classes that are registered at run time, without an entry point, and the record of their source.

A class of an importable module is recorded as an entry point is: "module:Class", beside the digest of that module. A
class of a notebook has no module, so the syntax of the cell that defines it is recorded. Functions of other cells that
it calls are not.
"""

import linecache
from importlib.metadata import EntryPoint
from types import FunctionType
from typing import Any

from generators.foundation.code.source import ModuleSource, find_source
from generators.foundation.errors import UserError
from generators.foundation.outside import AFTER_REGISTRATION, REGISTERED

MAIN = "__main__"
"""The module of a notebook and of a script."""


def register_class(group: str, name: str, row: type[Any]) -> EntryPoint:
    """Registers a class as if a package provided it; it replaces a class registered earlier under that name.

    Args:
        group: the group of entry points that it extends, such as `mtp_lab.objectives`.

    Raises:
        UserError: the class has no source that could be recorded.
    """
    place = f"{row.__module__}:{row.__qualname__}"
    if row.__module__ == MAIN or find_source(row.__module__) is None:
        place = f"{row.__qualname__}, cell {cell_digest(row)}"
    point = EntryPoint(name, place, group)
    REGISTERED[group, name] = point
    for forget in AFTER_REGISTRATION:
        forget()
    return point


def cell_digest(row: type[Any]) -> str:
    """Returns the digest of the syntax of the cell, or of the script, that defines a class.

    Raises:
        UserError: its source is unknown.
    """
    functions = (getattr(value, "fget", None) or getattr(value, "__func__", value) for value in vars(row).values())
    files = [function.__code__.co_filename for function in functions if isinstance(function, FunctionType)]
    source = "".join(linecache.getlines(files[0])) if files else ""
    if not source:
        raise UserError(
            f"class {row.__qualname__}: has no source that its runs could record; define it, with a method of its own, "
            "in a cell of a notebook or in a file"
        )
    return ModuleSource(row.__qualname__, source.encode(), source, is_package=False).syntax.digest
