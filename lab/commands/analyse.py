"""lab analyse."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer
from lab.analysis.table import ANALYSES, analyse, figure_of
from lab.commands.options import DEFAULT_HOME, Home
from lab.run.store import write_whole
from lab.run.stored_run import StoredRun

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
NAMES = ", ".join(ANALYSES.names)


@app.callback()
def group() -> None:
    """Why it works."""


@app.command("analyse")
def analyse_command(
    run: Annotated[str, typer.Argument(help="a run's identity, or the start of it")],
    name: Annotated[str, typer.Argument(metavar="ANALYSIS", help=f"one of {NAMES}")],
    checkpoint: Annotated[str, typer.Option(help="best, last, or a step whose weights were kept")] = "best",
    figure: Annotated[Path | None, typer.Option(help="write what was measured as an SVG here")] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Measure why a stored run does what it does: estimates with their errors, on any checkpoint."""
    torch.set_num_threads(1)
    if figure is not None and (figure.suffix != ".svg" or not figure.absolute().parent.is_dir()):
        raise UserError(f"--figure {figure}: should be a file that ends in .svg, in a folder that is there")
    stored = StoredRun(home, run, checkpoint)
    found = analyse(name, stored)
    value = {"run": stored.folder.identity, "checkpoint": checkpoint, "step": stored.step, **found.tree()}
    if figure is not None:
        write_whole(figure, figure_of(name)(found.rows).encode())
        value["figure"] = str(figure)
    answer(value, as_json, "\n".join(found.lines))
