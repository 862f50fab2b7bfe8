"""Implements `lab study search`."""

from typing import Annotated

import typer

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.options import Assignments, Json, answer, note
from lab.commands.options import DEFAULT_HOME, Home
from studies.commands.options import (
    Address,
    ExecutorName,
    ExecutorSettings,
    GpusPerRun,
    MixCode,
    Retrain,
    RunLimit,
    Workers,
    executor_choice,
    old_runs_choice,
)
from studies.declared.catalog import SEARCHES
from studies.ledger.arguments import note_on_catalog_name
from studies.ledger.folder import SEARCH


def search_command(
    name: Annotated[
        str, typer.Argument(metavar="SEARCH", help="a search of the catalog (best-n), or the path of a search file")
    ],
    scale: Annotated[str, typer.Option(help="smoke (seconds, checks that it runs), cpu or gpu")] = "cpu",
    assignments: Assignments = None,
    executor: ExecutorName = "local",
    workers: Workers = None,
    run_limit: RunLimit = None,
    address: Address = None,
    gpus_per_run: GpusPerRun = None,
    executor_set: ExecutorSettings = None,
    shard: Annotated[str | None, typer.Option(hidden=True)] = None,
    retrain: Retrain = False,
    mix_code: MixCode = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Search for the settings with the best trade-off of quality and cost. A search explores; it judges no claim."""
    if shard:
        raise UserError(
            f"--shard {shard}: a search has no shards, since each batch of proposals depends on the results of all "
            "earlier ones; use more --workers, or --executor ray for more machines"
        )
    from studies.declared.search import load_search
    from studies.running.front import front_lines
    from studies.running.search import SearchCoordinator

    choice = executor_choice(executor, home, workers, run_limit, address, gpus_per_run, executor_set)
    note_on_catalog_name(name, SEARCHES)
    search = load_search(name, scale, assignments or [])
    coordinator = SearchCoordinator(search, home, note, old_runs_choice(retrain, mix_code))
    record = coordinator.run(choice.create(search))
    note(f"{coordinator.trained} runs trained")
    path = coordinator.folder.path / SEARCH
    value = record.tree() | {"file": str(path), "trained": coordinator.trained}
    answer(value, as_json, "\n".join([*front_lines(record), f"all: {path}"]))
    front = [proposal for proposal in record.trials if proposal.front]
    failures = [run.failure for proposal in front for run in proposal.confirmed if run.failure is not None]
    if failures:
        raise WorkFailed(f"{len(failures)} fresh runs failed: {failures[0]}")
    if not front:
        raise WorkFailed(f"every trial failed: {record.trials[0].failure}")
