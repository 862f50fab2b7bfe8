"""Measures of analyses, kept in the run's folder once they were taken: an analysis of a checkpoint never changes."""

import json
from pathlib import Path

from generators.foundation.errors import UserError
from lab.analysis.table import analyse
from lab.run.files import json_bytes, write_atomically
from lab.run.stored_run import StoredRun


def place_of(home: Path, run: str, checkpoint: str, name: str) -> Path:
    """Where an analysis of a run's checkpoint is kept."""
    return home / "runs" / run / f"analysis-{name}-{checkpoint}.json"


def measures_of(home: Path, run: str, checkpoint: str, name: str) -> dict[str, float]:
    """What an analysis says of a run's checkpoint, by name; taken now where it was not yet.

    Raises:
        UserError: there is no such run, checkpoint or analysis, or the run is none it can look at.
    """
    path = place_of(home, run, checkpoint, name)
    if path.exists():
        try:
            stored: dict[str, float] = json.loads(path.read_bytes())["measures"]
            return stored
        except (ValueError, KeyError):
            raise UserError(f"{path}: not an analysis; delete it, and it is taken again") from None
    found = analyse(name, StoredRun(home, run, checkpoint))
    write_atomically(path, json_bytes(found.tree()))
    return dict(found.measures)
