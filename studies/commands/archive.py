"""lab study pack, lab study unpack."""

from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer
from lab.commands.options import DEFAULT_HOME, Home
from studies.commands.collection import expanded

Names = Annotated[list[str], typer.Argument(metavar="STUDY...", help="studies that ran, or a collection")]
Archives = Annotated[list[Path], typer.Argument(metavar="FILE...", help="what lab study pack wrote")]
Folder = Annotated[Path, typer.Option("--out", file_okay=False, help="the folder they are written to")]
AtScale = Annotated[str | None, typer.Option("--scale", help="by default the scale that ran last")]


def pack_command(
    names: Names, out: Folder, scale: AtScale = None, home: Home = DEFAULT_HOME, as_json: Json = False
) -> None:
    """Write each study and its runs, without weights, as one file that others can unpack, report and judge."""
    from lab.run.files import write_atomically
    from studies.ledger.archive import pack

    packed = [pack(home, name, scale) for name in expanded(names, scale, home)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: no folder can be made there ({error.strerror}); give another") from None
    for name, content in packed:
        write_atomically(out / name, content)
    value = {str(out / name): len(content) for name, content in packed}
    answer(value, as_json, "\n".join(f"{path}: {size / 1000:,.0f} kB" for path, size in value.items()))


def unpack_command(files: Archives, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Put studies that were packed into this home; nothing that is there is written over."""
    from studies.ledger.archive import unpack

    found = [(path, *unpack(path, home)) for path in files]
    value = [{"file": str(path), "study": study, "scale": scale, "runs": runs} for path, study, scale, runs in found]
    rows = [f"{study}, scale {scale}: {runs} runs" for _, study, scale, runs in found]
    answer(value, as_json, "\n".join([*rows, f"next: lab report --home {home}"]))
