"""The stored studies that a command's arguments name."""

from pathlib import Path

from generators.foundation.errors import UserError
from studies.declared.study import Study
from studies.ledger.collection_members import expand_collections
from studies.ledger.declared_study import find_study
from studies.ledger.folder import StudyFolder


def stored_studies(home: Path, names: list[str] | None, scale: str | None) -> list[Study]:
    """Returns the studies of these names as they last ran, or all stored studies; a collection names its studies.

    Raises:
        UserError: one of them never ran, or none did.
    """
    ran = sorted({folder.name for folder in StudyFolder.all_stored(home, scale=scale)})
    if not (names or ran):
        raise nothing_ran(home, scale)
    chosen = expand_collections(names, scale, home) if names else ran
    return [find_study(home, name, scale) for name in dict.fromkeys(chosen)]


def nothing_ran(home: Path, scale: str | None, name: str | None = None) -> UserError:
    """Returns the error for a home in which no study ran, or not the one of a name."""
    which = f"study {name!r} never ran" if name else "no study ran"
    at_scale = f" at scale {scale}" if scale else ""
    return UserError(f"{which}{at_scale} under {home}; start with: lab study run {name or 'quick'}")
