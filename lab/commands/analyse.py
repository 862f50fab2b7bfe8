"""lab analyse."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer
from lab.analysis.table import ANALYSES, analysis_of, figure_of
from lab.commands.options import DEFAULT_HOME, Checkpoint, Home, RunName
from lab.run.files import write_atomically
from lab.run.stored_run import StoredRun

NAMES = ", ".join(ANALYSES.names)


def analyse_command(
    run: RunName,
    name: Annotated[str, typer.Argument(metavar="ANALYSIS", help=f"one of {NAMES}")],
    checkpoint: Checkpoint = "best",
    figure: Annotated[Path | None, typer.Option(help="also draw the result, as an SVG in this file")] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Measure why a stored run does what it does: estimates with their error, at one checkpoint."""
    torch.set_num_threads(1)
    if figure is not None and (figure.suffix != ".svg" or not figure.absolute().parent.is_dir()):
        raise UserError(f"--figure {figure}: should end in .svg and lie in a folder that exists")
    analysis = analysis_of(name, "lab analyse")
    stored = StoredRun(home, run, checkpoint)
    result = analysis.analyse(stored)
    value = {"run": stored.folder.identity, "checkpoint": checkpoint, "step": stored.step, **result.tree()}
    if figure is not None:
        write_atomically(figure, figure_of(name)(result.rows).encode())
        value["figure"] = str(figure)
    answer(value, as_json, "\n".join(result.lines))
