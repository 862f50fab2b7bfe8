"""Implements `lab new`."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.errors import UserError
from generators.foundation.kinds import Registry
from generators.foundation.options import Json, answer
from generators.foundation.outputs import check_output_folder
from generators.foundation.settings import suggestion
from lab.doctor.extras import pip
from studies.beginnings.names import check_part_name, check_study_name
from studies.beginnings.writing import beginning_files, write_beginning
from studies.declared.names import run_command_line

STUDY = "study"


def objectives() -> Registry:
    """Returns the table of objectives."""
    from lab.objectives.table import OBJECTIVES

    return OBJECTIVES


def tasks() -> Registry:
    """Returns the table of tasks."""
    from generators.table import TASKS

    return TASKS


def trunks() -> Registry:
    """Returns the table of trunks."""
    from lab.model.table import MODELS

    return MODELS


TABLES: dict[str, Callable[[], Registry]] = {"objective": objectives, "task": tasks, "trunk": trunks}
"""Kind of part -> its table, which is imported only when it is asked for."""
CHECKS = {"objective": "lab objective check", "task": "lab data check", "trunk": "lab model check"}
"""Kind of part -> the command that checks a part."""


def new_command(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="objective, task, trunk or study")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="its name; a part's is a Python name such as my_loss")],
    to: Annotated[Path, typer.Option(help="the folder to write into", file_okay=False)] = Path(),
    as_json: Json = False,
) -> None:
    """Write a package with an objective, a task or a trunk of your own, which installs, passes its check and trains, or
    the commented file of a study that runs. All are small examples to edit. An existing file is never overwritten.
    """
    kinds = [*TABLES, STUDY]
    if kind not in kinds:
        raise UserError(f"lab new {kind}: no such kind; {suggestion(kind, kinds)}")
    if kind == STUDY:
        check_study_name(name)
        folder = to
    else:
        check_part_name(name, kind, TABLES[kind]())
        folder = to / name
    check_output_folder("--to", to)
    paths = write_beginning(beginning_files(kind, name), folder)
    commands = study_commands(paths[0]) if kind == STUDY else part_commands(kind, name, folder)
    value = {"kind": kind, "name": name, "files": list(map(str, paths)), "next": commands}
    answer(value, as_json, "\n".join([*(f"wrote {path}" for path in paths), *(f"next: {line}" for line in commands)]))


def part_commands(kind: str, name: str, folder: Path) -> list[str]:
    """Returns the commands that install, check and train a part."""
    path = quoted_path(folder)
    return [f"{pip()} install -e {path}", f"{CHECKS[kind]} {name}", f"lab train {quoted_path(folder / 'run.toml')}"]


def study_commands(path: Path) -> list[str]:
    """Returns the commands that show and run a study."""
    argument = str(path) if path.is_absolute() else f"./{path}"
    show, smoke = (run_command_line(argument, *rest) for rest in ((None, None, "study show"), ("smoke",)))
    return [show, smoke, run_command_line(argument, None)]


def quoted_path(path: Path) -> str:
    """Returns a path for a shell, in a form that pip takes for a path."""
    return shlex.quote(str(path) if path.is_absolute() else f"./{path}")
