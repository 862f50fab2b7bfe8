"""Implements `lab study pack`."""

from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.options import Json, answer
from generators.foundation.outputs import check_output_folder, make_output_folder
from lab.commands.options import DEFAULT_HOME, Home
from studies.commands.options import StoredScale
from studies.ledger.arguments import checked_names
from studies.ledger.collection_members import expand_collections


def pack_command(
    names: Annotated[list[str], typer.Argument(metavar="STUDY...", help="stored studies, or collections")],
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="the folder to write to")],
    scale: StoredScale = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write each study and its runs, without weights, to an archive from which others can report and judge it."""
    from lab.run.files import write_atomically
    from studies.ledger.archive import pack

    check_output_folder("--out", out)
    archives = [pack(home, name, scale) for name in expand_collections(checked_names(home, names, scale), scale, home)]
    make_output_folder("--out", out, out)
    for name, content in archives:
        write_atomically(out / name, content)
    value = {str(out / name): len(content) for name, content in archives}
    answer(value, as_json, "\n".join(f"{path}: {size / 1000:z,.0f} kB" for path, size in value.items()))
