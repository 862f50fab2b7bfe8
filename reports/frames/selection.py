"""The stored studies that a command's arguments name."""

from pathlib import Path

from generators.foundation.errors import UserError
from studies.declared.names import run_command_line
from studies.declared.study import Study
from studies.ledger.collection_members import expand_collections
from studies.ledger.declared_study import study_in
from studies.ledger.folder import StudyFolder
from studies.ledger.left_out import LeftOut


def stored_studies(home: Path, names: list[str], scale: str | None, left_out: LeftOut) -> list[Study]:
    """Returns the named studies as they last ran, or all stored studies; a collection is replaced by its studies.

    Args:
        names: as `checked_names` returns them.
        left_out: collects the studies that cannot be read.

    Raises:
        UserError: a named study never ran, no study ran, or no study can be read.
    """
    ran = sorted({folder.name for folder in StudyFolder.all_stored(home, scale=scale)})
    if not (names or ran):
        raise nothing_ran(home, scale)
    chosen = expand_collections(names, scale, home) if names else ran
    studies = []
    for name in dict.fromkeys(chosen):
        with left_out.unless_readable(name):
            studies.append(study_in(StudyFolder.latest(home, name, scale)))
    left_out.check_any(studies)
    return studies


def nothing_ran(home: Path, scale: str | None, name: str | None = None) -> UserError:
    """Returns the error for a home in which no study ran, or in which the named study did not run."""
    which = f"study {name!r} never ran" if name else "no study ran"
    at_scale = f" at scale {scale}" if scale else ""
    return UserError(
        f"{which}{at_scale} under {home}; start with: {run_command_line(name or 'induction-quick', scale, home)}"
    )
