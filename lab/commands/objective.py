"""lab objective list, lab objective show, lab objective check."""

from typing import Annotated

import typer
from pydantic.fields import FieldInfo

from generators.foundation.errors import WorkFailed
from generators.foundation.options import Assignments, Json, answer
from lab.objectives.check import check_objective
from lab.objectives.table import OBJECTIVES

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
objective_app = typer.Typer(no_args_is_help=True, help="Objectives: list them, show settings, check one of your own.")
app.add_typer(objective_app, name="objective")

Kind = Annotated[str, typer.Argument(metavar="KIND", help="a name that `lab objective list` gives")]


@app.callback()
def group() -> None:
    """Objectives."""


@objective_app.command("list")
def list_command(as_json: Json = False) -> None:
    """The objectives, with what each is."""
    summaries = OBJECTIVES.summaries()
    rows = [f"{kind:<20}{summary}" for kind, summary in summaries.items()]
    answer(summaries, as_json, "\n".join([*rows, "", "next: lab objective show multi_token"]))


@objective_app.command("show")
def show_command(kind: Kind, as_json: Json = False) -> None:
    """The settings of an objective: defaults, and what they mean."""
    fields = OBJECTIVES.config_of(kind, "lab objective").model_fields
    value = {
        name: {"default": None if field.is_required() else field.default, "description": field.description or ""}
        for name, field in fields.items()
        if name != "kind"
    }
    width = 2 + max(map(len, value), default=0)
    rows = [f"{name:<{width}}{default(fields[name]):<14}{each['description']}" for name, each in value.items()]
    answer(value, as_json, "\n".join([f'kind = "{kind}"', *rows]))


def default(field: FieldInfo) -> str:
    """What a setting is where it is not given."""
    return "to be given" if field.is_required() else "absent" if field.default is None else str(field.default)


@objective_app.command("check")
def check_command(kind: Kind, assignments: Assignments = None, as_json: Json = False) -> None:
    """Check an objective against the contract: one gradient whatever the loss, and no look at what is to come."""
    findings = check_objective(OBJECTIVES.configured(kind, assignments, f"lab objective, kind {kind}"))
    rows = [f"WRONG  {one.name}: {one.wrong}" if one.wrong else f"ok     {one.name}" for one in findings]
    answer({one.name: one.wrong or "ok" for one in findings}, as_json, "\n".join(rows))
    if wrong := sum(bool(one.wrong) for one in findings):
        raise WorkFailed(
            f"objective {kind}: {wrong} of {len(findings)} checks found something; the lines above say what"
        )
