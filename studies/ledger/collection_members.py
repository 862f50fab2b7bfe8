"""The studies of a collection that have run."""

from contextlib import suppress
from pathlib import Path

from generators.foundation.errors import UserError
from studies.declared.collection import Collection, is_collection, load_collection
from studies.declared.matrix.row_names import split_row
from studies.declared.names import run_command_line
from studies.ledger.folder import StudyFolder
from studies.ledger.origins import is_of_catalog, origin_text


def collection_in(name: str, scale: str | None, home: Path) -> Collection:
    """Returns a collection; a matrix with the rows that joined it in a home."""
    collection = load_collection(name)
    if (matrix := collection.matrix) is None:
        return collection
    rows = [split_row(study) for study in sorted({folder.name for folder in StudyFolder.all_stored(home, scale=scale)})]
    return collection.joined([row[1] for row in rows if row and row[0] == name and row[1] not in matrix.objectives])


def stored_members(name: str, scale: str | None, home: Path) -> list[str]:
    """Returns the members of a collection that have run; a stored study that merely has the name of a member is left
    out.

    Raises:
        UserError: no study of the collection has run.
    """
    members = [member.study for member in collection_in(name, scale, home).members]
    foreign = foreign_members([name], scale, home)
    stored = [study for study in members if StudyFolder.all_stored(home, study, scale) and study not in foreign]
    if not stored:
        at_scale = f" at scale {scale}" if scale else ""
        command = run_command_line(name, scale, home)
        raise UserError(f"no study of {name} ran{at_scale} under {home}; start with: {command}")
    return stored


def foreign_members(names: list[str], scale: str | None, home: Path) -> dict[str, str]:
    """Returns the members of collections whose names belong to other files in a home -> where those came from."""
    foreign = {}
    for name in filter(is_collection, names):
        for member in collection_in(name, scale, home).members:
            if StudyFolder.all_stored(home, member.study, scale):
                folder = StudyFolder.latest(home, member.study, scale)
                with suppress(UserError):  # what cannot be read is named by what reads it
                    if not is_of_catalog(folder):
                        foreign[member.study] = f"came from {origin_text(folder)}, not from the catalog"
    return foreign


def expand_collections(names: list[str], scale: str | None, home: Path) -> list[str]:
    """Replaces each collection among the names by those of its studies that have run, and removes duplicates."""
    studies: list[str] = []
    for name in names:
        studies += stored_members(name, scale, home) if is_collection(name) else [name]
    return list(dict.fromkeys(studies))


def left_out_text(needs: list[str]) -> str:
    """Says which settings a study that is left out needs."""
    return "left out; it needs " + " ".join(f"--set {key}=..." for key in needs)
