"""Implements `lab study unpack`."""

from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.options import Json, answer
from lab.commands.options import DEFAULT_HOME, Home, home_option


def unpack_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="archives that lab study pack wrote")],
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Unpack archived studies into this home; existing files are never overwritten."""
    from studies.ledger.archive import unpack

    unpacked = [(path, *unpack(path, home)) for path in files]
    value = [{"file": str(path), "study": study, "scale": scale, "runs": runs} for path, study, scale, runs in unpacked]
    lines = [f"{study}, scale {scale}: {runs} runs" for _, study, scale, runs in unpacked]
    answer(value, as_json, "\n".join([*lines, f"next: lab report{home_option(home)}"]))
