"""Escapes text for use inside Markdown."""

import re

READ_ONLY = (
    "This dashboard is read-only: nothing can be created, renamed, edited or deleted here. Settings that do not vary "
    "are user attributes of a trial, because they have no importance that could be computed."
)


def escape_markdown(text: str) -> str:
    """Returns a text that Markdown, and the HTML and formulas inside it, show unchanged."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
