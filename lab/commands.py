"""lab train, lab score, lab export, lab doctor."""

from pathlib import Path
from typing import Annotated

import typer

from generators.errors import UserError, WorkFailed
from generators.items import items
from generators.options import Assignments, Json, answer, note
from lab.assembly import planned
from lab.doctor import examine
from lab.evaluation import Evaluator
from lab.export import export
from lab.options import DEFAULT_HOME, Home
from lab.posing import score_items
from lab.spec import read_spec
from lab.stored import StoredRun
from lab.training import train

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


RunName = Annotated[str, typer.Argument(help="a run's identity, or the start of it")]
Checkpoint = Annotated[str, typer.Option(help="best or last")]


@app.command("train")
def train_command(
    spec_file: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="tables task, model, objective, training")],
    assignments: Assignments = None,
    seed: Annotated[int | None, typer.Option(help="overrides the file's seed")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be trained, parameters by part")] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Train one run, or take it up where it stands; a run that is complete is not trained again."""
    changes = [*(assignments or []), *([f"seed={seed}"] if seed is not None else [])]
    spec = read_spec(spec_file, changes)
    folder = home / "runs" / spec.identity
    if dry_run:
        parts = planned(spec).parameters_by_part()
        without = sum(count for name, count in parts.items() if "embedding" not in name)
        rows = [f"{name:<14}{count:>14,}" for name, count in [*parts.items(), ("non-embedding", without)]]
        value = {"run": spec.identity, "parameters": parts, "non_embedding": without, "spec": spec.tree()}
        answer(value, as_json, "\n".join([f"run {spec.identity}", *rows]))
        return
    result = train(spec, home, lambda step: note(f"step {step} of {spec.training.steps}"))
    if result["status"] != "complete":
        raise WorkFailed(f"run {spec.identity} {result['status']}: {result['reason']}")
    lines = [f"run {spec.identity} complete: {folder}"]
    for checkpoint, splits in result["scores"].items():
        shown = ", ".join(f"{name} {value:.4f}" for name, value in splits["test"].items())
        lines.append(f"test, {checkpoint} checkpoint: {shown}")
    answer({"run": spec.identity, "folder": str(folder), **result}, as_json, "\n".join(lines))


@app.command("score")
def score_command(
    run: RunName,
    split: Annotated[str, typer.Option(help="a held-out split of the run's task")] = "test",
    checkpoint: Checkpoint = "best",
    posed: Annotated[bool, typer.Option("--items", help="put items of the split as generation and as choice")] = False,
    options: Annotated[int, typer.Option(help="with --items: the answer and so many less one to mistake for it")] = 4,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Score a stored run on a split of its task, beside the task's shortcuts."""
    stored = StoredRun(home, run, checkpoint)
    parts = stored.parts
    held_out = [name for name, size in parts.task.splits.items() if size is not None and name != "train"]
    if split not in held_out:
        raise UserError(f"--split {split}: should be one of {', '.join(held_out)}")
    if posed:
        found = score_items(parts, items(parts.task, split, options=options))
        scores = {f"{posing}/{name}": score for posing, each in found.items() for name, score in each.items()}
    else:
        scores = Evaluator(parts.task, split, parts.device)(parts.network)
    value = {
        "run": stored.folder.identity,
        "split": split,
        "checkpoint": checkpoint,
        "step": stored.step,
        "scores": scores,
    }
    answer(value, as_json, "\n".join(f"{name:<24}{score:.4f}" for name, score in scores.items()))


@app.command("export")
def export_command(
    run: RunName,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="empty, or not there yet")],
    checkpoint: Checkpoint = "best",
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Write a stored run as a folder that Hugging Face transformers loads as a Llama, other heads beside it."""
    stored = StoredRun(home, run, checkpoint)
    files = export(stored, folder)
    value = {"run": stored.folder.identity, "folder": str(folder), "checkpoint": checkpoint, "step": stored.step}
    lines = [
        f"run {stored.folder.identity}, {checkpoint} checkpoint (step {stored.step}): {folder}",
        f"files: {', '.join(files)}",
        f'load: AutoModelForCausalLM.from_pretrained("{folder}")',
    ]
    answer({**value, "files": files}, as_json, "\n".join(lines))


@app.command("doctor")
def doctor_command(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """What this machine has, and whether the lab works on it: it trains a tiny run and throws it away."""
    checks = examine(home)
    rows = [f"{check.mark:<8}{check.name:<20}{check.finding}" for check in checks]
    answer({check.name: {"ok": check.good, "finding": check.finding} for check in checks}, as_json, "\n".join(rows))
    if not all(check.good or check.optional for check in checks):
        raise WorkFailed("something the lab needs is not there; the lines above say what")
