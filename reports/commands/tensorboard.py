"""Implements `lab tensorboard`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.options import Json, answer
from generators.foundation.outputs import check_output_folder, make_output_folder
from lab.commands.options import DEFAULT_HOME, Home
from reports.dashboards.tensorboard import event_writer, write_events
from reports.frames.numbers import plural
from reports.frames.selection import nothing_ran
from studies.commands.options import StoredScale
from studies.ledger.arguments import checked_names
from studies.ledger.collection_members import expand_collections
from studies.ledger.declared_study import study_in
from studies.ledger.folder import StudyFolder
from studies.ledger.left_out import LeftOut
from studies.reading.results import read_results


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
    check_output_folder("--out", out, empty=True)
    checked = checked_names(home, names, scale)
    left_out = LeftOut.among(checked, scale, home)
    named = [StudyFolder.latest(home, name, scale) for name in expand_collections(checked, scale, home)]
    folders = named if checked else StudyFolder.all_stored(home, scale=scale)
    if not folders:
        raise nothing_ran(home, scale)
    event_writer()
    runs = {}
    for folder in folders:
        name = f"{folder.name}-{folder.scale}"
        with left_out.unless_readable(name):
            results = read_results(home, study_in(folder))
            make_output_folder("--out", out, out)
            runs[name] = write_events(results, out / name)
    left_out.check_any(runs)
    lines = [f"{name}: {plural(count, 'run')}" for name, count in runs.items()]
    answer(
        {"folder": str(out), "runs": runs, "left_out": left_out.reasons},
        as_json,
        "\n".join([*lines, f"next: tensorboard --logdir {shlex.quote(str(out))}"]),
    )
