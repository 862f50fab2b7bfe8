"""Registries: tables from a name to a class, which other installed packages can extend.

A row of a registry names a class of this lab as "module:Class"; the module is imported when the class is first asked
for. Any installed package adds rows through the entry point group of the registry (`mtp_lab.tasks`,
`mtp_lab.objectives`, `mtp_lab.analyses`, `mtp_lab.exhibits`, `mtp_lab.claims`, `mtp_lab.executors`). A package that
is broken loses its own names and no others.
"""

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint, entry_points
from inspect import getattr_static
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, Tree, assign_value, split_assignment, suggestion, validate

DISTRIBUTION = "mtp-lab"
GROUP_PREFIX = "mtp_lab."


class Registry:
    """A table of classes by name: the rows of this lab and the entry points of other packages.

    Args:
        noun: what a row is, for error messages ("analysis").
        rows: name -> "module:Class", the classes of this lab.
        base: the class that every row must be a subclass of.
        plural: the noun in the name of the entry point group ("analyses" for `mtp_lab.analyses`).
        key: the setting under which users give the name, for error messages ("task.kind"); by default the noun.
    """

    def __init__(self, noun: str, rows: Mapping[str, str], base: type[Any], *, plural: str, key: str = "") -> None:
        self.noun = noun
        self.rows = rows
        self.base = base
        self.group = f"{GROUP_PREFIX}{plural}"
        self.key = key or noun

    @cached_property
    def outside(self) -> dict[str, list[EntryPoint]]:
        """Name -> the entry points of other packages that provide it. Imports nothing."""
        points: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            points.setdefault(point.name, []).append(point)
        return dict(sorted(points.items()))

    @property
    def names(self) -> list[str]:
        """All names, those of this lab first. Imports nothing."""
        return [*self.rows, *(name for name in self.outside if name not in self.rows)]

    def package(self, name: str) -> Distribution | None:
        """Returns the installed package that provides a name, None for a class of this lab."""
        return None if name in self.rows else self.outside[name][0].dist

    def find(self, name: object, source: str) -> type[Any]:
        """Imports and returns the class of a name.

        Args:
            source: the file or command that asks, named in the error; may be empty.

        Raises:
            UserError: the name is unknown (the message gives the nearest), two packages provide it, or its entry point
                does not lead to a complete subclass of the base class.
        """
        if not isinstance(name, str) or name not in self.names:
            raise UserError(
                f"{self._request(name, source)}: no such {self.noun}; {suggestion(str(name), self.names)}, "
                "and no other installed package provides that name"
            )
        points = self.outside.get(name, [])
        providers = [*([DISTRIBUTION] if name in self.rows else []), *map(package_name, points)]
        if len(providers) > 1:
            raise UserError(
                f"{self._request(name, source)}: provided by {' and by '.join(providers)}; "
                "only one package may provide a name: rename one of the entry points or uninstall its package"
            )
        if points:
            return self._load(points[0], source)
        module, _, class_name = self.rows[name].partition(":")
        row: type[Any] = getattr(import_module(module), class_name)
        return row

    def classes(self) -> dict[str, type[Any]]:
        """Imports and returns every class by name, without those that `find` refuses."""
        classes = {}
        for name in self.names:
            try:
                classes[name] = self.find(name, self.group)
            except UserError:
                continue
        return classes

    def summaries(self) -> dict[str, str]:
        """Returns one line on every name, with its package if that is not this lab; a refused name gives the error.

        The line is the class attribute `summary` or, without one, the first line of the module's docstring.
        """
        return {name: self._summary(name) for name in self.names}

    def _summary(self, name: str) -> str:
        try:
            row = self.find(name, "cannot be used")
        except UserError as error:
            return str(error)
        package = self.package(name)
        origin = f" ({package.name} {package.version})" if package else ""
        summary = getattr(row, "summary", None)
        if not isinstance(summary, str):
            summary = (import_module(row.__module__).__doc__ or "").strip().partition("\n")[0]
        return summary + origin

    def _request(self, name: object, source: str) -> str:
        """Quotes the request at the start of an error message."""
        return f"{source}: {self.key} = {name!r}" if source else f"{self.key} = {name!r}"

    def _load(self, point: EntryPoint, source: str) -> type[Any]:
        """Imports the class of an entry point and checks that it can be a row."""
        subject = f"{self._request(point.name, source)}: entry point {point.value} of {package_name(point)}"
        try:
            row = point.load()
            defect = self.defect(row, point.name)
        except (Exception, SystemExit) as error:  # the import of another package's module can raise anything
            first_line = (str(error).splitlines() or [""])[0]
            raise UserError(f"{subject} cannot be imported ({type(error).__name__}: {first_line})") from error
        if defect:
            raise UserError(f"{subject} {defect}")
        checked: type[Any] = row
        return checked

    def defect(self, row: object, name: str) -> str | None:
        """Says why an entry point's object cannot be a row of this table, None if it can."""
        if not (isinstance(row, type) and issubclass(row, self.base)):
            return f"is not a subclass of {self.base.__module__}.{self.base.__name__}"
        abstract = [
            attribute
            for attribute in dir(row)
            if getattr(getattr_static(row, attribute), "__isabstractmethod__", False)
        ]
        if abstract:
            return f"does not implement {', '.join(abstract)}"
        if issubclass(row, BaseModel) and "kind" in row.model_fields:
            return _kind_defect(row, name)
        label = getattr_static(row, "name", None)
        if isinstance(label, str) and label != name:
            return f'should have name = "{name}", as its entry point, not "{label}"'
        return None


class SettingsRegistry(Registry):
    """A registry of classes that annotate `config` with their settings, such as tasks and objectives.

    The settings have a field `kind: Literal[...]` with the name of the class, so that a TOML table with that kind
    becomes the right settings.
    """

    def __init__(self, noun: str, rows: Mapping[str, str], base: type[Any], *, plural: str) -> None:
        super().__init__(noun, rows, base, plural=plural, key=f"{noun}.kind")

    def defect(self, row: object, name: str) -> str | None:
        if defect := super().defect(row, name):
            return defect
        general: type[Settings] = get_type_hints(self.base)["config"]
        settings = get_type_hints(row).get("config")
        if not (isinstance(settings, type) and issubclass(settings, general)) or settings is general:
            return f"should annotate `config` with its own settings, a subclass of {general.__name__}"
        return _kind_defect(settings, name)

    def config_of(self, name: object, source: str) -> type[Settings]:
        """Returns the class of settings of a name; raises as `find` does."""
        config: type[Settings] = get_type_hints(self.find(name, source))["config"]
        return config

    def config(self, data: object, source: str) -> Any:
        """Validates a table of settings with the class that `data["kind"]` names.

        Raises:
            UserError: `data` is not a table, its kind is unknown, or a setting is wrong.
        """
        if not isinstance(data, Mapping):
            raise UserError(
                f'{source}: {self.noun} should be a table with a kind, for example kind = "{next(iter(self.rows))}"'
            )
        return validate(self.config_of(data.get("kind"), source), data, source, self.noun)

    def configured(self, name: str, assignments: list[str] | None, source: str) -> Any:
        """Applies `--set` assignments to the default settings of a name.

        Args:
            assignments: "key=value"; the key may be prefixed with the noun ("task.length=5").
        """
        tree: Tree = {"kind": name}
        for assignment in assignments or []:
            key, value = split_assignment(assignment)
            if key.partition(".")[0] not in (self.noun, key):
                raise UserError(f"--set {assignment}: only settings of the {self.noun} can be changed here")
            key = key.removeprefix(f"{self.noun}.")
            if key == "kind":
                raise UserError(f"--set {assignment}: the {self.noun} is the argument {name}; change that instead")
            assign_value(tree, key, value)
        return self.config(tree, source)


def _kind_defect(settings: type[BaseModel], name: str) -> str | None:
    if get_args(settings.model_fields["kind"].annotation) == (name,):
        return None
    return f'should have kind: Literal["{name}"] in {settings.__name__}, as its entry point is called {name}'


def package_name(point: EntryPoint) -> str:
    """Returns the name of the package that declares an entry point."""
    return point.dist.name if point.dist else "a package without a name"
