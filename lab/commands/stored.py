"""Opens a stored run for a command that computes something from its weights."""

from pathlib import Path

from generators.foundation.options import note
from lab.run.other_code.standing import difference_text
from lab.run.stored_run import StoredRun


def open_run(home: Path, name: str, checkpoint: str) -> StoredRun:
    """Returns a stored run; prints a note on standard error if code other than the installed code trained it.

    Raises:
        UserError: no such run or checkpoint exists, or a file of it is damaged.
    """
    stored = StoredRun(home, name, checkpoint)
    if changed := stored.folder.changed_code():
        note(
            f"run {stored.folder.identity} was trained by code other than the installed code "
            f"({difference_text(stored.folder, changed)}): its weights come from the old code, and what is computed "
            "from them comes from the new code; lab train --retrain trains it again"
        )
    return stored
