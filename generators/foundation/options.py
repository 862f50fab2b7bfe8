"""Command line options that several commands share, and functions that print their answers."""

import json
import sys
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="print one JSON object to standard output")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a setting, for example objective.n=4; repeatable"),
]


def answer(value: Any, as_json: bool, prose: str) -> None:
    """Prints a command's answer on standard output: `value` as JSON, or `prose`."""
    sys.stdout.write(json.dumps(value, allow_nan=False) + "\n" if as_json else prose.rstrip() + "\n")


def note(line: str) -> None:
    """Prints a line of progress on standard error; standard output is for answers."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
