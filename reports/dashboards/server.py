"""Serves optuna-dashboard with a board behind it, on the loopback address of this machine and for reading only.

Requests to change anything are refused, since they would not change the store, and the page hides the controls
that make them. Requests under another host name, which pages of other sites could make, are refused too.
"""

import json
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from generators.foundation.errors import UserError
from lab.doctor.extras import install_command
from reports.dashboards.board import Board
from reports.dashboards.hiding import without_controls
from reports.dashboards.studies import REPORTS_PATH

HOST = "127.0.0.1"
PAGES_PATH = "/dashboard"
UPDATE_EVERY_SECONDS = 3.0

RenderReport = Callable[[str, str], str]
"""Study, scale -> its report as HTML; raises UserError if there is none."""


class DashboardServer(ThreadingMixIn, WSGIServer):
    """Answers each request in its own thread; threads do not keep the process alive."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    """Handles requests without logging them."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


def dashboard(storage: Any) -> WSGIApplication:
    """Returns optuna-dashboard's own application.

    Raises:
        UserError: optuna-dashboard is not installed.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise UserError(f"lab dashboard needs optuna-dashboard: {install_command('optuna-dashboard')}") from None
    application: WSGIApplication = wsgi(storage)
    return application


def listen(application: WSGIApplication, render_report: RenderReport, port: int) -> WSGIServer:
    """Returns a server that listens on a port; port 0 stands for any free one.

    Raises:
        UserError: the port is not available.
    """
    try:
        return make_server(HOST, port, read_only(application, render_report), DashboardServer, QuietHandler)
    except OSError as error:
        raise UserError(
            f"--port {port}: is not available ({error.strerror}); give another, or 0 for any free one"
        ) from None


def serve(server: WSGIServer, board: Board) -> None:
    """Answers requests and keeps the board up to date, until Ctrl-C."""
    stopped = threading.Event()

    def keep_updating() -> None:
        while not stopped.wait(UPDATE_EVERY_SECONDS):
            board.update()

    threading.Thread(target=keep_updating, daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        stopped.set()
    finally:
        server.server_close()


def read_only(application: WSGIApplication, render_report: RenderReport) -> WSGIApplication:
    """Returns an application that forwards only GET and HEAD requests, and that also serves the reports of studies."""

    def respond(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")  # WSGI decodes UTF-8 as latin-1
        if urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname not in (HOST, "localhost"):
            return refuse(start, "403 Forbidden", f"request this page as http://{HOST}")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return refuse(start, "405 Method Not Allowed", "this dashboard is read-only")
        if path.startswith(PAGES_PATH):
            return without_controls(application, environ, start)
        if not path.startswith(REPORTS_PATH):
            return application(environ, start)
        name, _, scale = path.removeprefix(REPORTS_PATH).partition("/")
        try:
            html = render_report(name, scale)
        except UserError as error:
            return refuse(start, "404 Not Found", str(error))
        start("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [html.encode()]

    return respond


def refuse(start: StartResponse, status: str, reason: str) -> Iterable[bytes]:
    """Responds with a reason, in the form that the dashboard's page shows."""
    start(status, [("Content-Type", "application/json")])
    return [json.dumps({"reason": reason}).encode()]
