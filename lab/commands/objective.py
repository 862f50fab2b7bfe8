"""Implements `lab objective list`, `lab objective show` and `lab objective check`."""

from typing import Annotated

import typer
from pydantic.fields import FieldInfo

from generators.foundation.errors import WorkFailed
from generators.foundation.options import Json, answer, two_columns
from lab.objectives.check import check_objective
from lab.objectives.table import OBJECTIVES

objective_app = typer.Typer(no_args_is_help=True, help="List objectives, show their settings, check your own.")
Kind = Annotated[str, typer.Argument(metavar="KIND", help="an objective from `lab objective list`")]
ObjectiveAssignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a setting of the objective, for example n=4; repeatable"),
]


@objective_app.command("list")
def list_command(as_json: Json = False) -> None:
    """List the objectives, one per line."""
    summaries = OBJECTIVES.summaries()
    answer(summaries, as_json, "\n".join([*two_columns(summaries), "", "next: lab objective show multi_token"]))


@objective_app.command("show")
def show_command(kind: Kind, as_json: Json = False) -> None:
    """Show the settings of an objective, with their defaults and meanings."""
    fields = OBJECTIVES.config_of(kind, "lab objective").model_fields
    value = {
        name: {"default": None if field.is_required() else field.default, "description": field.description or ""}
        for name, field in fields.items()
        if name != "kind"
    }
    width = 2 + max(map(len, value), default=0)
    rows = {f"{name:<{width}}{default_text(fields[name]):<12}": fields[name].description or "" for name in value}
    answer(value, as_json, "\n".join([f'kind = "{kind}"', *two_columns(rows)]))


def default_text(field: FieldInfo) -> str:
    """Returns the default of a setting as the table shows it."""
    return "required" if field.is_required() else "absent" if field.default is None else str(field.default)


@objective_app.command("check")
def check_command(kind: Kind, assignments: ObjectiveAssignments = None, as_json: Json = False) -> None:
    """Check an objective's gradients, causality, heads and parameter counts."""
    checks = check_objective(OBJECTIVES.configured(kind, assignments, f"lab objective, kind {kind}"))
    rows = [f"WRONG  {check.name}: {check.problem}" if check.problem else f"ok     {check.name}" for check in checks]
    answer({check.name: check.problem or "ok" for check in checks}, as_json, "\n".join(rows))
    if failures := sum(bool(check.problem) for check in checks):
        raise WorkFailed(f"objective {kind}: {failures} of {len(checks)} checks failed; the lines above say why")
