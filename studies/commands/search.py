"""lab study search. What it needs is imported when it is called, as by its neighbours."""

import os
from typing import Annotated

import typer

from generators.foundation.errors import WorkFailed
from generators.foundation.options import Assignments, Json, answer, note
from lab.commands.options import DEFAULT_HOME, Home
from studies.ledger.folder import SEARCH, StudyFolder


def search_command(
    name: Annotated[str, typer.Argument(metavar="SEARCH", help="a catalog name (best-n), or the path of a file")],
    scale: Annotated[str, typer.Option(help="smoke: seconds, to see it run; cpu; gpu")] = "cpu",
    assignments: Assignments = None,
    workers: Annotated[int | None, typer.Option(min=1, help="runs at once, one thread each")] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Search for the settings that trade quality against cost best: it explores, and decides no claim."""
    from studies.declared.search import load_search
    from studies.running.executors.table import Setup, executor
    from studies.running.search import Searching, table

    search = load_search(name, scale, assignments or [])
    folder = StudyFolder(home, search.name, search.scale).path
    on_cpu = search.base.get("training", {}).get("device", "cpu") == "cpu"
    place = executor("local", Setup(workers), home, folder, (os.cpu_count() or 1) if on_cpu else 1)
    searching = Searching(search, home, note)
    record = searching.run(place)
    note(f"{searching.trained} runs trained")
    front = [proposal for proposal in record.trials if proposal.front]
    path = folder / SEARCH
    value = record.tree() | {"file": str(path), "trained": searching.trained}
    answer(value, as_json, "\n".join([*table(record), f"all: {path}"]))
    failed = [run.failure for proposal in front for run in proposal.confirmed if run.failure is not None]
    if failed or not front:
        reason = failed[0] if failed else record.trials[0].failure
        raise WorkFailed(f"{len(failed)} fresh runs failed: {reason}" if failed else f"every trial failed: {reason}")
