"""Tables of kinds: a name and where its class lives, imported when first asked for.

A new task or objective is one file and one row in its table. A class names its settings by the annotation of
its `config` attribute, and that is how a TOML table becomes the right settings.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, get_type_hints

from generators.errors import UserError
from generators.settings import Settings, suggestion, validate


class Kinds:
    """A table of kinds.

    Args:
        key: the table's name in a spec ("task").
        rows: name -> "module:Class".
    """

    def __init__(self, key: str, rows: Mapping[str, str]) -> None:
        self.key = key
        self.rows = rows

    def find(self, kind: object, source: str) -> type[Any]:
        """The class of that name; an unknown one is a UserError that gives the nearest."""
        if not isinstance(kind, str) or kind not in self.rows:
            near = suggestion(str(kind), list(self.rows))
            raise UserError(f"{source}: {self.key}.kind = {kind!r}: no such {self.key}; {near}")
        module, _, name = self.rows[kind].partition(":")
        found: type[Any] = getattr(import_module(module), name)
        return found

    def config(self, data: object, source: str) -> Any:
        """Validated settings of the kind that `data["kind"]` names.

        Raises:
            UserError: not a table, no such kind, or a setting is wrong.
        """
        if not isinstance(data, Mapping):
            raise UserError(
                f'{source}: {self.key} should be a table with a kind, for example kind = "{next(iter(self.rows))}"'
            )
        config: type[Settings] = get_type_hints(self.find(data.get("kind"), source))["config"]
        return validate(config, data, source, self.key)
