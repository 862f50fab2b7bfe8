"""The source of modules as it is installed: their digests, and which modules a module uses through its imports.

A digest has two parts, `content/syntax`. Modules of equal content are the same code, and no parsing is needed to see
it; otherwise they are the same code if their syntax (`generators.foundation.code.syntax`) is equal. A process reads a
module once, when its digest is first asked for, so an edit during a run does not change the code that is recorded for
it.
"""

import sys
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from generators.foundation.code.syntax import ImportedNames, ModuleSyntax, read_syntax

CONTENT_DIGITS = 12
"""Hexadecimal digits kept of the digest of a content."""


class ModuleSource:
    """The source of one module.

    Attributes:
        is_package: True for the `__init__.py` of a package.
    """

    def __init__(self, name: str, content: bytes, source: str | None, *, is_package: bool) -> None:
        self.name, self.is_package = name, is_package
        self._source = source
        self.content_digest = sha256(content).hexdigest()[:CONTENT_DIGITS]

    @property
    def syntax(self) -> ModuleSyntax:
        """The syntax of the module; an extension module has none, so its content stands for it."""
        return _syntax(self)

    @property
    def digest(self) -> str:
        """The digest, `content/syntax`."""
        return f"{self.content_digest}/{self.syntax.digest}"

    def absolute(self, imported: ImportedNames) -> str:
        """Returns the absolute name of the module that an import statement names."""
        if not imported.level:
            return imported.module
        parts = self.name.split(".")
        kept = len(parts) - imported.level + self.is_package
        return ".".join([*parts[:kept], *filter(None, [imported.module])])


@cache
def _syntax(module: ModuleSource) -> ModuleSyntax:
    if module._source is not None:
        try:
            return read_syntax(module._source)
        except (SyntaxError, RecursionError, ValueError):
            pass
    return ModuleSyntax(module.content_digest, (), ())


@cache
def find_source(name: str) -> ModuleSource | None:
    """Returns the source of a module; None if there is no such module or it has no file."""
    try:
        spec = sys.modules[name].__spec__ if name in sys.modules else find_spec(name)
        if spec is None or spec.origin is None or spec.loader is None:
            return None
        get_source = getattr(spec.loader, "get_source", None)
        source: str | None = get_source(name) if get_source else None
        content = source.encode("utf-8", "surrogatepass") if source is not None else Path(spec.origin).read_bytes()
    except Exception:  # the parent package is imported first, and another package's code can raise anything
        return None
    return ModuleSource(name, content, source, is_package=spec.submodule_search_locations is not None)


def import_closure(roots: Iterable[str], packages: frozenset[str], covers: Callable[[str], bool]) -> list[str]:
    """Returns some modules and all that they use through imports, in alphabetical order.

    Imports are followed by name: where a package's `__init__.py` imports a name from elsewhere, only that place counts.
    Imports for type checking alone are not followed.

    Args:
        roots: names of modules.
        packages: the first parts of the names of modules that may count.
        covers: whether a module of these packages counts. Imports of one that does not are not followed.
    """
    resolver = NameResolver(packages)
    closure: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        module = find_source(name) if name not in closure and resolver.follows(name) and covers(name) else None
        if module is not None:
            closure.add(name)
            pending += [target for imported in module.syntax.imports for target in resolver.targets(module, imported)]
    return sorted(closure)


class NameResolver:
    """Finds the modules that define imported names.

    Args:
        packages: the first parts of the names of modules that are looked into.
    """

    def __init__(self, packages: frozenset[str]) -> None:
        self.packages = packages

    def follows(self, module: str) -> bool:
        """Tells whether a module belongs to one of the packages."""
        return module.partition(".")[0] in self.packages

    def targets(self, importer: ModuleSource, imported: ImportedNames) -> list[str]:
        """Returns the modules that an import statement leads to."""
        module = importer.absolute(imported)
        if not self.follows(module):
            return []
        names = imported.names or self._names_of_facade(module)
        return [self.definition(module, name) for name in names] or [module]

    def definition(self, module: str, name: str, passed: frozenset[str] = frozenset()) -> str:
        """Returns the module that defines a name; if the name is a module, that module."""
        source = find_source(module)
        if not self.follows(module) or module in passed or name == "*" or (source and not source.is_package):
            return module
        if find_source(f"{module}.{name}") is not None:
            return f"{module}.{name}"
        for imported in (*source.syntax.imports, *source.syntax.typing_imports) if source else ():
            original = next((old for old, new in imported.names.items() if new == name), None)
            if source and original is not None:
                return self.definition(source.absolute(imported), original, passed | {module})
        return module

    def _names_of_facade(self, module: str) -> list[str]:
        """Returns the names that a package imports for type checking; at run time it imports them when they are first
        used.
        """
        source = find_source(module)
        imports = source.syntax.typing_imports if source and source.is_package else ()
        return [name for imported in imports for name in imported.names.values()]
