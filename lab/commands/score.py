"""Implements `lab score`."""

from typing import Annotated

import typer

from generators.foundation.options import Json, answer
from generators.material.items import items
from lab.commands.options import DEFAULT_HOME, Checkpoint, Home, RunName, Split, held_out_size
from lab.commands.stored import open_run
from lab.decoding.item_scores import score_items
from lab.run.evaluation import Evaluator


def score_command(
    run: RunName,
    split: Split = None,
    checkpoint: Checkpoint = "best",
    as_items: Annotated[
        bool, typer.Option("--items", help="score samples as items: as text to generate, and as multiple choice")
    ] = False,
    options: Annotated[int, typer.Option(help="with --items: number of options, the right answer included")] = 4,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Score a stored run on a split of its task, next to the task's shortcuts."""
    stored = open_run(home, run, checkpoint)
    parts = stored.parts
    split = split or parts.task.test_split
    held_out_size(parts.task, split)
    if as_items:
        by_format = score_items(parts, items(parts.task, split, options=options))
        scores = {f"{kind}/{name}": score for kind, means in by_format.items() for name, score in means.items()}
    else:
        scores = Evaluator(parts.task, split, parts.device)(parts.network)
    value = {
        "run": stored.folder.identity,
        "split": split,
        "checkpoint": checkpoint,
        "step": stored.step,
        "changed_code": stored.folder.changed_code(),
        "scores": scores,
    }
    answer(value, as_json, "\n".join(f"{name:<24}{score:z.4f}" for name, score in scores.items()))
