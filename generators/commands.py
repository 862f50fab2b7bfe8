"""lab data list, lab data show, lab data check."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import typer

from generators.check import check, sound
from generators.foundation.errors import WorkFailed
from generators.foundation.options import Assignments, Json, answer
from generators.foundation.settings import Tree
from generators.table import TASKS, build_task
from generators.task import Batch, Task

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, help="Tasks: list them, show samples, check them against their oracles.")
app.add_typer(data_app, name="data")

Kind = Annotated[str, typer.Argument(metavar="TASK", help="a name that `lab data list` gives")]
Split = Annotated[str, typer.Option(help="train, validation, test or another split of the task")]


@app.callback()
def group() -> None:
    """Data."""


@data_app.command("list")
def list_command(as_json: Json = False) -> None:
    """The tasks, with what each is for."""
    summaries = TASKS.summaries()
    rows = [f"{kind:<18}{summary}" for kind, summary in summaries.items()]
    answer(summaries, as_json, "\n".join([*rows, "", "next: lab data show induction --count 2"]))


@data_app.command("show")
def show_command(
    kind: Kind,
    assignments: Assignments = None,
    split: Split = "train",
    count: Annotated[int, typer.Option(min=1, max=10_000)] = 3,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = 0,
    as_json: Json = False,
) -> None:
    """The first samples of a split: text, tokens, which carry loss, which are scored, what else is known."""
    task = configured(kind, assignments)
    batch = task.batch(split, np.arange(count), seed)
    value = {
        "task": kind,
        "config": task.config.model_dump(mode="json"),
        "vocabulary": list(task.vocabulary),
        "samples": list(samples(task, batch)),
    }
    answer(value, as_json, "\n\n".join(marked(task, batch, row) for row in range(count)))


def samples(task: Task, batch: Batch) -> Iterator[Tree]:
    """Each sample of a batch as JSON types."""
    for row, tokens in enumerate(batch.tokens):
        yield {
            "text": task.text(tokens),
            "tokens": tokens.tolist(),
            "loss": batch.loss[row].astype(int).tolist(),
            "scored": batch.scored[row].astype(int).tolist(),
            "labels": {name: values[row].tolist() for name, values in batch.labels.items()},
        }


def marked(task: Task, batch: Batch, row: int) -> str:
    """A sample as text, and its scored tokens in order."""
    scored = [task.vocabulary[token] for token in batch.tokens[row][batch.scored[row]]]
    return f"{task.text(batch.tokens[row])}\n  scored: {' '.join(scored) or 'nothing in this split'}"


@data_app.command("check")
def check_command(
    kind: Kind,
    assignments: Assignments = None,
    count: Annotated[int, typer.Option(min=1, help="training samples; held-out splits are checked whole")] = 10_000,
    as_json: Json = False,
) -> None:
    """Check a task's samples against its oracle, its vocabulary, and its splits against each other."""
    found = check(configured(kind, assignments), count)
    answer(found, as_json, "\n".join(f"{name:<28}{shown(value)}" for name, value in found.items()))
    if not sound(found):
        raise WorkFailed(f"task {kind}: its samples are not what it says; the lines above say where")


def shown(value: object) -> str:
    """A finding as a person reads it."""
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def configured(kind: str, assignments: list[str] | None) -> Task:
    """The task of that name with settings changed."""
    return build_task(TASKS.configured(kind, assignments, f"lab data, task {kind}"))
