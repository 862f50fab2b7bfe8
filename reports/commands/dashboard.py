"""Implements `lab dashboard`."""

import signal
import threading
import time
from typing import Annotated

import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer, note
from generators.foundation.streams import answer_stream
from lab.commands.options import DEFAULT_HOME, Home
from reports.dashboards.board import Board
from reports.dashboards.server import dashboard, listen, serve
from reports.dashboards.sources import shown, sources
from reports.frames.selection import nothing_ran
from reports.pages.study import render_study
from studies.ledger.declared_study import study_in
from studies.ledger.folder import StudyFolder
from studies.reading.judged import read_judged


def dashboard_command(
    name: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="by default every stored study and search")
    ] = None,
    scale: Annotated[str | None, typer.Option(help="by default every stored scale")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="on 127.0.0.1; 0 chooses a free one")] = 8080,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Open optuna-dashboard on the runs of studies and searches. It is read-only and shows runs as they end."""
    drawing = threading.Lock()
    shown_name, kind = shown(home, name, scale)

    def page(name: str, scale: str) -> str:
        if ("study", name, scale) not in board.displayed:
            raise UserError(f"no study {name!r} at scale {scale!r} is shown here")
        with drawing:  # matplotlib is not thread-safe
            return render_study(read_judged(home, study_in(StudyFolder(home, name, scale))))

    try:
        board = Board(lambda: sources(home, shown_name, scale, kind))
        application = dashboard(board.storage)
        if not board.find_sources():
            raise nothing_ran(home, scale, shown_name)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the server as Ctrl-C does
        server = listen(application, page, port)
        started = time.monotonic()
        board.update()
        trials = {study.study_name: len(study.trials) for study in board.studies()}
        url = f"http://127.0.0.1:{server.server_port}/"
        rows = [f"{study}: {count} trials" for study, count in trials.items()]
        value = {"url": url, "studies": trials, "left_out": sorted(board.reported_errors)}
        answer(value, as_json, "\n".join([*rows, url]))
        answer_stream().flush()
        note(f"read in {time.monotonic() - started:z.1f} s; Ctrl-C ends it")
        serve(server, board)
    except KeyboardInterrupt:  # while it was still reading
        pass
