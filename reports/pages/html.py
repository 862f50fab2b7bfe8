"""A template filled in: one self-contained HTML file, with its style and its script inside. No other script runs in it.

Whatever stands in a value is text, never markup, unless it is `Markup` already, as figures are.
"""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def filled(template: str, title: str, refresh_seconds: int | None = None, **values: object) -> str:
    """A page, as text; one that a browser reads again after so many seconds, if they are given."""
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        title=title,
        refresh_seconds=refresh_seconds,
        script=Markup(script),
        script_digest=b64encode(sha256(script.encode()).digest()).decode(),
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        **values,
    )
