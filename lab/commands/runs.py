"""lab train, lab score, lab decode, lab export, lab doctor."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.options import Assignments, Json, answer, note
from generators.material.items import items
from generators.task import Batch, Mask, Task
from lab.commands.options import DEFAULT_HOME, Home
from lab.decoding.decoder import Decoded
from lab.decoding.items import prompts_of, score_items
from lab.decoding.speculation import in_turns
from lab.doctor import examine
from lab.export import export
from lab.run.evaluation import Evaluator
from lab.run.finetuning import planned
from lab.run.spec import RunSpec, read_spec
from lab.run.stored_run import StoredRun
from lab.run.training import Progress, silent, train

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


def size_of(task: Task, split: str) -> int:
    """Samples of a held-out split; another one is a UserError."""
    held_out = {name: size for name, size in task.splits.items() if size is not None and name != "train"}
    if split not in held_out:
        raise UserError(f"--split {split}: should be one of {', '.join(held_out)}")
    return held_out[split]


def classes_of(task: Task, batch: Batch, found: Decoded) -> dict[str, Mask]:
    """Which of the decoded places [B, N] are of each class of position that the task tells apart."""
    _, lengths, _ = prompts_of(batch)
    rows, places = np.arange(len(batch))[:, None], lengths[:, None] + np.arange(found.tokens.shape[1])
    tokens = batch.tokens.copy()
    tokens[rows, places] = found.tokens
    classes = task.position_classes(replace(batch, tokens=tokens))
    return {name: mask[rows, places] for name, mask in classes.items()}


RunName = Annotated[str, typer.Argument(help="a run's identity, or the start of it")]
Split = Annotated[
    str | None, typer.Option(help="a held-out split of the run's task; by default test, or the first of those")
]
Checkpoint = Annotated[str, typer.Option(help="best, last, or a step whose weights were kept")]


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
    network = planned(spec, str(spec_file))
    if dry_run:
        parts = network.parameters_by_part()
        without = sum(count for name, count in parts.items() if "embedding" not in name)
        rows = [f"{name:<14}{count:>14,}" for name, count in [*parts.items(), ("non-embedding", without)]]
        value = {"run": spec.identity, "parameters": parts, "non_embedding": without, "spec": spec.tree()}
        answer(value, as_json, "\n".join([f"run {spec.identity}", *rows]))
        return

    def told(what: str, of: RunSpec) -> Progress:
        return lambda step: note(f"{what}step {step} of {of.training.steps}")

    start_progress = told(f"start {spec.start.run.identity}, ", spec.start.run) if spec.start else silent
    result = train(spec, home, told("", spec), start_progress)
    if result["status"] != "complete":
        raise WorkFailed(f"run {spec.identity} {result['status']}: {result['reason']}")
    lines = [f"run {spec.identity} complete: {folder}"]
    for checkpoint, splits in result["scores"].items():
        for split, metrics in splits.items():
            if split.startswith("test"):
                shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
                lines.append(f"{split}, {checkpoint} checkpoint: {shown}")
    answer({"run": spec.identity, "folder": str(folder), **result}, as_json, "\n".join(lines))


@app.command("score")
def score_command(
    run: RunName,
    split: Split = None,
    checkpoint: Checkpoint = "best",
    posed: Annotated[bool, typer.Option("--items", help="put items of the split as generation and as choice")] = False,
    options: Annotated[int, typer.Option(help="with --items: the answer and so many less one to mistake for it")] = 4,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Score a stored run on a split of its task, beside the task's shortcuts."""
    stored = StoredRun(home, run, checkpoint)
    parts = stored.parts
    split = split or parts.task.test_split
    size_of(parts.task, split)
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


@app.command("decode")
def decode_command(
    run: RunName,
    draft: Annotated[int, typer.Option(min=1, help="tokens a forward pass may give: heads 2..K propose")] = 1,
    split: Split = None,
    samples: Annotated[int, typer.Option(min=1, help="prompts, from the start of the split")] = 16,
    count: Annotated[int | None, typer.Option(min=1, help="tokens to decode; as many as a sample has room for")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy; above it, samples")] = 0.0,
    seed: Annotated[int, typer.Option(help="of the samples")] = 0,
    checkpoint: Checkpoint = "best",
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Continue prompts of a held-out split, with the run's own heads as drafters, and time it beside plain decoding."""
    stored = StoredRun(home, run, checkpoint)
    task, network = stored.parts.task, stored.parts.network
    split = split or task.test_split
    batch = task.batch(split, np.arange(min(samples, size_of(task, split))))
    prompts, lengths, room = prompts_of(batch)
    if count is not None and count > room:
        raise UserError(f"--count {count}: the longest prompt leaves room for {room} tokens; give at most that")

    turns = in_turns(network, prompts, lengths, count or room, [draft], temperature, seed)
    found, plain = turns[draft].decoded, turns[1].decoded

    def by_head(shares: Iterable[float]) -> dict[str, float]:
        return {f"head {head}": float(share) for head, share in enumerate(shares, start=2) if not np.isnan(share)}

    acceptance = by_head(found.acceptance)
    by_class = {
        name: by_head(found.acceptance_among(places)) for name, places in classes_of(task, batch, found).items()
    }
    value = {
        "run": stored.folder.identity,
        "checkpoint": checkpoint,
        "step": stored.step,
        "split": split,
        "samples": len(prompts),
        "tokens_each": count or room,
        "draft": draft,
        "temperature": temperature,
        "tokens_per_forward": found.tokens_per_forward,
        "acceptance": acceptance,
        "acceptance_by_class": {name: shares for name, shares in by_class.items() if shares},
        "seconds": median(turns[draft].seconds),
        "plain_seconds": median(turns[1].seconds),
        "same_as_plain": bool((found.tokens == plain.tokens).all()) if temperature == 0 else None,
        "prompt": task.text(prompts[0, : lengths[0]]),
        "continuation": task.text(found.tokens[0]),
    }
    lines = [
        f"{found.tokens_per_forward:.2f} tokens a forward pass"
        + (f", {turns[draft].times_faster(turns[1]):.2f} times as fast as without drafts" if draft > 1 else ""),
        *(f"{head}: {share:.1%} of its proposals stand where those before did" for head, share in acceptance.items()),
        *(
            f"  at positions of the class {name!r}: {', '.join(f'{share:.1%}' for share in shares.values())}"
            for name, shares in by_class.items()
            if shares
        ),
        f"prompt:       {value['prompt']}",
        f"continuation: {value['continuation']}",
    ]
    answer(value, as_json, "\n".join(lines))


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
