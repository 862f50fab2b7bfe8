"""Implements `lab analyse`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.options import Json, answer
from generators.foundation.outputs import check_output_file, make_output_folder
from generators.foundation.outside import note_once
from lab.analysis.analysis import Row
from lab.analysis.table import ANALYSES, analyse, analysis_of
from lab.commands.options import DEFAULT_HOME, Checkpoint, Home, RunName
from lab.commands.stored import open_run
from lab.run.files import write_atomically


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
    analysis_of(name, "lab analyse")
    if figure is not None:
        _check_figure(figure, name)
    stored = open_run(home, run, checkpoint)
    result = analyse(name, stored)
    value = {"run": stored.folder.identity, "checkpoint": checkpoint, "step": stored.step, **result.tree()}
    value["changed_code"] = stored.folder.changed_code()
    failures: list[str] = []
    if figure is not None:
        content, failures = _figure_of(name, result.rows)
        if content:
            make_output_folder("--figure", figure, figure.absolute().parent)
            write_atomically(figure, content.encode())
            value["figure"] = str(figure)
    answer(value, as_json, "\n".join(result.lines))
    if failures:
        raise WorkFailed(f"--figure {figure}: the figure lacks the parts that could not be drawn (see above)")


def _check_figure(path: Path, name: str) -> None:
    """Checks that the figure of an analysis can be drawn and written.

    Raises:
        UserError: the path is not that of an SVG file that can be written, or no exhibit draws that analysis.
    """
    from reports.exhibits.table import EXHIBITS

    check_output_file("--figure", path, (".svg",))
    classes, left_out = EXHIBITS.usable()
    for sentence in left_out:
        note_once(sentence)
    if not any((exhibit.page, exhibit.section) == ("analysis", name) for exhibit in classes.values()):
        raise UserError(f"--figure {path}: no exhibit draws the analysis {name}; leave the option out")


def _figure_of(name: str, rows: Sequence[Row]) -> tuple[str, list[str]]:
    """Draws an analysis.

    Returns:
        its figure as an SVG file, empty if nothing could be drawn; a sentence for each exhibit that could not be drawn.

    Raises:
        UserError: its exhibits draw nothing from these rows.
    """
    from reports.drawing.svg import standalone
    from reports.exhibits.drawn import ExhibitProblems, drawn_on

    problems = ExhibitProblems()
    exhibits = drawn_on("analysis", rows, problems, section=name).get(name, [])
    panels = [panel for exhibit in exhibits for panel in exhibit.figures]
    if not (panels or problems.failures):
        raise UserError(f"--figure: the analysis {name} of this run has nothing to draw; leave the option out")
    return standalone(panels) if panels else "", problems.failures
