"""lab study list|show|run|search|status, lab claims."""

import os
from typing import Annotated

import typer

from generators.errors import UserError, WorkFailed
from generators.options import Assignments, Json, answer, note
from generators.settings import Tree
from lab.options import DEFAULT_HOME, Home
from studies.claims import Judgement, judge
from studies.executors.table import Setup, executor
from studies.ledger import confirmed, failures, read_ledger, study_folder
from studies.loading import CATALOG, catalog, declared, load
from studies.progress import Reporter
from studies.search_commands import search_command
from studies.sweep import WHOLE, Shard, Sweep, find_study

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
study_app = typer.Typer(no_args_is_help=True, help="Questions, declared as data and swept.")
app.add_typer(study_app, name="study")
study_app.command("search")(search_command)

Name = Annotated[str, typer.Argument(metavar="STUDY", help="a catalog name, or the path of a study file")]
Scale = Annotated[str, typer.Option(help="smoke: seconds, to see it run; cpu: minutes; gpu: the paper's sizes")]
StoredScale = Annotated[str | None, typer.Option("--scale", help="by default the scale that ran last")]


@study_app.command("list")
def list_command(as_json: Json = False) -> None:
    """The studies that are shipped."""
    studies = {name: declared(CATALOG / f"{name}.toml") for name in catalog()}
    rows = [f"{name:<22}{study.question}" for name, study in studies.items()]
    value = {name: {"title": study.title, "question": study.question} for name, study in studies.items()}
    answer(value, as_json, "\n".join([*rows, "", "next: lab study show quick"]))


@study_app.command("show")
def show_command(name: Name, scale: Scale = "cpu", assignments: Assignments = None, as_json: Json = False) -> None:
    """What a study would run, before anything runs."""
    study = load(name, scale, assignments or [])
    declaration = study.declaration
    search = ", ".join(f"{key} from {span.low:g} to {span.high:g}" for key, span in declaration.tuning.search.items())
    lines = [
        declaration.title,
        f"{study.source}, scale {scale}: {declaration.scales[scale].summary}",
        f"question: {declaration.question}",
        f"cells: {len(study.cells)}, each tuned in {study.trials} trials ({search}), then {study.seeds} fresh seeds",
        *(f"  {cell.label}" for cell in study.cells),
        *(f"{key}: {study.described(key, level)}" for key in declaration.levels for level in study.factors[key]),
        f"runs: {study.runs}",
        *(f"claim {claim.name}: {claim.text} (paper: {claim.paper})" for claim in declaration.claims),
        f"next: lab study run {name}" + ("" if scale == "cpu" else f" --scale {scale}"),
    ]
    value = {
        "study": study.name,
        "scale": scale,
        "cells": [cell.label for cell in study.cells],
        "trials": study.trials,
        "seeds": study.seeds,
        "runs": study.runs,
        "claims": [claim.model_dump(mode="json") for claim in declaration.claims],
    }
    answer(value, as_json, "\n".join(lines))


@study_app.command("run")
def run_command(
    name: Name,
    scale: Scale = "cpu",
    assignments: Assignments = None,
    where: Annotated[
        str, typer.Option("--executor", help="here: this process; local: workers on this machine; ray: on a cluster")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="runs at once, one thread each; by default one a core, one on a GPU")
    ] = None,
    run_limit: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="a run that takes longer is ended and has failed")
    ] = None,
    address: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="of a Ray cluster that exists")] = None,
    gpus_per_run: Annotated[float | None, typer.Option(min=0, help="on Ray: 0.25 lets four runs share one")] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/K", help="this command does part I of K of the cells; docs/clusters.md")
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Run what is missing of a study, and nothing else; then judge its claims."""
    study = load(name, scale, assignments or [])
    part = parse_shard(shard) if shard else WHOLE
    cores = os.cpu_count() or 1
    usual = cores if study.base.get("training", {}).get("device", "cpu") == "cpu" else 1
    setup = Setup(workers, run_limit, address, gpus_per_run)
    place = executor(where, setup, home, study_folder(home, study.name, scale), usual)
    again = f"lab study run {name}" + ("" if scale == "cpu" else f" --scale {scale}")
    with Reporter(study, part.of(study.cells), place.count) as reporter:
        sweep = Sweep(study, home, reporter.ended, part)
        cells = [state.tree() for state in sweep.run(place)]
    failed = failures(cells)
    value = {"study": name, "scale": scale, "trained": reporter.trained, "failed": failed}
    if part != WHOLE:
        prose = f"shard {shard}: {sweep.done} of {sweep.runs} runs ended; when every shard has: {again}"
        answer(value | {"shard": shard}, as_json, prose)
    else:
        verdicts = judge(study, confirmed(cells))
        answer(value | {"verdicts": [one.tree() for one in verdicts]}, as_json, "\n".join(map(sentence, verdicts)))
        note(f"next: {again.replace('study run', 'report')}")
    if failed:
        raise WorkFailed(f"{len(failed)} runs failed: " + "; ".join(failed[:5]))


@study_app.command("status")
def status_command(name: Name, scale: StoredScale = None, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """How far a study is."""
    study = find_study(home, name, scale)
    cells = {cell["cell"]: counted(cell["entries"]) for cell in read_ledger(home, study)}
    rows = [
        f"{label:<32}{counts['tune']} of {study.trials} trials, {counts['confirm']} of {study.seeds} seeds, "
        f"{counts['failed']} failed"
        for label, counts in cells.items()
    ]
    total = f"{sum(counts['ended'] for counts in cells.values())} of {study.runs} runs ended"
    value = {"study": study.name, "scale": study.scale, "runs": study.runs, "cells": cells}
    answer(value, as_json, "\n".join([*rows, total]))


@app.command("claims")
def claims_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="by default every study that ran")
    ] = None,
    scale: StoredScale = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """The verdict on every claim, from what is stored."""
    chosen = names or sorted({path.parent.parent.name for path in home.glob("studies/*/*/study.json")})
    if not chosen:
        raise UserError(f"no study ran under {home}; start with: lab study run quick")
    value, lines = {}, []
    for name in chosen:
        study = find_study(home, name, scale)
        verdicts = judge(study, confirmed(read_ledger(home, study)))
        value[study.name] = {"scale": study.scale, "verdicts": [one.tree() for one in verdicts]}
        lines += [f"{study.name}, scale {study.scale}", *(f"  {sentence(one)}" for one in verdicts)]
    answer(value, as_json, "\n".join(lines))


def sentence(judgement: Judgement) -> str:
    """A verdict in one line."""
    found = judgement.contrast
    measured = ""
    if found and judgement.level:
        share = f"{100 * (1 - judgement.level):g}%"
        measured = f"difference {found.difference:+.3f}, {share} interval {found.low:+.3f} to {found.high:+.3f}; "
    return f"{judgement.verdict.upper()}: {judgement.claim.text} ({measured}{judgement.reason})"


def counted(entries: list[Tree]) -> dict[str, int]:
    """Scored trials and seeds, and failures, of a cell."""
    scored = [entry["phase"] for entry in entries if entry["score"] is not None]
    failed = sum(entry["failure"] is not None for entry in entries)
    return {
        "tune": scored.count("tune"),
        "confirm": scored.count("confirm"),
        "failed": failed,
        "ended": len(scored) + failed,
    }


def parse_shard(text: str) -> Shard:
    """`1/4` to `4/4`."""
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UserError(f"--shard {text}: should be one of 1/K to K/K, where K is the number of shards")
    return Shard(int(number), int(count))
