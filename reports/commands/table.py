"""Implements `lab table`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from generators.foundation.options import Json, answer
from generators.foundation.outputs import check_output_file, make_output_folder
from lab.commands.options import DEFAULT_HOME, Home
from lab.run.files import write_atomically
from reports.drawing.table_text import latex_table, markdown_table
from reports.exhibits.paper_tables import arms_frame, arms_table, claims_frame, claims_table
from studies.commands.options import StoredScale
from studies.ledger.declared_study import find_study
from studies.reading.judged import read_judged

ENDINGS = {"latex": ".tex", "csv": ".csv", "md": ".md"}


def table_command(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="a study that ran, or the path of its file")],
    form: Annotated[
        Literal["latex", "csv", "md"], typer.Option("--format", help="csv has every digit; the others are rounded")
    ] = "latex",
    of: Annotated[
        Literal["claims", "arms"], typer.Option(help="claims with their verdicts, or arms with their scores")
    ] = "claims",
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="FILE.tex, FILE.csv or FILE.md; by default it is printed")
    ] = None,
    scale: StoredScale = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write a table of a study for a paper: claims with effect, interval, p and verdict, or arms with their scores."""
    if out is not None:
        check_output_file("--out", out, (ENDINGS[form],))
    judged = read_judged(home, find_study(home, name, scale))
    if form == "csv":
        text = (claims_frame if of == "claims" else arms_frame)(judged).to_csv(index=False)
    else:
        table = (claims_table if of == "claims" else arms_table)(judged)
        text = (latex_table if form == "latex" else markdown_table)(table) + "\n"
    value = {"study": judged.study.name, "scale": judged.study.scale, "of": of, "format": form}
    if out is None:
        answer(value | {"table": text}, as_json, text)
        return
    make_output_folder("--out", out, out.absolute().parent)
    write_atomically(out, text.encode())
    answer(value | {"file": str(out.absolute())}, as_json, f"{of} of {judged.study.name}: {out}")
