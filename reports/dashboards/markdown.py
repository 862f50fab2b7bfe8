"""Escapes text for use inside Markdown."""

import re


def escape_markdown(text: str) -> str:
    """Returns a text that Markdown, and the HTML and formulas inside it, show unchanged."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
