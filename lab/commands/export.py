"""Implements `lab export`."""

from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.options import Json, answer
from generators.foundation.outputs import check_output_folder
from lab.commands.options import DEFAULT_HOME, Checkpoint, Home, RunName
from lab.commands.stored import open_run
from lab.export.folder import export


def export_command(
    run: RunName,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a folder that is empty or does not exist yet")],
    checkpoint: Checkpoint = "best",
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write a stored run as a Hugging Face folder: the next-token path as a Llama, other heads in a separate file."""
    check_output_folder("DIR", folder, empty=True)
    stored = open_run(home, run, checkpoint)
    files = export(stored, folder)
    value = {"run": stored.folder.identity, "folder": str(folder), "checkpoint": checkpoint, "step": stored.step}
    value["changed_code"] = stored.folder.changed_code()
    lines = [
        f"run {stored.folder.identity}, {checkpoint} checkpoint (step {stored.step}): {folder}",
        f"files: {', '.join(files)}",
        f"load: AutoModelForCausalLM.from_pretrained({str(folder)!r})",
    ]
    answer({**value, "files": files}, as_json, "\n".join(lines))
