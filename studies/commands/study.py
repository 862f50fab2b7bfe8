"""lab study: the group of the study commands."""

import typer

from studies.commands.list import list_command
from studies.commands.pack import pack_command
from studies.commands.run import run_command
from studies.commands.search import search_command
from studies.commands.show import show_command
from studies.commands.status import status_command
from studies.commands.unpack import unpack_command

study_app = typer.Typer(
    no_args_is_help=True, help="Show, run and follow studies. A study is a question that a sweep of runs answers."
)
study_app.command("list")(list_command)
study_app.command("show")(show_command)
study_app.command("run")(run_command)
study_app.command("status")(status_command)
study_app.command("search")(search_command)
study_app.command("pack")(pack_command)
study_app.command("unpack")(unpack_command)
