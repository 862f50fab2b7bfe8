"""Hides the controls of optuna-dashboard that would change something, since the server refuses what they request."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CONTROLS = (
    'button:has([data-testid="AddBoxIcon"])',  # create a study
    'button[aria-label="rename study"]',
    'button[aria-label="delete study"]',
    'button:has([data-testid="EditIcon"])',  # edit the note of a study or of a trial
    'button:has([data-testid="StopCircleIcon"])',  # let a running trial fail
)
"""Selectors of the controls, as version 0.21 has them; tests compare them with the version that is installed."""
STYLE = f"<style>{', '.join(CONTROLS)} {{ display: none }}</style></head>"


def without_controls(application: WSGIApplication, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    """Responds as the application does, with the controls hidden in an HTML page."""
    status, headers = "", [("Content-Type", "")]

    def remember(code: str, fields: list[tuple[str, str]], *_: object) -> None:
        nonlocal status, headers
        status, headers = code, fields

    response = application(environ, remember)  # type: ignore[arg-type]
    body = b"".join(response)
    if close := getattr(response, "close", None):
        close()
    if body and dict(headers).get("Content-Type", "").startswith("text/html"):
        body = body.replace(b"</head>", STYLE.encode(), 1)
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        headers.append(("Content-Length", str(len(body))))
    start(status, headers)
    return [body]
