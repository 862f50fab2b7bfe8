"""Implements `lab figure`."""

from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer, two_columns
from generators.foundation.outputs import check_output_file, make_output_folder
from lab.commands.options import DEFAULT_HOME, Home
from reports.drawing.paper_files import ENDINGS
from reports.exhibits.paper import INCHES, WIDTHS, draw_for_paper, figures_of
from studies.commands.options import StoredScale
from studies.ledger.declared_study import find_study
from studies.reading.judged import read_judged


def figure_command(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="a study that ran, or the path of its file")],
    exhibit: Annotated[
        str | None, typer.Argument(metavar="[EXHIBIT]", help="without it, lists the exhibits of the study")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="FILE.pdf, FILE.svg or FILE.png; by default EXHIBIT.pdf")
    ] = None,
    width: Annotated[
        str, typer.Option(help="column (3.25 inches, ICML), page (6.75 inches, ICML), or inches")
    ] = "column",
    scale: StoredScale = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Draw one exhibit of a study's page for a paper, at the width of a column or a page."""
    inches = _inches(width)
    if out is not None:
        check_output_file("--out", out, ENDINGS)
    if exhibit is None and out is not None:
        raise UserError(f"--out {out}: needs the name of an exhibit; lab figure {name} lists them")
    judged = read_judged(home, find_study(home, name, scale))
    if exhibit is None:
        titles = figures_of(judged)
        lines = two_columns({exhibit_name: "; ".join(panels) for exhibit_name, panels in titles.items()})
        answer({"study": judged.study.name, "exhibits": titles}, as_json, "\n".join(lines))
        return
    path = out or Path(exhibit.replace("/", "-") + ".pdf")
    check_output_file("--out", path, ENDINGS)
    make_output_folder("--out", path, path.absolute().parent)
    draw_for_paper(judged, exhibit, path, inches)
    value = {"figure": str(path.absolute()), "study": judged.study.name, "exhibit": exhibit, "inches": inches}
    answer(value, as_json, f"{exhibit} of {judged.study.name}, {inches:zg} inches wide: {path}")


def _inches(width: str) -> float:
    """Returns a width in inches.

    Raises:
        UserError: it is neither a name nor a number of inches that a paper has.
    """
    try:
        inches = WIDTHS[width] if width in WIDTHS else float(width)
    except ValueError:
        inches = 0.0
    if not INCHES[0] <= inches <= INCHES[1]:
        low, high = INCHES
        raise UserError(f"--width {width}: should be column, page, or inches from {low:zg} to {high:zg}")
    return inches
