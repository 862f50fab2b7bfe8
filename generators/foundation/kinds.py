"""Registries: tables from a name to a class, which other installed packages can extend.

A row of a registry names a class of this lab as "module:Class"; the module is imported when the class is first asked
for. Any installed package adds rows through the entry point group of the registry (`mtp_lab.tasks`, `mtp_lab.models`,
`mtp_lab.objectives`, `mtp_lab.analyses`, `mtp_lab.exhibits`, `mtp_lab.claims`, `mtp_lab.executors`). A package that
is broken loses its own names and no others: a name of this lab stays with this lab.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint
from inspect import getattr_static
from typing import Any, TypeVar, cast, get_type_hints

from pydantic import BaseModel

from generators.foundation.code.registration import register_class
from generators.foundation.defects import class_defect, kind_defect, kind_of
from generators.foundation.errors import UserError
from generators.foundation.outside import (
    BREAKAGE,
    DISTRIBUTION,
    GROUP_PREFIX,
    PARTS_IN_USE,
    clash_text,
    error_text,
    guarded,
    note_once,
    package_label,
    package_name,
    points_of,
)
from generators.foundation.settings import Settings, Tree, assign_value, split_assignment, suggestion, validate

evaluated_hints: Callable[[Any], dict[str, Any]] = cache(get_type_hints)  # this takes longer than validating settings
R = TypeVar("R")
CUTOFF = 0.2
"""The similarity from which on a name is suggested: low, because a registry has few names."""


class Registry:
    """A table of classes by name: the rows of this lab and the entry points of other packages.

    Args:
        noun: the word for a row in error messages ("analysis").
        rows: name -> "module:Class", the classes of this lab.
        base: the class that every row must be a subclass of.
        plural: the noun in the name of the entry point group ("analyses" for `mtp_lab.analyses`).
        key: the setting under which users give the name ("task.kind"), or the option ("--executor"), for error
            messages; by default the noun.
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
        for point in points_of(self.group):
            points.setdefault(point.name, []).append(point)
        return dict(sorted(points.items()))

    @property
    def names(self) -> list[str]:
        """All names, those of this lab first. Imports nothing."""
        return [*self.rows, *(name for name in self.outside if name not in self.rows)]

    def package(self, name: str) -> Distribution | None:
        """Returns the installed package that provides a name, None for a class of this lab."""
        return None if name in self.rows else self.outside[name][0].dist

    def subject(self, name: str) -> str:
        """Returns a part and its package as text: "analysis calibration of mtp-lab-example 0.1.0"."""
        is_outside = name in self.outside and name not in self.rows
        return f"{self.noun} {name} of {package_label(self.package(name)) if is_outside else DISTRIBUTION}"

    def find(self, name: object, source: str) -> type[Any]:
        """Imports and returns the class of a name.

        A name of this lab leads to the class of this lab. If another package provides it too, a line on standard error
        says so.

        Args:
            source: the file or command that asks, named in the error; may be empty.

        Raises:
            UserError: the name is unknown (the message gives the nearest), two other packages provide it, or its entry
                point does not lead to a complete subclass of the base class.
        """
        if not isinstance(name, str) or name not in self.names:
            near = suggestion(str(name), self.names, cutoff=CUTOFF)
            raise UserError(
                f"{self._request(name, source)}: no such {self.noun}; {near}, "
                "and no other installed package provides that name"
            )
        points = self.outside.get(name, [])
        if name in self.rows:
            for point in points:
                note_once(f"{self._request(name, source)}: {self._clash(point)}")
            return self._own(name)
        PARTS_IN_USE.append(self.subject(name))
        try:
            return self.load(points[0])
        except UserError as error:
            raise UserError(f"{self._request(name, source)}: {error}") from error

    @cached_property
    def loaded(self) -> dict[EntryPoint, type[Any] | UserError]:
        """Entry points that were loaded -> their class, or why they cannot be used."""
        return {}

    def load(self, point: EntryPoint) -> type[Any]:
        """Imports the class of an entry point, once, and checks that it can be a row.

        Raises:
            UserError: it cannot be one; the message says why.
        """
        if point not in self.loaded:
            try:
                self.loaded[point] = self._load(point)
            except UserError as error:
                self.loaded[point] = error
        row = self.loaded[point]
        if isinstance(row, UserError):
            raise UserError(str(row)) from row
        return row

    def _load(self, point: EntryPoint) -> type[Any]:
        """Imports the class of an entry point. Whatever the import prints goes to standard error."""
        if clash := self._clash(point):
            raise UserError(clash)
        subject = f"entry point {point.value} of {package_name(point)}"
        try:
            with redirect_stdout(sys.stderr):
                row = point.load()
                defect = self.defect(row, point.name)
        except BREAKAGE as error:
            raise UserError(f"{subject} cannot be imported ({error_text(error)})") from error
        if defect:
            raise UserError(f"{subject} {defect}")
        checked: type[Any] = row
        return checked

    def classes(self) -> dict[str, type[Any]]:
        """Imports and returns every class by name, without those that `left_out` names."""
        return self.usable()[0]

    def usable(self) -> tuple[dict[str, type[Any]], list[str]]:
        """Imports every class.

        Returns:
            the classes by name; a sentence for each part of another package that cannot be used, with its reason.
        """
        classes, left_out = {name: self._own(name) for name in self.rows}, []
        for point in (point for points in self.outside.values() for point in points):
            try:
                classes[point.name] = self.load(point)
            except UserError as error:
                left_out.append(self._omission(point, str(error)))
        return classes, list(dict.fromkeys(left_out))

    def summaries(self) -> dict[str, str]:
        """Returns name -> its summary, with the package if it is not this lab; or the error if it cannot be used.

        The line is the class attribute `summary` or, without one, the first line of the module's docstring.
        """
        return {name: self._summary(name) for name in self.names}

    def _summary(self, name: str) -> str:
        points, origin = self.outside.get(name, []), ""
        if name in self.rows:
            row = self._own(name)
            for point in points:
                note_once(self._omission(point, self._clash(point)))
        else:
            try:
                row = self.load(points[0])
            except UserError as error:
                return f"cannot be used: {error}"
            origin = f" ({package_label(points[0].dist)})"
        summary = getattr(row, "summary", None)
        if not isinstance(summary, str):
            summary = getattr(sys.modules.get(row.__module__), "__doc__", None) or ""
        return str(summary).strip().partition("\n")[0] + origin

    def _own(self, name: str) -> type[Any]:
        """Imports a class of this lab."""
        module, _, class_name = self.rows[name].partition(":")
        row: type[Any] = getattr(import_module(module), class_name)
        return row

    def _request(self, name: object, source: str) -> str:
        """Quotes the request at the start of an error message."""
        request = f"{self.key} {name}" if self.key.startswith("--") else f"{self.key} = {name!r}"
        return f"{source}: {request}" if source else request

    def _omission(self, point: EntryPoint, reason: str) -> str:
        """Says that a part of another package is left out, and why."""
        return f"{self.noun} {point.name} of {package_name(point)} is left out: {reason}"

    def _clash(self, point: EntryPoint) -> str:
        """Says which packages provide the name of an entry point; empty if it is the only one."""
        return clash_text(point, self.outside.get(point.name, []), is_own=point.name in self.rows)

    def defect(self, row: object, name: str) -> str | None:
        """Says why an entry point's object cannot be a row of this table, None if it can."""
        if defect := class_defect(row, self.base):
            return defect
        if isinstance(row, type) and issubclass(row, BaseModel) and "kind" in row.model_fields:
            return kind_defect(row, name)
        if isinstance(label := getattr_static(row, "name", None), str) and label != name:
            return f'should have name = "{name}", as its entry point, not "{label}"'
        return None


class SettingsRegistry(Registry):
    """A registry of classes that annotate `config` with their settings, such as tasks and objectives.

    The settings have a field `kind: Literal[...]` with the name of the class, so that a TOML table with that kind
    is parsed as these settings.
    """

    def __init__(self, noun: str, rows: Mapping[str, str], base: type[Any], *, plural: str) -> None:
        super().__init__(noun, rows, base, plural=plural, key=f"{noun}.kind")

    def register(self, row: type[R]) -> type[R]:
        """Adds a class without an entry point, such as one that a notebook defines, and returns it.

        The name of the class is the `kind` of its settings. It replaces a class registered earlier under that name, so
        a cell can be run again. Other processes, such as workers and the command line, do not know it.

        Raises:
            UserError: it is not a complete class of this kind, its name is taken, or its source cannot be recorded.
        """
        name = kind_of(row)
        taken = name in self.rows or any(point.dist for point in self.outside.get(name, []))
        defect = f"has the kind {name!r}, which is taken; choose another" if taken else self.defect(row, name)
        if defect:
            raise UserError(f"{self.noun} {getattr(row, '__qualname__', row)!r}: {defect}")
        point = register_class(self.group, name, row)
        self.__dict__.pop("outside", None)  # it is read again, with the class
        self.loaded[point] = row
        return row

    @property
    def config_base(self) -> type[Settings]:
        """The class that the settings of every row extend."""
        return cast(type[Settings], evaluated_hints(self.base)["config"])

    def defect(self, row: object, name: str) -> str | None:
        if defect := super().defect(row, name):
            return defect
        general, settings = self.config_base, get_type_hints(row).get("config")
        if not (isinstance(settings, type) and issubclass(settings, general)) or settings is general:
            return f"should annotate `config` with its own settings, a subclass of {general.__name__}"
        return kind_defect(settings, name)

    def config_of(self, name: object, source: str) -> type[Settings]:
        """Returns the class of settings of a name; raises as `find` does."""
        return cast(type[Settings], evaluated_hints(self.find(name, source))["config"])

    def config(self, data: object, source: str) -> Any:
        """Validates a table of settings with the class that `data["kind"]` names.

        Raises:
            UserError: `data` is not a table, its kind is unknown, or a setting is wrong.
        """
        if not isinstance(data, Mapping):
            raise UserError(
                f'{source}: {self.noun} should be a table with a kind, for example kind = "{next(iter(self.rows))}"'
            )
        kind, config = data.get("kind"), self.config_of(data.get("kind"), source)
        with guarded(f"{source}: {self.subject(str(kind))}"):
            return validate(config, data, source, self.noun)

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
