"""lab report, lab dashboard."""

import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from generators.errors import UserError
from generators.options import Json, answer, note
from lab.options import DEFAULT_HOME, Home
from lab.store import write_whole
from reports.dashboard import Board, StudySource
from reports.page import render
from reports.results import COMPLETE, read_results
from reports.searches import sources
from reports.server import dashboard, listen, serve
from reports.watching import REFRESH_SECONDS, watch
from studies.claims import Judgement, judge
from studies.commands import Name, StoredScale, sentence
from studies.ledger import study_folder
from studies.sweep import find_study, scores_for

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def group() -> None:
    """Reading what is stored."""


@app.command("report")
def report_command(
    name: Name,
    scale: StoredScale = None,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="by default reports/STUDY-SCALE.html under the lab's home")
    ] = None,
    watching: Annotated[
        bool, typer.Option("--watch", help="write it anew while the study runs, until it ends")
    ] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write a study's page: one self-contained HTML file, the answer first."""
    first = find_study(home, name, scale)
    path = (out or home / "reports" / f"{first.name}-{first.scale}.html").absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {path}: no folder can be made there ({error.strerror}); give another path") from None

    def write(refresh_seconds: int | None = None) -> tuple[list[Judgement], str, int]:
        study = find_study(home, name, first.scale)
        results = read_results(home, study)
        verdicts = judge(study, scores_for(study, results.cells))
        write_whole(path, render(results, verdicts, home, refresh_seconds).encode())
        complete = int((results.runs["status"] == COMPLETE).sum())
        return verdicts, f"{complete} of {study.runs} runs complete", complete

    if watching:
        watch(
            StudySource(home, first.name, first.scale),
            lambda: f"{write(REFRESH_SECONDS)[1]}, page written anew: {path}; Ctrl-C ends it",
        )
    verdicts, said, complete = write()
    value = {"report": str(path), "study": first.name, "scale": first.scale, "runs": complete}
    lines = [*map(sentence, verdicts), said, f"page: {path}"]
    answer(value | {"verdicts": [one.tree() for one in verdicts]}, as_json, "\n".join(lines))


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
        if study_folder(home, name, scale) not in board.shown:
            raise UserError(f"no study {name!r} at scale {scale!r} is shown here")
        with drawing:  # matplotlib draws one figure at a time
            study = find_study(home, name, scale)
            results = read_results(home, study)
            return render(results, judge(study, scores_for(study, results.cells)), home)

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
