"""lab report."""

from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.options import Json, answer
from lab.commands.options import DEFAULT_HOME, Home
from reports.commands.options import Studies
from reports.pages.watching import watch
from reports.pages.writing import ReportWriter
from studies.commands.options import StoredScale


def report_command(
    names: Studies = None,
    scale: StoredScale = None,
    out: Annotated[
        Path | None,
        typer.Option(help="file of one study's page, or folder of several; by default reports in the home"),
    ] = None,
    watching: Annotated[
        bool, typer.Option("--watch", help="write it again while the study runs, until it ends")
    ] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write a study's page, a self-contained HTML file with the answer first.

    For several studies or a collection, write their pages and an index of their claims.
    """
    writer = ReportWriter(home, names or [], scale, out)
    if watching:
        watch(writer)
    value, lines = writer.write()
    answer(value, as_json, "\n".join(lines))
