"""Implements `lab analyse`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer
from lab.analysis.analysis import Row
from lab.analysis.table import ANALYSES, analysis_of
from lab.commands.options import DEFAULT_HOME, Checkpoint, Home, RunName
from lab.run.files import write_atomically
from lab.run.stored_run import StoredRun


def analyse_command(
    run: RunName,
    name: Annotated[str, typer.Argument(metavar="ANALYSIS", help=f"one of {', '.join(ANALYSES.names)}")],
    checkpoint: Checkpoint = "best",
    figure: Annotated[Path | None, typer.Option(help="also write a figure of the result to this SVG file")] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Analyse a stored run at one checkpoint; estimates come with confidence intervals."""
    torch.set_num_threads(1)
    if figure is not None:
        _check_figure(figure)
    analysis = analysis_of(name, "lab analyse")
    stored = StoredRun(home, run, checkpoint)
    result = analysis.analyse(stored)
    value = {"run": stored.folder.identity, "checkpoint": checkpoint, "step": stored.step, **result.tree()}
    if figure is not None:
        write_atomically(figure, _figure_of(name, result.rows).encode())
        value["figure"] = str(figure)
    answer(value, as_json, "\n".join(result.lines))


def _check_figure(path: Path) -> None:
    if path.suffix != ".svg" or not path.absolute().parent.is_dir():
        raise UserError(f"--figure {path}: should end in .svg and lie in a folder that exists")


def _figure_of(name: str, rows: Sequence[Row]) -> str:
    """Returns the figure of an analysis as an SVG file.

    Raises:
        UserError: no exhibit draws that analysis.
    """
    from reports.drawing.svg import standalone
    from reports.exhibits.table import exhibits_on

    exhibits = exhibits_on("analysis", rows).get(name, [])
    panels = [panel for exhibit in exhibits for panel in exhibit.figures()]
    if not panels:
        raise UserError(f"--figure: no exhibit draws the analysis {name}; leave the option out")
    return standalone(panels)
