"""Implements `lab tensorboard`."""

from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer
from lab.commands.options import DEFAULT_HOME, Home
from lab.run.files import make_folder
from reports.dashboards.tensorboard import write_events
from reports.frames.numbers import plural
from reports.frames.results import read_results
from reports.frames.selection import nothing_ran
from studies.commands.options import StoredScale
from studies.ledger.declared_study import find_study
from studies.ledger.folder import StudyFolder


def tensorboard_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="by default every stored study")
    ] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="an empty or new folder")] = Path("tensorboard"),
    scale: StoredScale = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write the learning curves of studies as TensorBoard event files, one folder per run."""
    if names:
        studies = [find_study(home, name, scale) for name in names]
    else:
        folders = StudyFolder.all_stored(home, scale=scale)
        studies = [find_study(home, folder.name, folder.scale) for folder in folders]
    if not studies:
        raise nothing_ran(home, scale)
    if out.exists() and any(out.iterdir()):
        raise UserError(f"--out {out}: is not empty; give an empty folder, or one that does not exist")
    make_folder(out)
    runs = {}
    for study in studies:
        name = f"{study.name}-{study.scale}"
        runs[name] = write_events(read_results(home, study), out / name)
    lines = [f"{name}: {plural(count, 'run')}" for name, count in runs.items()]
    answer({"folder": str(out), "runs": runs}, as_json, "\n".join([*lines, f"next: tensorboard --logdir {out}"]))
