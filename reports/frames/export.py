"""Every run of some studies as one table in a file, for other tools: CSV, or Parquet where pyarrow is installed.

The table has one row per run and the columns of reports/frames/results.py after `study` and `scale`.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pandas as pd

from generators.foundation.errors import UserError
from lab.run.files import write_atomically
from reports.frames.results import read_results
from studies.declared.study import Study

FORMATS = (".csv", ".parquet")


def every_run(home: Path, studies: Sequence[Study]) -> pd.DataFrame:
    """The runs of studies, one below the other."""
    frames = []
    for study in studies:
        runs = read_results(home, study).runs
        runs.insert(0, "scale", study.scale)
        runs.insert(0, "study", study.name)
        frames.append(runs)
    return pd.concat(frames, ignore_index=True)


def examine_format(path: Path) -> None:
    """Refuse a file that cannot be written.

    Raises:
        UserError: its ending is no format that is known, or pyarrow is missing.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"--out {path}: should end in {' or '.join(FORMATS)}")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UserError(
            f"--out {path}: Parquet needs pyarrow, which pip install 'mtp-lab[parquet]' brings; .csv needs nothing"
        )


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a table in the format its name says."""
    if path.suffix == ".csv":
        write_atomically(path, frame.to_csv(index=False).encode())
        return
    content = BytesIO()
    mixed = [name for name in frame.columns if frame[name].dropna().map(type).nunique() > 1]
    frame.astype(dict.fromkeys(mixed, "string")).to_parquet(content, index=False)  # a column has one type there
    write_atomically(path, content.getvalue())
