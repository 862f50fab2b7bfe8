"""The files that the lab ships: studies, searches and collections. Each kind has its own folder."""

from pathlib import Path

from generators.foundation.errors import UserError
from generators.foundation.settings import suggestion

FOLDER = Path(__file__).parents[1] / "catalog"


class Catalog:
    """The files of one folder, by name.

    Args:
        noun: what a file declares, for error messages ("study").
        folder: where the files are.
        alternatives: another catalog whose names an error message suggests too.
    """

    def __init__(self, noun: str, folder: Path, alternatives: "Catalog | None" = None) -> None:
        self.noun = noun
        self.folder = folder
        self.alternatives = alternatives

    @property
    def names(self) -> list[str]:
        """Names of the files, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.toml"))

    def path(self, name: str) -> Path:
        """Returns the path of a file in the catalog, whether or not it exists."""
        return self.folder / f"{name}.toml"

    def locate(self, name: str) -> Path:
        """Returns the path of a file, given that path or a name in the catalog.

        Raises:
            UserError: the catalog has no such name.
        """
        if name.endswith(".toml") or "/" in name:
            return Path(name)
        if not self.path(name).exists():
            names = [*self.names, *(self.alternatives.names if self.alternatives else ())]
            near = suggestion(name, names)
            raise UserError(f"{self.noun} {name!r}: not in the catalog; {near}, or give the path of a .toml file")
        return self.path(name)


COLLECTIONS = Catalog("collection", FOLDER / "collections")
SEARCHES = Catalog("search", FOLDER / "searches")
STUDIES = Catalog("study", FOLDER, alternatives=COLLECTIONS)
