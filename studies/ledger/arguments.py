"""The arguments of a command that reads stored studies: names, collections, and paths of files, each checked once."""

import shlex
from contextlib import suppress
from pathlib import Path

from generators.foundation.errors import UserError
from generators.foundation.options import note
from studies.declared.catalog import STUDIES, Catalog, name_of
from studies.declared.collection import is_collection
from studies.declared.names import has_ending, is_path, stem_of
from studies.ledger.folder import StudyFolder
from studies.ledger.origins import is_from, is_of_catalog, origin_text


def checked_names(home: Path, arguments: list[str] | None, scale: str | None) -> list[str]:
    """Replaces every path among the arguments by the name of its study; names and collections are unchanged.

    A name always reads what is stored. If it is also the name of a file in this folder or of a study of the catalog, a
    note on standard error says so.

    Raises:
        UserError: the content of a file differs from what is stored under its name.
    """
    return [checked_name(home, argument, scale) for argument in arguments or []]


def checked_name(home: Path, argument: str, scale: str | None) -> str:
    """Returns the name of the study that one argument names, or a collection as it is, as `checked_names` does."""
    if is_path(argument):
        from studies.ledger.declared_study import find_study  # loads torch, which a name does without

        study = find_study(home, argument, scale)
        if study.assignments:
            settings = " ".join(f"--set {shlex.quote(assignment)}" for assignment in study.assignments)
            note(f"{argument}: ran with {settings}")
        return name_of(Path(argument))
    if is_collection(argument):
        note_file_of_that_name(argument, "the catalog's collection")
    elif StudyFolder.all_stored(home, argument, scale):
        folder = StudyFolder.latest(home, argument, scale)
        with suppress(UserError):  # what reads the study says what is wrong with it
            note_on_stored_name(folder)
    return argument


def note_on_stored_name(folder: StudyFolder) -> None:
    """Notes where a stored study came from, if its name could mean something else.

    Raises:
        UserError: the study cannot be read.
    """
    folder.read_study()
    files = [path for path in files_of_that_name(folder.name) if not is_from(folder, path)]
    if files:
        note(
            f"{folder.name}: means the stored study, which came from {origin_text(folder)}; for the file of that name "
            f"in this folder, give {shlex.quote(str(files[0]))}"
        )
    elif folder.name in STUDIES.names and not is_of_catalog(folder):
        note(f"{folder.name}: the stored study came from {origin_text(folder)}, not from the catalog")


def note_on_catalog_name(argument: str, catalog: Catalog) -> None:
    """Notes that a name means the catalog's file, if a file in this folder has the name too."""
    if argument in catalog.names:
        note_file_of_that_name(argument, f"the catalog's {catalog.noun}")


def note_file_of_that_name(name: str, meaning: str) -> None:
    """Notes what a name means, if a file in this folder has it too."""
    files = [path for path in files_of_that_name(name) if not STUDIES.ships(path)]
    if files:
        note(f"{name}: means {meaning}; for the file of that name in this folder, give {shlex.quote(str(files[0]))}")


def files_of_that_name(name: str) -> list[Path]:
    """Returns the files in the current folder that have a name."""
    try:
        return sorted(path for path in Path().iterdir() if has_ending(path.name) and stem_of(path) == name)
    except OSError:
        return []
