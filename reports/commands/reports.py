"""lab report, lab compare, lab results, lab dashboard."""

import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer, note
from lab.commands.options import DEFAULT_HOME, Home
from lab.run.files import write_atomically
from reports.dashboards.board import Board
from reports.dashboards.searches import sources
from reports.dashboards.server import dashboard, listen, serve
from reports.frames.export import every_run, examine_format, write_frame
from reports.pages.comparison import Side, compare
from reports.pages.index import judged
from reports.pages.study import render
from reports.pages.watching import watch
from reports.pages.writing import Writing, stored_studies
from studies.commands.options import StoredScale
from studies.ledger.declared_study import find_study
from studies.ledger.folder import StudyFolder

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STUDY]...", help="studies, or a collection (paper); by default all that ran"),
]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def group() -> None:
    """Reading what is stored."""


@app.command("report")
def report_command(
    names: Names = None,
    scale: StoredScale = None,
    out: Annotated[
        Path | None,
        typer.Option(help="the file of one study's page, or the folder of several; by default reports under the home"),
    ] = None,
    watching: Annotated[
        bool, typer.Option("--watch", help="write it anew while the study runs, until it ends")
    ] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write a study's page: one self-contained HTML file, the answer first. Of several, of a collection, or of all that
    ran, also the index of their claims."""
    writing = Writing(home, names or [], scale, out)
    if watching:
        watch(writing)
    value, lines = writing.write()
    answer(value, as_json, "\n".join(lines))


@app.command("compare")
def compare_command(
    first: Annotated[str, typer.Argument(metavar="STUDY[@SCALE]", help="by default the scale that ran last")],
    second: Annotated[str, typer.Argument(metavar="STUDY[@SCALE]", help="another study, or the same at another scale")],
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="by default under reports in the home")] = None,
    home: Home = DEFAULT_HOME,
    second_home: Annotated[
        Path | None, typer.Option(file_okay=False, help="the home of the second, if it is another")
    ] = None,
    as_json: Json = False,
) -> None:
    """Two studies side by side on one page: verdicts, effects, and what differs in their settings."""
    one, other = side(home, first), side(second_home or home, second)
    if (one.home.resolve(), one.name) == (other.home.resolve(), other.name):
        raise UserError(f"{first} and {second}: the same study at the same scale; give another scale or --second-home")
    path = (out or home / "reports" / f"{one.name}-{other.name}.html".replace("@", "-")).absolute()
    make_place(path.parent, out)
    compared = compare(one, other)
    write_atomically(path, compared.page.encode())
    answer({"comparison": str(path), "claims": compared.claims}, as_json, f"{compared.said}\npage: {path}")


def side(home: Path, name: str) -> Side:
    """A study to compare, from `STUDY` or `STUDY@SCALE`."""
    stem, _, scale = name.partition("@")
    return Side(home, find_study(home, stem, scale or None))


@app.command("results")
def results_command(
    names: Names = None,
    scale: StoredScale = None,
    out: Annotated[Path, typer.Option(dir_okay=False, help="FILE.csv or FILE.parquet")] = Path("runs.csv"),
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Every run of studies as one table: its cell, seed, settings, scores, parameters, times and machine."""
    examine_format(out)
    make_place(out.absolute().parent, out)
    studies = stored_studies(home, names, scale)
    frame = every_run(home, studies)
    write_frame(frame, out)
    value = {"results": str(out.absolute()), "studies": [study.name for study in studies], "runs": len(frame)}
    answer(value, as_json, f"{len(frame)} runs, {len(frame.columns)} columns: {out}")


def make_place(folder: Path, out: Path | None) -> None:
    """The folder that a page goes to.

    Raises:
        UserError: there can be none.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: no folder can be made there ({error.strerror}); give another path") from None


@app.command("dashboard")
def dashboard_command(
    name: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="by default every study that ran")] = None,
    scale: Annotated[str | None, typer.Option(help="by default every scale that ran")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="on 127.0.0.1; 0: any that is free")] = 8080,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Open optuna-dashboard on the runs of studies: it reads, and goes on reading while they run."""
    drawing = threading.Lock()

    def page(name: str, scale: str) -> str:
        if StudyFolder(home, name, scale).path not in board.shown:
            raise UserError(f"no study {name!r} at scale {scale!r} is shown here")
        with drawing:  # matplotlib draws one figure at a time
            return render(*judged(home, find_study(home, name, scale)), home)

    try:
        board = Board(lambda: sources(home, name, scale))
        application = dashboard(board.storage)
        if not board.find():
            which = f"study {name!r} never ran" if name else "no study ran"
            at = f" at scale {scale}" if scale else ""
            raise UserError(f"{which}{at} under {home}; start with: lab study run {name or 'quick'}")
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
        server = listen(application, page, port)
        started = time.monotonic()
        board.look()
        studies = {study.study_name: len(study.trials) for study in board.studies()}
        url = f"http://127.0.0.1:{server.server_port}/"
        rows = [f"{shown}: {count} trials" for shown, count in studies.items()]
        answer({"url": url, "studies": studies}, as_json, "\n".join([*rows, url]))
        sys.stdout.flush()
        note(f"read in {time.monotonic() - started:.1f} s; Ctrl-C ends it")
        serve(server, board)
    except KeyboardInterrupt:  # while it was still reading
        pass
