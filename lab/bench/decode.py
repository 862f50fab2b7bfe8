"""`lab bench decode`: tokens a forward pass and times faster by self-speculation, and greedy beside transformers'.

Three runs are trained first, once, in the home folder: n = 4 on text and on polynomials, and bytes with n = 8 through
replicated unembeddings, as the paper's byte models have them. The models are narrow and deep: a forward pass is then
what it is on a GPU at 7B, about as long for one token as for a few. Every k and plain decoding take turns in one
process; ratios are medians over turns of ratios within a turn. Reading the prompt is measured by itself and taken off,
as tokens a forward do not count it either: an answer of five tokens behind a long prompt would show little else.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.foundation.settings import Tree
from lab.decoding.decoder import Decoded, Reader, decode
from lab.decoding.items import prompts_of
from lab.decoding.speculation import PAPER
from lab.export import export
from lab.run.spec import RunSpec, parse_spec
from lab.run.stored_run import StoredRun
from lab.run.training import train

TRAINING = {"steps": 1000, "evaluate_every_steps": 500, "batch_size": 8, "learning_rate": 3e-3, "warmup_steps": 100}
DEEP = {"width": 32, "layers": 32, "attention_heads": 1, "rotary_base": 1000.0}
RUNS: dict[str, tuple[Tree, tuple[int, ...], str]] = {
    "text": (
        {
            "task": {"kind": "text", "length_tokens": 128, "validation_samples": 200, "test_samples": 200},
            "model": DEEP,
            "objective": {"kind": "multi_token", "n": 4},
            "training": TRAINING,
        },
        (2, 3, 4),
        "test",
    ),
    "polynomial": (
        {
            "task": {"kind": "polynomial", "validation_samples": 200, "test_samples": 200},
            "model": DEEP,
            "objective": {"kind": "multi_token", "n": 4},
            "training": TRAINING,
        },
        (2, 3, 4),
        "test/m=2",
    ),
    "bytes": (
        {
            "task": {"kind": "text", "length_tokens": 128, "validation_samples": 200, "test_samples": 200},
            "model": DEEP,
            "objective": {"kind": "multi_token", "n": 8, "head": "none", "unembedding": "replicated"},
            "training": TRAINING,
        },
        (2, 4, 8),
        "test",
    ),
}
TURNS = 9
SAMPLES = 16
SINGLE = 4
"""Prompts that are decoded alone, one after the other."""
Progress = Callable[[str], None]


def measure(home: Path, progress: Progress) -> tuple[list[Tree], list[Tree]]:
    """Rows of self-speculation, one a run, batch size and k; and rows of our greedy beside transformers'."""
    torch.set_num_threads(1)
    drafted, greedy = [], []
    for name, (tree, drafts, split) in RUNS.items():
        spec = parse_spec({"seed": 0, **tree}, f"lab bench decode, {name}")
        train(spec, home, told(name, spec, progress))
        stored = StoredRun(home, spec.identity, "best")
        batch = stored.parts.task.batch(split, np.arange(SAMPLES))
        prompts, lengths, room = prompts_of(batch)
        room = min(room, answer_tokens(spec, room))
        one_by_one = [(prompts[row : row + 1], lengths[row : row + 1]) for row in range(SINGLE)]
        for batches in (one_by_one, [(prompts, lengths)]):
            drafted += speculation(name, stored, batches, room, drafts)
        if name == "text":
            for samples in (1, SAMPLES):
                greedy.append(beside_transformers(stored, prompts[:samples], lengths[:samples], room))
    return drafted, greedy


def told(name: str, spec: RunSpec, progress: Progress) -> Callable[[int], None]:
    """Progress of one of the runs."""
    return lambda step: progress(f"{name}: step {step} of {spec.training.steps}")


def answer_tokens(spec: RunSpec, room: int) -> int:
    """Tokens to decode: what a text has room for; of a polynomial its coefficients, which is what was trained on."""
    k: int = getattr(spec.task, "k", room)
    return k


def speculation(
    name: str, stored: StoredRun, batches: list[tuple[Integers, Integers]], count: int, drafts: tuple[int, ...]
) -> list[Tree]:
    """Rows for prompts in batches of one size: tokens that a forward pass gave, times faster than plain decoding, and
    the one over the other."""
    network = stored.parts.network

    def once(k: int) -> tuple[list[Decoded], float]:
        found, seconds = [], 0.0
        for prompts, lengths in batches:
            before = time.perf_counter()
            with torch.inference_mode():
                Reader(network, len(prompts), prompts.shape[1] + k).read(prompts, np.zeros_like(lengths), k)
            between = time.perf_counter()
            found.append(decode(network, prompts, lengths, count, k))
            seconds += time.perf_counter() - between - (between - before)
        return found, seconds

    seconds: dict[int, list[float]] = {k: [] for k in (1, *drafts)}
    found: dict[int, list[Decoded]] = {}
    for _ in range(TURNS + 1):
        for k, each in seconds.items():
            found[k], taken = once(k)
            each.append(taken)
    plain = np.concatenate([one.tokens for one in found[1]])
    rows = []
    for k in drafts:
        faster = statistics.median(a / b for a, b in zip(seconds[1][1:], seconds[k][1:], strict=True))
        tokens, forwards = (sum(int(getattr(one, what).sum()) for one in found[k]) for what in ("lengths", "forwards"))
        accepted, proposed = (sum(getattr(one, what) for one in found[k]) for what in ("accepted", "proposed"))
        paper = PAPER[stored.parts.network.drafts][k]
        rows.append(
            {
                "run": name,
                "samples": len(batches[0][0]),
                "tokens_each": count,
                "draft": k,
                "tokens_per_forward": tokens / forwards,
                "times_faster": faster,
                "realised": faster / (tokens / forwards),
                "acceptance": (accepted / np.maximum(1, proposed)).tolist(),
                "same_as_plain": bool((np.concatenate([one.tokens for one in found[k]]) == plain).all()),
                "paper_tokens_per_forward": paper[0],
                "paper_times_faster": paper[1],
            }
        )
    return rows


def beside_transformers(stored: StoredRun, prompts: Integers, lengths: Integers, count: int) -> Tree:
    """Our greedy decoding with kept keys and values, and `generate` of the exported model, in turns."""
    try:
        from transformers import AutoModelForCausalLM
    except ImportError:
        raise UserError("lab bench decode compares with transformers; pip install -e '.[export]' brings it") from None
    assert (lengths == lengths[0]).all(), "no padding, so that both do the same work"
    with TemporaryDirectory() as folder:
        export(stored, Path(folder) / "run")
        llama: Any = AutoModelForCausalLM.from_pretrained(Path(folder) / "run")
    inputs = torch.from_numpy(np.ascontiguousarray(prompts[:, : lengths[0]]))
    ours, theirs = [], []
    for _ in range(TURNS + 1):
        before = time.perf_counter()
        found = decode(stored.parts.network, prompts, lengths, count)
        ours.append(time.perf_counter() - before)
        before = time.perf_counter()
        other = llama.generate(inputs, max_new_tokens=count, min_new_tokens=count, do_sample=False, use_cache=True)
        theirs.append(time.perf_counter() - before)
    same = bool((other[:, int(lengths[0]) :].numpy() == found.tokens).all())
    faster = statistics.median(b / a for a, b in zip(ours[1:], theirs[1:], strict=True))
    return {
        "samples": len(prompts),
        "tokens_each": count,
        "ms_a_token": 1e3 * statistics.median(ours[1:]) / count,
        "transformers_ms_a_token": 1e3 * statistics.median(theirs[1:]) / count,
        "times_faster": faster,
        "same_tokens": same,
    }
