"""The folder that runs, studies and reports are stored under, where nobody names another."""

import os
from pathlib import Path

HOME_VARIABLE = "LAB_HOME"
DEFAULT_HOME = Path("experiments")


def home_folder(home: Path | str | None = None) -> Path:
    """Returns the given home; by default that of the command line: LAB_HOME, or `experiments` in the current folder."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME) if home is None else Path(home)
