"""Options and arguments that several commands share."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from generators.foundation.errors import UserError
from lab.home import DEFAULT_HOME as DEFAULT_HOME
from lab.home import HOME_VARIABLE, home_folder

if TYPE_CHECKING:
    from generators.task import Task

Home = Annotated[
    Path, typer.Option("--home", envvar=HOME_VARIABLE, help="folder for runs, studies and reports", file_okay=False)
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="a run's identity, or a unique prefix of it")]
Checkpoint = Annotated[str, typer.Option(help="best, last, or a step whose weights were kept")]
Split = Annotated[str | None, typer.Option(help="a held-out split of the run's task; by default its first test split")]


def home_option(home: Path) -> str:
    """Returns ` --home HOME`, quoted for a shell; empty for the default home."""
    return "" if home == home_folder() else f" --home {shlex.quote(str(home))}"


def held_out_size(task: "Task", split: str) -> int:
    """Returns the number of samples of a held-out split.

    Raises:
        UserError: the task has no held-out split of that name.
    """
    sizes = {name: size for name, size in task.splits.items() if size is not None and name != "train"}
    if split not in sizes:
        raise UserError(f"--split {split}: should be one of {', '.join(sizes)}")
    return sizes[split]
