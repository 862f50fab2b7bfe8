"""Implements `lab train`."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from generators.foundation.errors import WorkFailed
from generators.foundation.options import Assignments, Json, answer, note
from lab.commands.options import DEFAULT_HOME, Home
from lab.logs.follower import Follower
from lab.logs.table import log_class
from lab.run.callbacks.progress import Progress, no_progress
from lab.run.finetuning import meta_network
from lab.run.other_code.standing import OtherCode, changed_packages
from lab.run.spec import RunSpec, read_spec
from lab.run.stacking.problem import stacking_problem
from lab.run.store import RunFolder
from lab.run.training import train


def train_command(
    spec_file: Annotated[
        Path, typer.Argument(metavar="SPEC.toml", help="a file with the tables task, model, objective, training")
    ],
    assignments: Assignments = None,
    seed: Annotated[int | None, typer.Option(help="overrides the seed in the file")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the run's identity and its parameters by part; train nothing")
    ] = False,
    retrain: Annotated[
        bool,
        typer.Option(
            "--retrain",
            help="train the run again if it has ended; the old results are kept until the new ones are complete",
        ),
    ] = False,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="PROGRAM",
            help="follow the run in tensorboard, wandb or mlflow, in a local folder unless the program's own variables "
            "name a server",
        ),
    ] = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Train one run, or resume it from its last checkpoint. A complete run is not trained again.

    A run that was made by code other than the installed code is refused unless --retrain is given.
    """
    changes = [*(assignments or []), *([f"seed={seed}"] if seed is not None else [])]
    spec = read_spec(spec_file, changes)
    if dry_run:
        counts = meta_network(spec, str(spec_file)).parameters_by_part()
        non_embedding = sum(count for name, count in counts.items() if "embedding" not in name)
        rows = [f"{name:<14}{count:>14,}" for name, count in [*counts.items(), ("non-embedding", non_embedding)]]
        value = {"run": spec.identity, "parameters": counts, "non_embedding": non_embedding, "spec": spec.tree()}
        answer(value, as_json, "\n".join([f"run {spec.identity}", *rows]))
        return

    def progress(prefix: str, run: RunSpec) -> Progress:
        return lambda step: note(f"{prefix}step {step} of {run.training.steps}")

    start_progress = progress(f"start {spec.start.run.identity}, ", spec.start.run) if spec.start else no_progress
    other_code: OtherCode = "retrain" if retrain else "refuse"
    if spec.training.stack > 1 and (problem := stacking_problem(spec)):
        note(f"training.stack = {spec.training.stack}: the run is trained alone, because {problem}")
    follower = Follower(log, log_class(log), home, spec, note) if log else None
    with follower or nullcontext():
        result = train(spec, home, progress("", spec), start_progress, str(spec_file), other_code, follower)
    for package, (then, now) in changed_packages(RunFolder(home, spec.identity)).items():
        note(f"{package} was {then} and is {now}; the code that makes this run is the same")
    if result["status"] != "complete":
        raise WorkFailed(f"run {spec.identity} {result['status']}: {result['reason']}")
    folder = home / "runs" / spec.identity
    lines = [f"run {spec.identity} complete: {folder}"]
    for checkpoint, splits in result["scores"].items():
        for split, scores in splits.items():
            if split.startswith("test"):
                listed = ", ".join(f"{name} {value:z.4f}" for name, value in scores.items())
                lines.append(f"{split}, {checkpoint} checkpoint: {listed}")
    answer({"run": spec.identity, "folder": str(folder), **result}, as_json, "\n".join(lines))
    if follower and follower.failure:
        raise WorkFailed(
            f"--log {log}: {follower.failure}; the run is complete, and the same command delivers what is missing"
        )
