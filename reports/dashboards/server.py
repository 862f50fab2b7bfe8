"""optuna-dashboard over a board, on this machine's loopback address, for reading only.

What a dashboard offers to change would change nothing stored, so it is refused; requests that a page from elsewhere
makes under a name of its own are refused too.
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
from reports.dashboards.board import PAGES, Board

HOST = "127.0.0.1"
LOOK_EVERY_SECONDS = 3.0

Page = Callable[[str, str], str]
"""study, scale -> its report as HTML; a UserError where there is none."""


class Server(ThreadingMixIn, WSGIServer):
    """One thread a request; none keeps the process from ending."""

    daemon_threads = True


class Quiet(WSGIRequestHandler):
    """No line a request."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


def dashboard(storage: Any) -> WSGIApplication:
    """optuna-dashboard's own application.

    Raises:
        UserError: it is not installed.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise UserError(
            "lab dashboard needs optuna-dashboard; bring it with: pip install 'mtp-lab[dashboard]'"
        ) from None
    application: WSGIApplication = wsgi(storage)
    return application


def listen(application: WSGIApplication, page: Page, port: int) -> WSGIServer:
    """A server that listens; port 0 is any that is free.

    Raises:
        UserError: the port is not to be had.
    """
    try:
        return make_server(HOST, port, reader(application, page), Server, Quiet)
    except OSError as error:
        raise UserError(
            f"--port {port}: not to be had ({error.strerror}); give another, or 0 for any free one"
        ) from None


def serve(server: WSGIServer, board: Board) -> None:
    """Answer, and look for what is new, until Ctrl-C."""
    over = threading.Event()

    def keep_looking() -> None:
        while not over.wait(LOOK_EVERY_SECONDS):
            board.look()

    threading.Thread(target=keep_looking, daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        over.set()
    finally:
        server.server_close()


def reader(application: WSGIApplication, page: Page) -> WSGIApplication:
    """An application of which only reading is left, with the studies' reports beside it."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")  # what WSGI makes of UTF-8
        if urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname not in (HOST, "localhost"):
            return said(start, "403 Forbidden", f"ask for this page as http://{HOST}")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return said(start, "405 Method Not Allowed", "this dashboard only reads: what is stored stays as it is")
        if not path.startswith(PAGES):
            return application(environ, start)
        name, _, scale = path.removeprefix(PAGES).partition("/")
        try:
            html = page(name, scale)
        except UserError as error:
            return said(start, "404 Not Found", str(error))
        start("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [html.encode()]

    return answer


def said(start: StartResponse, status: str, reason: str) -> Iterable[bytes]:
    """A refusal, in the form the dashboard's page shows."""
    start(status, [("Content-Type", "application/json")])
    return [json.dumps({"reason": reason}).encode()]
