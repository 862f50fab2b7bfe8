"""The studies of a collection that ran, and the commands that run a study or a collection."""

from pathlib import Path

from generators.foundation.errors import UserError
from lab.commands.options import DEFAULT_HOME
from studies.declared.collection import is_collection, load_collection
from studies.ledger.folder import StudyFolder


def stored_members(name: str, scale: str | None, home: Path) -> list[str]:
    """Returns the studies of a collection that ran.

    Raises:
        UserError: no study of the collection has run.
    """
    members = [member.study for member in load_collection(name).members]
    stored = [study for study in members if StudyFolder.all_stored(home, study, scale)]
    if not stored:
        at_scale = f" at scale {scale}" if scale else ""
        command = run_command_line(name, scale or "cpu")
        raise UserError(f"no study of {name} ran{at_scale} under {home}; start with: {command}")
    return stored


def expand_collections(names: list[str], scale: str | None, home: Path) -> list[str]:
    """Replaces each collection among some names by its studies that ran, and removes duplicates."""
    studies: list[str] = []
    for name in names:
        studies += stored_members(name, scale, home) if is_collection(name) else [name]
    return list(dict.fromkeys(studies))


def run_command_line(name: str, scale: str, home: Path = DEFAULT_HOME, action: str = "study run") -> str:
    """Returns the command line of `lab study run`, or of another command on a study, without default options."""
    scale_option = "" if scale == "cpu" else f" --scale {scale}"
    home_option = "" if home == DEFAULT_HOME else f" --home {home}"
    return f"lab {action} {name}{scale_option}{home_option}"


def left_out_text(needs: list[str]) -> str:
    """Says which settings a study that is left out needs."""
    return "left out; it needs " + " ".join(f"--set {key}=..." for key in needs)
