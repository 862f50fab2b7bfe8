"""Fills templates: each page is one self-contained HTML file with its style and its script inside.

Values are text and are escaped; only figures are inserted as markup.
"""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from generators.foundation.streams import with_pictures

TEMPLATES = Path(__file__).parent / "templates"


def fill_template(template: str, title: str, refresh_seconds: int | None = None, **values: object) -> str:
    """Returns a page.

    Args:
        template: file name of the template.
        title: of the page.
        refresh_seconds: interval after which a browser loads the page again; None for never.
        values: what the template shows.
    """
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(
        title=title,
        refresh_seconds=refresh_seconds,
        script=Markup(script),
        script_digest=b64encode(sha256(script.encode()).digest()).decode(),
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        **values,
    )
    return with_pictures(page)
