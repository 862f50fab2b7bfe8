"""Implements `lab decode`."""

from collections.abc import Iterable
from statistics import median
from typing import Annotated

import numpy as np
import typer

from generators.foundation.errors import UserError
from generators.foundation.options import Json, answer
from lab.commands.options import DEFAULT_HOME, Checkpoint, Home, RunName, Split, held_out_size
from lab.commands.stored import open_run
from lab.decoding.prompts import continuation_classes, prompts_of
from lab.decoding.speculation import time_drafts


def decode_command(
    run: RunName,
    draft: Annotated[
        int, typer.Option(min=1, metavar="K", help="maximum number of tokens per forward pass; heads 2 to K draft")
    ] = 1,
    split: Split = None,
    samples: Annotated[int, typer.Option(min=1, help="number of prompts, taken from the start of the split")] = 16,
    count: Annotated[int | None, typer.Option(min=1, help="tokens to decode; by default all that fit")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 decodes greedily; above 0, tokens are sampled")] = 0.0,
    seed: Annotated[int, typer.Option(help="seed of the samples")] = 0,
    checkpoint: Checkpoint = "best",
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Continue prompts of a held-out split. With --draft, the run's heads draft, and the speed-up is measured."""
    stored = open_run(home, run, checkpoint)
    task, network = stored.parts.task, stored.parts.network
    split = split or task.test_split
    batch = task.batch(split, np.arange(min(samples, held_out_size(task, split))))
    prompts, lengths, room = prompts_of(batch)
    if count is not None and count > room:
        raise UserError(f"--count {count}: at most {room} tokens fit after the longest prompt")

    timed = time_drafts(network, prompts, lengths, count or room, [draft], temperature, seed)
    decoded, plain = timed[draft].decoded, timed[1].decoded

    def by_head(shares: Iterable[float]) -> dict[str, float]:
        return {f"head {head}": float(share) for head, share in enumerate(shares, start=2) if not np.isnan(share)}

    acceptance = by_head(decoded.acceptance)
    classes = continuation_classes(task, batch, decoded.tokens)
    by_class = {name: by_head(decoded.acceptance_at(places)) for name, places in classes.items()}
    value = {
        "run": stored.folder.identity,
        "checkpoint": checkpoint,
        "step": stored.step,
        "changed_code": stored.folder.changed_code(),
        "split": split,
        "samples": len(prompts),
        "tokens_each": count or room,
        "draft": draft,
        "temperature": temperature,
        "tokens_per_forward": decoded.tokens_per_forward,
        "acceptance": acceptance,
        "acceptance_by_class": {name: shares for name, shares in by_class.items() if shares},
        "seconds": median(timed[draft].seconds),
        "plain_seconds": median(timed[1].seconds),
        "same_as_plain": bool((decoded.tokens == plain.tokens).all()) if temperature == 0 else None,
        "prompt": task.text(prompts[0, : lengths[0]]),
        "continuation": task.text(decoded.tokens[0]),
    }
    speed = f", {timed[draft].times_faster(timed[1]):z.2f} times as fast as without drafts" if draft > 1 else ""
    lines = [
        f"{decoded.tokens_per_forward:z.2f} tokens per forward pass{speed}",
        *(f"{head}: {share:z.1%} of its drafts accepted" for head, share in acceptance.items()),
        *(
            f"  at positions of class {name!r}: {', '.join(f'{share:z.1%}' for share in shares.values())}"
            for name, shares in by_class.items()
            if shares
        ),
        f"prompt:       {value['prompt']}",
        f"continuation: {value['continuation']}",
    ]
    answer(value, as_json, "\n".join(lines))
