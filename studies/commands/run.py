"""Implements `lab study run`."""

from typing import Annotated

import typer

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.options import Assignments, Json, answer, note
from generators.foundation.settings import Tree
from lab.commands.options import DEFAULT_HOME, Home
from studies.commands.options import (
    Address,
    ExecutorName,
    ExecutorSettings,
    GpusPerRun,
    Joining,
    MixCode,
    Retrain,
    RunLimit,
    Scale,
    StudyName,
    Workers,
    executor_choice,
    old_runs_choice,
    refuse_joining,
)
from studies.declared.catalog import COLLECTIONS, STUDIES
from studies.declared.collection import is_collection, load_collection
from studies.declared.names import run_command_line
from studies.declared.scales import SMOKE
from studies.judging.study_code import OldRuns
from studies.ledger.arguments import note_on_catalog_name
from studies.ledger.collection_members import left_out_text
from studies.running.executors.table import ExecutorChoice

VERDICTS = ("supported", "contradicted", "negligible", "inconclusive", "not tested")


def run_command(
    name: StudyName,
    scale: Scale = "cpu",
    assignments: Assignments = None,
    executor: ExecutorName = "local",
    workers: Workers = None,
    run_limit: RunLimit = None,
    address: Address = None,
    gpus_per_run: GpusPerRun = None,
    executor_set: ExecutorSettings = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/K", help="run part I of K of the cells (see docs/clusters.md)")
    ] = None,
    retrain: Retrain = False,
    mix_code: MixCode = False,
    joining: Joining = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Train the runs of a study that are not yet complete, then judge its claims. A collection runs study by study."""
    choice = executor_choice(executor, home, workers, run_limit, address, gpus_per_run, executor_set)
    old_runs = old_runs_choice(retrain, mix_code)
    if is_collection(name):
        if shard:
            raise UserError(f"--shard {shard}: splits the cells of one study; run the studies of {name} one by one")
        run_collection(name, scale, assignments or [], joining or [], choice, old_runs, as_json)
    else:
        refuse_joining(name, joining)
        run_study(name, scale, assignments or [], choice, shard, old_runs, as_json)


def run_study(
    name: str,
    scale: str,
    assignments: list[str],
    choice: ExecutorChoice,
    shard: str | None,
    old_runs: OldRuns,
    as_json: bool,
) -> None:
    """Runs a study, or one shard of it, and prints its verdicts."""
    from studies.declared.loading import declare
    from studies.judging.judgement import sentence
    from studies.running import run_study as running
    from studies.running.shard import WHOLE, Shard

    part = Shard.parse(shard) if shard else WHOLE
    note_on_catalog_name(name, STUDIES)
    study = declare(name, scale, assignments)
    result = running.run_study(study, choice.create(study), choice.home, part, old_runs)
    tree = result.tree()
    verdicts = tree.pop("verdicts")
    value: Tree = {"study": study.name, "scale": scale, **tree}
    if part != WHOLE:
        whole = run_command_line(name, scale, choice.home, assignments=assignments)
        prose = f"shard {shard}: {result.ended} of {result.runs} runs ended; once every shard has: {whole}"
        answer(value | {"shard": shard}, as_json, prose)
    else:
        lines = [*([study.untuned] if study.untuned else []), *map(sentence, result.judgements)]
        answer(value | {"verdicts": verdicts}, as_json, "\n".join(lines))
        note(f"next: {run_command_line(name, scale, choice.home, 'report')}")
    if result.problem:
        raise WorkFailed(result.problem)


def run_collection(
    name: str,
    scale: str,
    assignments: list[str],
    joining: list[str],
    choice: ExecutorChoice,
    old_runs: OldRuns,
    as_json: bool,
) -> None:
    """Runs every study of a collection and prints the number of claims with each verdict."""
    from studies.judging.controls import CONTROLS, controls_in, controls_text
    from studies.judging.judgement import sentence
    from studies.running import run_collection as running
    from studies.running.run_study import StudyResult

    note_on_catalog_name(name, COLLECTIONS)
    collection = load_collection(name).joined(joining)

    def show(result: StudyResult) -> None:
        for judgement in result.judgements:
            note(f"  {sentence(judgement)}")

    left_out = collection.left_out(assignments)
    for study, needs in left_out.items():
        note(f"{study}: {left_out_text(needs)}")
    result = running.run_collection(collection, scale, assignments, choice, show, old_runs)
    judgements = [judgement for outcome in result.studies.values() for judgement in outcome.judgements]
    verdicts: list[str] = [judgement.verdict if judgement.contrast else "not tested" for judgement in judgements]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS)
    trained = sum(outcome.trained for outcome in result.studies.values())
    value: Tree = {
        "collection": name,
        "scale": scale,
        "studies": {study: outcome.tree() for study, outcome in result.studies.items()},
        "left_out": left_out,
        "failed": result.failures,
    }
    prose = f"{len(result.studies)} studies, {trained} runs trained; of {len(verdicts)} claims {counts}"
    if name == CONTROLS and scale != SMOKE:
        controls = controls_in(choice.home)
        prose += f"\n{controls_text(controls)}"
        value["as_expected"] = {control.name: control.as_expected for control in controls if control.has_run}
    answer(value, as_json, prose)
    note(f"next: {run_command_line(name, scale, choice.home, 'report')}")
    if result.failures:
        reasons = "; ".join(f"{study}: {reason}" for study, reason in result.failures.items())
        studies = len(result.studies.keys() | result.failures.keys())
        raise WorkFailed(f"{len(result.failures)} of {studies} studies failed: {reasons}")
