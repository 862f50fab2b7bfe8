"""Implements `lab objective list`, `lab objective show` and `lab objective check`."""

from typing import Annotated

import typer

from generators.foundation.options import Json
from lab.commands.parts import print_checks, print_parts, print_settings
from lab.objectives.check import check_objective, small_model
from lab.objectives.checks.network import MODEL
from lab.objectives.table import OBJECTIVES

objective_app = typer.Typer(no_args_is_help=True, help="List objectives, show their settings, check your own.")
Kind = Annotated[str, typer.Argument(metavar="KIND", help="an objective from `lab objective list`")]
ObjectiveAssignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a setting of the objective, for example n=4; repeatable"),
]
ModelKind = Annotated[
    str | None,
    typer.Option("--model", metavar="KIND", help="the trunk, from `lab model list`; llama if it is not given"),
]


@objective_app.command("list")
def list_command(as_json: Json = False) -> None:
    """List the objectives, one per line."""
    print_parts(OBJECTIVES, as_json, "lab objective show multi_token")


@objective_app.command("show")
def show_command(kind: Kind, as_json: Json = False) -> None:
    """Show the settings of an objective, with their types, ranges, defaults and meanings."""
    print_settings(OBJECTIVES, kind, as_json)


@objective_app.command("check")
def check_command(
    kind: Kind, assignments: ObjectiveAssignments = None, model: ModelKind = None, as_json: Json = False
) -> None:
    """Check an objective's gradients, causality, heads and parameter counts."""
    config = OBJECTIVES.configured(kind, assignments, f"lab objective, kind {kind}")
    trunk = small_model(model, None, f"--model {model}", MODEL.shape.layers) if model else None
    print_checks(f"objective {kind}{f' on {model}' if model else ''}", check_objective(config, trunk), as_json)
