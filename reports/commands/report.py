"""Implements `lab report`."""

from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.options import Json, answer
from lab.commands.options import DEFAULT_HOME, Home
from reports.commands.options import Studies
from reports.exhibits.drawn import check_drawn
from reports.pages.watching import watch
from reports.pages.writing import ReportWriter
from studies.commands.options import StoredScale


def report_command(
    names: Studies = None,
    scale: StoredScale = None,
    out: Annotated[
        Path | None,
        typer.Option(help="file for one study, folder for several; by default `reports` under --home"),
    ] = None,
    watching: Annotated[bool, typer.Option("--watch", help="rewrite the page until the study ends")] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write the page of a study: one self-contained HTML file, verdicts first.

    For several studies or a collection, write their pages and an index of their claims.
    """
    writer = ReportWriter(home, names or [], scale, out)
    if watching:
        watch(writer)
    value, lines = writer.write()
    answer(value, as_json, "\n".join(lines))
    check_drawn(writer.failed_exhibits)
