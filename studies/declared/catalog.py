"""The files that the lab ships: studies, searches and collections, each in a folder of its own and found by name.

This module also derives the names of other files, which must not be those of collections.
"""

import shlex
from pathlib import Path

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree, suggestion
from studies.declared.names import is_path, refusal_of_name, stem_of

FOLDER = Path(__file__).parents[1] / "catalog"


class Catalog:
    """The files of one folder, by name.

    Args:
        noun: what a file declares, for error messages ("study").
        folder: where the files are.
        run_command: the command that runs what a file declares.
        alternatives: another catalog whose names an error message suggests too.
    """

    def __init__(self, noun: str, folder: Path, run_command: str, alternatives: "Catalog | None" = None) -> None:
        self.noun = noun
        self.folder = folder
        self.run_command = run_command
        self.alternatives = alternatives

    @property
    def names(self) -> list[str]:
        """Names of the files, sorted."""
        return sorted(stem_of(path) for path in self.folder.glob("*.toml"))

    def path(self, name: str) -> Path:
        """Returns the path of a file in the catalog, whether or not it exists."""
        return self.folder / f"{name}.toml"

    def locate(self, name: str) -> Path:
        """Returns the path of a file, given that path or a name in the catalog.

        Raises:
            UserError: the catalog has no such name.
        """
        if is_path(name):
            return Path(name)
        if name not in self.names:
            if hint := hint_at_command(name, self.run_command):
                raise UserError(f"{self.noun} {name!r}: {hint}")
            names = [*self.names, *(self.alternatives.names if self.alternatives else ())]
            near, file = suggestion(name, names), Path(f"{name}.toml")
            hint = f"for the file in this folder, give {shlex.quote(str(file))}"
            if not file.is_file():
                hint = f"{near}, or give the path of a .toml file"
            raise UserError(f"{self.noun} {name!r}: not in the catalog; {hint}")
        return self.path(name)

    def ships(self, path: Path) -> bool:
        """Tells whether a file belongs to the catalog."""
        return path.resolve().parent == self.folder.resolve()


COLLECTIONS = Catalog("collection", FOLDER / "collections", "lab study run")
SEARCHES = Catalog("search", FOLDER / "searches", "lab study search")
STUDIES = Catalog("study", FOLDER, "lab study run", alternatives=COLLECTIONS)


def hint_at_command(name: str, run_command: str) -> str:
    """Says which command a catalog name belongs to, if it is not the given one; empty for any other name."""
    for catalog in (STUDIES, COLLECTIONS, SEARCHES):
        if name in catalog.names and catalog.run_command != run_command:
            return f"is a {catalog.noun} of the catalog; its command is: {catalog.run_command} {name}"
    return ""


def check_is_not(other: Catalog, key: str, tree: Tree, path: Path) -> None:
    """Checks that a file is not one of another kind, which has a key that this kind lacks.

    Raises:
        UserError: the file is one; the message names the command for it.
    """
    if key in tree:
        command = f"{other.run_command} {shlex.quote(str(path))}"
        raise UserError(f"{path}: {key}: is the file of a {other.noun}; its command is: {command}")


def name_of(path: Path) -> str:
    """Returns the name of the study or search in a file.

    Raises:
        UserError: the file's name cannot be one.
    """
    name = stem_of(path)
    reason = "a collection has it" if name in COLLECTIONS.names else refusal_of_name(name)
    if reason:
        raise UserError(f"{path}: {name!r} cannot be the name of a study or a search: {reason}; rename the file")
    return name
