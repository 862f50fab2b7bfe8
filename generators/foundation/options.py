"""Command line options that several commands share, and functions that print their answers."""

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from generators.foundation.streams import answer_stream, with_pictures

Json = Annotated[bool, typer.Option("--json", help="print one JSON object to standard output")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a setting, for example objective.n=4; repeatable"),
]

TEXT_WIDTH_MINIMUM = 30
"""Characters that a column of texts has, however narrow the terminal is."""


def answer(value: Any, as_json: bool, prose: str) -> None:
    """Prints a command's answer on standard output: `value` as JSON, or `prose`."""
    text = json.dumps(value, allow_nan=False) if as_json else with_pictures(prose.rstrip())
    answer_stream().write(text + "\n")


def two_columns(texts: Mapping[str, str]) -> list[str]:
    """Returns lines with names in one column and their texts, wrapped, in another.

    No line is wider than the terminal, or than 80 characters if the output is no terminal, unless a single word is
    wider.
    """
    margin = 2 + max(map(len, texts), default=0)
    width = max(shutil.get_terminal_size().columns, margin + TEXT_WIDTH_MINIMUM)
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    wrapper.subsequent_indent = " " * margin
    lines = []
    for name, text in texts.items():
        wrapper.initial_indent = f"{name:<{margin}}"
        lines += wrapper.wrap(text) or [name]
    return lines


def note(line: str) -> None:
    """Prints a line of progress on standard error; standard output is for answers."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
