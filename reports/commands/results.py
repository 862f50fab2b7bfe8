"""Implements `lab results`."""

from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.options import Json, answer
from generators.foundation.outputs import make_output_folder
from lab.commands.options import DEFAULT_HOME, Home
from reports.commands.options import Studies
from reports.frames.export import check_format, every_run, write_frame
from reports.frames.selection import stored_studies
from studies.commands.options import StoredScale
from studies.ledger.arguments import checked_names
from studies.ledger.left_out import LeftOut


def results_command(
    names: Studies = None,
    scale: StoredScale = None,
    out: Annotated[Path, typer.Option(dir_okay=False, help="FILE.csv or FILE.parquet")] = Path("runs.csv"),
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write the runs of studies to one table: cell, seed, settings, scores, parameters, times and machine of each."""
    check_format(out)
    checked = checked_names(home, names, scale)
    left_out = LeftOut.among(checked, scale, home)
    frame = every_run(home, stored_studies(home, checked, scale, left_out), left_out)
    make_output_folder("--out", out, out.absolute().parent)
    write_frame(frame, out)
    value = {"results": str(out.absolute()), "studies": list(dict.fromkeys(frame["study"])), "runs": len(frame)}
    answer(value | {"left_out": left_out.reasons}, as_json, f"{len(frame)} runs, {len(frame.columns)} columns: {out}")
