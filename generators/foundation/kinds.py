"""Tables of kinds: a name and where its class lives, imported when first asked for.

A new task or objective is one file and one row in its table, or an entry point of somebody else's package in the
group `mtp_lab.tasks` or `mtp_lab.objectives`: the two are one table to whoever asks. A class names its settings by
the annotation of its `config` attribute, and that is how a TOML table becomes the right settings. A package that is
broken takes its own names from the table and no others.
"""

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any, get_args, get_type_hints

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, Tree, assign_value, split_assignment, suggestion, validate

OURS = "mtp-lab"


class Kinds:
    """A table of kinds.

    Args:
        key: the table's name in a spec ("task").
        rows: name -> "module:Class", those of this lab.
        base: what every class is a subclass of.
    """

    def __init__(self, key: str, rows: Mapping[str, str], base: type[Any]) -> None:
        self.key = key
        self.rows = rows
        self.base = base

    @cached_property
    def outside(self) -> dict[str, list[EntryPoint]]:
        """Name -> the entry points of other packages that give it. Nothing is imported."""
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=f"mtp_lab.{self.key}s"):
            found.setdefault(point.name, []).append(point)
        return dict(sorted(found.items()))

    @property
    def names(self) -> list[str]:
        """Every kind, those of this lab first."""
        return [*self.rows, *(name for name in self.outside if name not in self.rows)]

    def package(self, kind: str) -> Distribution | None:
        """The package that an outside kind comes from; None for one of this lab."""
        return None if kind in self.rows else self.outside[kind][0].dist

    def find(self, kind: object, source: str) -> type[Any]:
        """The class of that name.

        Raises:
            UserError: an unknown name, with the nearest; one that two packages give; an entry point of no use.
        """
        if not isinstance(kind, str) or kind not in self.names:
            near = suggestion(str(kind), self.names)
            raise UserError(
                f"{source}: {self.key}.kind = {kind!r}: no such {self.key}; {near}, "
                "and no other package that is installed brings one of that name"
            )
        points = self.outside.get(kind, [])
        givers = [*([OURS] if kind in self.rows else []), *map(package_of, points)]
        if len(givers) > 1:
            raise UserError(
                f"{source}: {self.key}.kind = {kind!r}: given by {' and by '.join(givers)}; "
                "a name has one giver: rename the entry point of one, or uninstall it"
            )
        if not points:
            module, _, name = self.rows[kind].partition(":")
            found: type[Any] = getattr(import_module(module), name)
            return found
        return self._loaded(points[0], source)

    def _loaded(self, point: EntryPoint, source: str) -> type[Any]:
        """The class of an entry point, if it is what it should be."""
        where = f"{source}: {self.key}.kind = {point.name!r}: entry point {point.value} of {package_of(point)}"
        try:
            found = point.load()
            reason = self._unfit(found, point.name)
        except (Exception, SystemExit) as error:  # whatever the import of somebody else's module raises
            told = (str(error).splitlines() or [""])[0]
            raise UserError(f"{where} cannot be imported ({type(error).__name__}: {told})") from error
        if reason:
            raise UserError(f"{where} {reason}")
        checked: type[Any] = found
        return checked

    def _unfit(self, found: object, name: str) -> str | None:
        """Why an entry point's object cannot be a row of this table."""
        if not (isinstance(found, type) and issubclass(found, self.base)):
            return f"is no subclass of {self.base.__module__}.{self.base.__name__}"
        if unwritten := [name for name in dir(found) if getattr(getattr(found, name), "__isabstractmethod__", False)]:
            return f"leaves abstract: {', '.join(unwritten)}"
        general: type[Settings] = get_type_hints(self.base)["config"]
        settings = get_type_hints(found).get("config")
        if not (isinstance(settings, type) and issubclass(settings, general)) or settings is general:
            return f"should annotate `config` with settings of its own, a subclass of {general.__name__}"
        if get_args(settings.model_fields["kind"].annotation) != (name,):
            return f'should have kind: Literal["{name}"] in {settings.__name__}, the name of its entry point'
        return None

    def config_of(self, kind: object, source: str) -> type[Settings]:
        """The settings of a kind."""
        config: type[Settings] = get_type_hints(self.find(kind, source))["config"]
        return config

    def config(self, data: object, source: str) -> Any:
        """Validated settings of the kind that `data["kind"]` names.

        Raises:
            UserError: not a table, no such kind, or a setting is wrong.
        """
        if not isinstance(data, Mapping):
            raise UserError(
                f'{source}: {self.key} should be a table with a kind, for example kind = "{next(iter(self.rows))}"'
            )
        return validate(self.config_of(data.get("kind"), source), data, source, self.key)

    def configured(self, kind: str, assignments: list[str] | None, source: str) -> Any:
        """Settings of a kind with `--set` assignments on its defaults; keys with or without the table's name."""
        tree: Tree = {"kind": kind}
        for assignment in assignments or []:
            key, value = split_assignment(assignment)
            if key.partition(".")[0] not in (self.key, key):
                raise UserError(f"--set {assignment}: only settings of the {self.key} can be changed here")
            if key.removeprefix(f"{self.key}.") == "kind":
                raise UserError(f"--set {assignment}: the {self.key} is {kind}, as named; name another instead")
            assign_value(tree, key.removeprefix(f"{self.key}."), value)
        return self.config(tree, source)

    def summaries(self) -> dict[str, str]:
        """Of every kind the first line of its module, which says what it is, and the package where it is not ours."""
        return {kind: self._summary(kind) for kind in self.names}

    def _summary(self, kind: str) -> str:
        try:
            module = import_module(self.find(kind, "of no use").__module__)
        except UserError as error:
            return str(error)
        package = self.package(kind)
        origin = f" ({package.name} {package.version})" if package else ""
        return (module.__doc__ or "").strip().partition("\n")[0] + origin


def package_of(point: EntryPoint) -> str:
    """The name of the package that an entry point belongs to."""
    return point.dist.name if point.dist else "a package without a name"
