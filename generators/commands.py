"""Implements `lab data list`, `lab data show` and `lab data check`."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import numpy as np
import typer

from generators.check import check_task
from generators.foundation.errors import WorkFailed
from generators.foundation.options import Json, answer, two_columns
from generators.foundation.settings import Tree
from generators.table import TASKS, build_task
from generators.task import Batch, Task

data_app = typer.Typer(no_args_is_help=True, help="List tasks, show their samples, check samples against the oracle.")

Kind = Annotated[str, typer.Argument(metavar="TASK", help="a task from `lab data list`")]
TaskAssignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a setting of the task, for example degree=5; repeatable"),
]
Split = Annotated[str, typer.Option(help="train, validation, test or another split of the task")]


@data_app.command("list")
def list_command(as_json: Json = False) -> None:
    """List the tasks, one per line."""
    summaries = TASKS.summaries()
    answer(summaries, as_json, "\n".join([*two_columns(summaries), "", "next: lab data show induction --count 2"]))


@data_app.command("show")
def show_command(
    kind: Kind,
    assignments: TaskAssignments = None,
    split: Split = "train",
    count: Annotated[int, typer.Option(min=1, max=10_000, help="number of samples to show")] = 3,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="the seed of the samples")] = 0,
    as_json: Json = False,
) -> None:
    """Show the first samples of a split as text with their scored tokens; --json adds token ids, masks and labels."""
    task = task_from_options(kind, assignments)
    batch = task.batch(split, np.arange(count), seed)
    value = {
        "task": kind,
        "config": task.config.model_dump(mode="json"),
        "vocabulary": list(task.vocabulary),
        "samples": list(samples_as_json(task, batch)),
    }
    answer(value, as_json, "\n\n".join(sample_as_text(task, batch, row) for row in range(count)))


def samples_as_json(task: Task, batch: Batch) -> Iterator[Tree]:
    """Yields the samples of a batch in JSON types."""
    for row, tokens in enumerate(batch.tokens):
        yield {
            "text": task.text(tokens),
            "tokens": tokens.tolist(),
            "loss": batch.loss[row].astype(int).tolist(),
            "scored": batch.scored[row].astype(int).tolist(),
            "labels": {name: values[row].tolist() for name, values in batch.labels.items()},
        }


def sample_as_text(task: Task, batch: Batch, row: int) -> str:
    """Formats the text of a sample and, below it, its scored tokens in order."""
    scored = [task.vocabulary[token] for token in batch.tokens[row][batch.scored[row]]]
    return f"{task.text(batch.tokens[row])}\n  scored: {' '.join(scored) or 'nothing in this split'}"


@data_app.command("check")
def check_command(
    kind: Kind,
    assignments: TaskAssignments = None,
    count: Annotated[
        int, typer.Option(min=1, help="number of training samples; held-out splits are checked in full")
    ] = 10_000,
    as_json: Json = False,
) -> None:
    """Check that the oracle confirms a task's samples, that splits and seeds share no samples, and that no simple rule
    gets the answers right; print the scores of its shortcuts and the best possible ones.
    """
    result = check_task(task_from_options(kind, assignments), count)
    values = asdict(result)
    rows = dict(flattened({name: value for name, value in values.items() if name != "problems"}))
    width = 2 + max(map(len, rows))
    numbers = [f"{name:<{width}}{formatted(value)}" for name, value in rows.items()]
    answer(values, as_json, "\n".join([*numbers, *(f"problem: {problem}" for problem in result.problems)]))
    if not result.passed:
        more = len(result.problems) - 1
        raise WorkFailed(
            f"task {kind}: its samples failed the check: {result.problems[0]}{f' ({more} more above)' if more else ''}"
        )


def flattened(values: Tree, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yields the values of a tree under their paths: `shortcuts/latest_name`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value


def formatted(value: object) -> str:
    """Formats a value of a check."""
    return f"{value:z,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def task_from_options(kind: str, assignments: list[str] | None) -> Task:
    """Builds the task of that name with `--set` assignments on its default settings."""
    return build_task(TASKS.configured(kind, assignments, f"lab data, task {kind}"))
