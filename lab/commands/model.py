"""Implements `lab model list`, `lab model show` and `lab model check`."""

from typing import Annotated

import typer

from generators.foundation.options import Json
from lab.commands.parts import print_checks, print_parts, print_settings
from lab.model.table import MODELS
from lab.objectives.check import check_model, small_model

model_app = typer.Typer(no_args_is_help=True, help="List kinds of models, show their settings, check your own trunk.")
Kind = Annotated[str, typer.Argument(metavar="KIND", help="a kind of model from `lab model list`")]
ModelAssignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a setting of the model, for example layers=4; repeatable"),
]


@model_app.command("list")
def list_command(as_json: Json = False) -> None:
    """List the kinds of models, one per line."""
    print_parts(MODELS, as_json, "lab model show gru")


@model_app.command("show")
def show_command(kind: Kind, as_json: Json = False) -> None:
    """Show the settings of a kind of model, with their types, ranges, defaults and meanings."""
    print_settings(MODELS, kind, as_json)


@model_app.command("check")
def check_command(kind: Kind, assignments: ModelAssignments = None, as_json: Json = False) -> None:
    """Check a trunk's shapes, causality, weights, head layers and cache, and the gradients of two heads on it."""
    checks = check_model(small_model(kind, assignments, f"lab model, kind {kind}"))
    print_checks(f"model {kind}", checks, as_json)
