"""Writes all runs of some studies to a file as one table: CSV, or Parquet if pyarrow is installed.

The table has one row per run, and the columns of `studies.reading.results` after `study` and `scale`.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pandas as pd

from generators.foundation.errors import UserError
from generators.foundation.outputs import check_output_file
from lab.doctor.extras import install_command
from lab.run.files import write_atomically
from studies.declared.study import Study
from studies.ledger.left_out import LeftOut
from studies.reading.results import read_results

FORMATS = (".csv", ".parquet")


def every_run(home: Path, studies: Sequence[Study], left_out: LeftOut | None = None) -> pd.DataFrame:
    """Returns the runs of studies, one study below the other.

    Args:
        left_out: collects the studies that have a run which cannot be read.

    Raises:
        UserError: a run cannot be read and no `left_out` is given, or no study can be read.
    """
    left_out = left_out or LeftOut(single=True)
    frames = []
    for study in studies:
        with left_out.unless_readable(study.name):
            runs = read_results(home, study).runs
            runs.insert(0, "scale", study.scale)
            runs.insert(0, "study", study.name)
            frames.append(runs)
    left_out.check_any(frames)
    return pd.concat(frames, ignore_index=True)


def check_format(path: Path) -> None:
    """Checks that a table can be written to a file.

    Raises:
        UserError: the ending is not a known format, pyarrow is missing, or the file cannot be written.
    """
    check_output_file("--out", path, FORMATS)
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UserError(
            f"--out {path}: Parquet needs pyarrow ({install_command('pyarrow')}); .csv needs no extra package"
        )


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Writes a table in the format of the path's ending."""
    if path.suffix == ".csv":
        write_atomically(path, frame.to_csv(index=False).encode())
        return
    content = BytesIO()
    mixed = [name for name in frame.columns if frame[name].dropna().map(type).nunique() > 1]
    frame.astype(dict.fromkeys(mixed, "string")).to_parquet(content, index=False)  # Parquet columns have one type
    write_atomically(path, content.getvalue())
