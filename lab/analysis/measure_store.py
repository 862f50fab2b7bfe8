"""Results of analyses, stored in the run's folder: the analysis of a checkpoint never changes, so it runs once."""

import json
from pathlib import Path

from generators.foundation.errors import UserError
from lab.analysis.table import analyse
from lab.run.files import json_bytes, write_atomically
from lab.run.stored_run import StoredRun


def result_path(home: Path, run: str, checkpoint: str, name: str) -> Path:
    """Returns the file that stores an analysis of a run's checkpoint."""
    return home / "runs" / run / f"analysis-{name}-{checkpoint}.json"


def measures_of(home: Path, run: str, checkpoint: str, name: str) -> dict[str, float]:
    """Returns the stored measures of an analysis of a run's checkpoint; analyses the checkpoint if there are none.

    Raises:
        UserError: the run, checkpoint or analysis does not exist, the analysis does not apply to the run, or the stored
            file is damaged.
    """
    path = result_path(home, run, checkpoint, name)
    if path.exists():
        try:
            stored: dict[str, float] = json.loads(path.read_bytes())["measures"]
            return stored
        except (ValueError, KeyError):
            raise UserError(f"{path}: not a stored analysis; delete the file, and the analysis is repeated") from None
    result = analyse(name, StoredRun(home, run, checkpoint))
    write_atomically(path, json_bytes(result.tree()))
    return dict(result.measures)
