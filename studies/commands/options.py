"""Arguments and options that several study commands share.

Command modules import the code that trains and judges only when a command is called, so that `lab study status` does
not load torch.
"""

from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.errors import UserError
from generators.foundation.settings import split_assignment
from studies.judging.study_code import OldRuns
from studies.running.executors.table import EXECUTORS, ExecutorChoice

StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="a study or collection of the catalog, or the path of a file")
]
Scale = Annotated[str, typer.Option(help="smoke: seconds, checks that it runs; cpu: minutes; gpu: the paper's sizes")]
StoredScale = Annotated[str | None, typer.Option("--scale", help="by default the scale that ran last")]

Joining = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="NAME[:KEY=VALUE,...]",
        help="an installed objective that joins a matrix as a further row; may be repeated",
    ),
]

ExecutorName = Annotated[str, typer.Option("--executor", help=f"where runs happen: {', '.join(EXECUTORS.names)}")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="number of runs at a time, one thread each; by default one per core, or one on a GPU"),
]
RunLimit = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="above 0; a run that takes longer is terminated and counts as failed"),
]
Address = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="the head of an existing Ray cluster")]
GpusPerRun = Annotated[float | None, typer.Option(min=0, help="GPUs per run on Ray; 0.25 lets four runs share one")]
ExecutorSettings = Annotated[
    list[str] | None,
    typer.Option("--executor-set", metavar="KEY=VALUE", help="a setting of an executor from another package"),
]


Retrain = Annotated[
    bool,
    typer.Option(
        "--retrain",
        help="train again the runs that were made by code other than the installed code, or by unknown code",
    ),
]
MixCode = Annotated[
    bool,
    typer.Option(
        "--mix-code", help="let claims compare new runs with old ones, which code other than the installed code made"
    ),
]


def refuse_joining(name: str, joining: list[str] | None) -> None:
    """Refuses `--with` for a single study.

    Raises:
        UserError: an objective is given.
    """
    if joining:
        raise UserError(
            f"--with {joining[0]}: {name} is a study; an objective joins a matrix, such as lab study run matrix"
        )


def old_runs_choice(retrain: bool, mix_code: bool) -> OldRuns:
    """Returns the treatment of old runs that two options ask for.

    Raises:
        UserError: both are given.
    """
    if retrain and mix_code:
        raise UserError("--mix-code: keeps the runs that --retrain trains again; give one of the two")
    return "retrain" if retrain else "mix" if mix_code else "keep"


def executor_choice(
    name: str,
    home: Path,
    workers: int | None,
    run_limit: float | None,
    address: str | None,
    gpus_per_run: float | None,
    assignments: list[str] | None,
) -> ExecutorChoice:
    """Collects the options of an executor.

    Raises:
        UserError: `--executor-set` is not KEY=VALUE.
    """
    settings: dict[str, object] = {
        "workers": workers,
        "run_limit": run_limit,
        "address": address,
        "gpus_per_run": gpus_per_run,
    }
    for assignment in assignments or []:
        if "=" not in assignment:
            raise UserError(f"--executor-set {assignment}: should be KEY=VALUE")
        key, value = split_assignment(assignment)
        settings[key] = value
    return ExecutorChoice(name, home, settings)
