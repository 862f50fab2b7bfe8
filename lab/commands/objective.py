"""Implements `lab objective list`, `lab objective show` and `lab objective check`."""

from typing import Annotated

import typer

from generators.foundation.errors import WorkFailed
from generators.foundation.options import Json, answer, two_columns
from generators.setting_rows import setting_lines, setting_rows
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
    """Show the settings of an objective, with their types, ranges, defaults and meanings."""
    rows = setting_rows(OBJECTIVES.config_of(kind, "lab objective"))
    value = {row.key: row.tree() for row in rows}
    answer(value, as_json, "\n".join([f'kind = "{kind}"', *setting_lines(rows)]))


@objective_app.command("check")
def check_command(kind: Kind, assignments: ObjectiveAssignments = None, as_json: Json = False) -> None:
    """Check an objective's gradients, causality, heads and parameter counts."""
    checks = check_objective(OBJECTIVES.configured(kind, assignments, f"lab objective, kind {kind}"))
    rows = [f"WRONG  {check.name}: {check.problem}" if check.problem else f"ok     {check.name}" for check in checks]
    answer({check.name: check.problem or "ok" for check in checks}, as_json, "\n".join(rows))
    if failures := sum(bool(check.problem) for check in checks):
        raise WorkFailed(f"objective {kind}: {failures} of {len(checks)} checks failed; the lines above say why")
