"""Public names of a package that are imported when they are first used, so that `lab --help` stays fast."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_exports(package: str, modules: Mapping[str, tuple[str, ...]]) -> Callable[[str], object]:
    """Returns the `__getattr__` of a package whose public names live in other modules.

    Args:
        package: the name of the package, `__name__` in its `__init__.py`.
        modules: module -> the names that the package exports from it.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def getattr_of_package(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return getattr_of_package
