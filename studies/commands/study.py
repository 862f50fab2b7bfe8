"""lab study list|show|run|status|search|pack|unpack, lab claims. Where a study is asked for, a collection may be named.

Each command imports what it needs when it is called: to ask how far a study is should not take loading torch.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.options import Assignments, Json, answer, note
from lab.commands.options import DEFAULT_HOME, Home
from studies.commands.archive import pack_command, unpack_command
from studies.commands.collection import again, collection_status, expanded, run_collection_command, show_collection
from studies.commands.search import search_command
from studies.declared.catalog import COLLECTIONS, STUDIES
from studies.declared.collection import is_collection, load_collection
from studies.ledger.folder import StudyFolder

if TYPE_CHECKING:
    from studies.running.sweep import Shard

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
study_app = typer.Typer(no_args_is_help=True, help="Questions, declared as data and swept.")
app.add_typer(study_app, name="study")
study_app.command("search")(search_command)
study_app.command("pack")(pack_command)
study_app.command("unpack")(unpack_command)

Name = Annotated[
    str,
    typer.Argument(metavar="STUDY", help="a study or collection of the catalog, or the path of a file"),
]
Scale = Annotated[str, typer.Option(help="smoke: seconds, to see it run; cpu: minutes; gpu: the paper's sizes")]
StoredScale = Annotated[str | None, typer.Option("--scale", help="by default the scale that ran last")]


@study_app.command("list")
def list_command(as_json: Json = False) -> None:
    """The studies that are shipped."""
    from studies.declared.loading import read_study_file

    studies = {name: read_study_file(STUDIES.path(name)) for name in STUDIES.names}
    rows = [f"{name:<22}{study.question}" for name, study in studies.items()]
    value = {name: {"title": study.title, "question": study.question} for name, study in studies.items()}
    together = [f"{name:<22}all of: {load_collection(name).declaration.question}" for name in COLLECTIONS.names]
    answer(value, as_json, "\n".join([*rows, *together, "", "next: lab study show quick"]))


@study_app.command("show")
def show_command(
    name: Name,
    scale: Scale = "cpu",
    assignments: Assignments = None,
    probe: Annotated[bool, typer.Option(help="time a few steps here, for an estimate of how long it takes")] = True,
    flops_rate: Annotated[
        float | None, typer.Option(min=1.0, help="operations a second, in place of timed steps")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a study would run and what that costs, before anything runs."""
    from studies.declared.loading import load
    from studies.running.cost import estimate, plan_of, spoken
    from studies.running.run_study import usual_workers

    if is_collection(name):
        show_collection(name, scale, assignments or [], as_json)
        return
    study = load(name, scale, assignments or [])
    declaration = study.declaration
    plan = plan_of(study)
    time = estimate(plan, flops_rate, probe=probe)
    workers = usual_workers(study)
    search = ", ".join(f"{key} from {span.low:g} to {span.high:g}" for key, span in declaration.tuning.search.items())
    reasons: dict[str, list[str]] = {}
    for cell, reason in study.excluded.items():
        reasons.setdefault(reason, []).append(cell.label)
    starts = f", and {plan.start_runs} that they start from" if plan.start_runs else ""
    known = f", from {plan.counted} of {plan.networks} networks" if plan.counted < plan.networks else ""
    took = f"; about {spoken(time.seconds / workers)} on {workers} at once, {time.basis}" if time else ""
    lines = [
        declaration.title,
        f"{study.source}, scale {scale}: {declaration.scales[scale].summary}",
        f"question: {declaration.question}",
        f"cells: {len(study.cells)}, each tuned in {study.trials} trials ({search}), then {study.seeds} fresh seeds",
        *(f"  {cell.label}" for cell in study.cells),
        *(f"excluded, {reason}: {len(labels)}\n  " + "\n  ".join(labels) for reason, labels in reasons.items()),
        *(f"{key}: {study.described(key, level)}" for key in declaration.levels for level in study.factors[key]),
        f"runs: {study.runs}{starts}",
        f"cost: {plan.flops:.3g} operations{known}{took}",
        *(f"claim {claim.name}: {claim.text} (paper: {claim.paper})" for claim in declaration.claims),
        f"next: lab study run {name}" + ("" if scale == "cpu" else f" --scale {scale}"),
    ]
    value = {
        "study": study.name,
        "scale": scale,
        "cells": [cell.label for cell in study.cells],
        "excluded": {cell.label: reason for cell, reason in study.excluded.items()},
        "trials": study.trials,
        "seeds": study.seeds,
        "runs": study.runs,
        "start_runs": plan.start_runs,
        "flops": plan.flops,
        "networks": plan.networks,
        "networks_counted": plan.counted,
        "seconds": time and time.seconds,
        "seconds_from": time and time.basis,
        "workers": workers,
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
    """Run what is missing of a study, and nothing else; then judge its claims. Of a collection, study by study."""
    from studies.declared.loading import load
    from studies.judging.judgement import sentence
    from studies.running.executors.table import Setup
    from studies.running.run_study import Place, run_study
    from studies.running.sweep import WHOLE

    place = Place(where, Setup(workers, run_limit, address, gpus_per_run), home)
    if is_collection(name):
        if shard:
            raise UserError(f"--shard {shard}: parts the cells of one study; run the studies of {name} one by one")
        run_collection_command(name, scale, assignments or [], place, as_json)
        return
    part = parse_shard(shard) if shard else WHOLE
    study = load(name, scale, assignments or [])
    ran = run_study(study, place.workers(study), home, part)
    value = {"study": name, "scale": scale, "trained": ran.trained, "failed": ran.failed}
    if part != WHOLE:
        prose = f"shard {shard}: {ran.ended} of {ran.runs} runs ended; when every shard has: {again(name, scale, home)}"
        answer(value | {"shard": shard}, as_json, prose)
    else:
        answer(value | {"verdicts": ran.tree()["verdicts"]}, as_json, "\n".join(map(sentence, ran.verdicts)))
        note(f"next: {again(name, scale, home).replace('study run', 'report')}")
    if ran.failed:
        raise WorkFailed(f"{len(ran.failed)} run{'s'[: len(ran.failed) > 1]} failed: " + "; ".join(ran.failed[:5]))


@study_app.command("status")
def status_command(name: Name, scale: StoredScale = None, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """How far a study is, or each of a collection."""
    if is_collection(name):
        collection_status(name, scale, home, as_json)
        return
    folder = StudyFolder.latest(home, name, scale)
    study = folder.read_study()
    cells = {cell.label: cell.counts() for cell in folder.read_cells()}
    rows = [
        f"{label:<32}{counts.tune} of {study.tuning_runs} trials, {counts.confirm} of {study.seeds} seeds, "
        f"{counts.failed} failed"
        for label, counts in cells.items()
    ]
    total = f"{sum(counts.ended for counts in cells.values())} of {study.runs} runs ended"
    counts_by_cell = {label: counts.tree() for label, counts in cells.items()}
    value = {"study": study.name, "scale": study.scale, "runs": study.runs, "cells": counts_by_cell}
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
    from studies.judging.judgement import sentence
    from studies.judging.stored import judge_stored
    from studies.ledger.declared_study import find_study

    chosen = expanded(names or [], scale, home) or sorted({folder.name for folder in StudyFolder.all_stored(home)})
    if not chosen:
        raise UserError(f"no study ran under {home}; start with: lab study run quick")
    value, lines = {}, []
    for name in chosen:
        study = find_study(home, name, scale)
        verdicts = judge_stored(home, study)
        value[study.name] = {"scale": study.scale, "verdicts": [verdict.record().tree() for verdict in verdicts]}
        lines += [f"{study.name}, scale {study.scale}", *(f"  {sentence(one)}" for one in verdicts)]
    answer(value, as_json, "\n".join(lines))


def parse_shard(text: str) -> "Shard":
    """`1/4` to `4/4`."""
    from studies.running.sweep import Shard

    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UserError(f"--shard {text}: should be one of 1/K to K/K, where K is the number of shards")
    return Shard(int(number), int(count))
