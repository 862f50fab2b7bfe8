"""`lab bench decode`: self-speculation against plain decoding, and the lab's greedy decoding against transformers'.

The benchmark first trains three runs and keeps them in the home folder: n = 4 on text and on polynomials, and bytes
with n = 8 and replicated unembeddings, as in the paper's byte models. The models are narrow and deep, because a forward
pass then takes about as long for one token as for a few, as it does on a GPU at 7B. Plain decoding and every draft
length k take turns in one process; ratios are medians over turns of ratios within a turn. The time to read the prompt
is measured and subtracted, because tokens per forward pass exclude the prompt too; with an answer of five tokens after
a long prompt that time would dominate.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.foundation.settings import Tree
from lab.decoding.cache_check import require_cacheable
from lab.decoding.cached_network import CachedNetwork
from lab.decoding.decoder import Decoded, decode
from lab.decoding.prompts import prompts_of
from lab.decoding.speculation import PAPER_SPEEDS
from lab.doctor.extras import install_command
from lab.export.folder import export
from lab.run.spec import RunSpec, parse_spec
from lab.run.stored_run import StoredRun
from lab.run.training import train
from lab.timing import median_ratio, wait_for

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
"""Run -> its spec, the draft lengths, and the split of its prompts."""
TURNS = 9
SAMPLES = 16
SINGLE_PROMPTS = 4
"""Prompts that are decoded one after the other."""
Progress = Callable[[str], None]


def measure_decoding(home: Path, progress: Progress) -> tuple[list[Tree], list[Tree]]:
    """Measures decoding.

    Returns:
        Rows of self-speculation, one per run, batch size and k; and rows of greedy decoding against transformers.
    """
    torch.set_num_threads(1)
    speculation_rows, greedy_rows = [], []
    for name, (tree, drafts, split) in RUNS.items():
        spec = parse_spec({"seed": 0, **tree}, f"lab bench decode, {name}")
        train(spec, home, training_progress(name, spec, progress), other_code="renew")
        stored = StoredRun(home, spec.identity, "best")
        batch = stored.parts.task.batch(split, np.arange(SAMPLES))
        prompts, lengths, room = prompts_of(batch)
        room = min(room, answer_tokens(spec, room))
        singles = [(prompts[row : row + 1], lengths[row : row + 1]) for row in range(SINGLE_PROMPTS)]
        for batches in (singles, [(prompts, lengths)]):
            speculation_rows += measure_speculation(name, stored, batches, room, drafts)
        if name == "text":
            for samples in (1, SAMPLES):
                greedy_rows.append(compare_with_transformers(stored, prompts[:samples], lengths[:samples], room))
    return speculation_rows, greedy_rows


def training_progress(name: str, spec: RunSpec, progress: Progress) -> Callable[[int], None]:
    """Returns a callback that reports the training steps of one run."""
    return lambda step: progress(f"{name}: step {step} of {spec.training.steps}")


def answer_tokens(spec: RunSpec, room: int) -> int:
    """Returns the number of tokens to decode: all that fit for a text; the coefficients, which are trained on, for a
    polynomial.
    """
    count: int = getattr(spec.task, "k", room)
    return count


def measure_speculation(
    name: str,
    stored: StoredRun,
    batches: list[tuple[Integers, Integers]],
    count: int,
    drafts: tuple[int, ...],
    turns: int = TURNS,
) -> list[Tree]:
    """Measures drafts of every length on prompts in batches of one size and returns one row per length."""
    network = stored.parts.network
    require_cacheable(network, batches[0][0], max(drafts))

    def decode_once(k: int) -> tuple[list[Decoded], float]:
        """Returns the continuations and the seconds, from which those of reading the prompts are subtracted."""
        decoded, seconds = [], 0.0
        for prompts, lengths in batches:
            start = time.perf_counter()
            with torch.inference_mode():
                CachedNetwork(network, len(prompts), prompts.shape[1] + k).read(prompts, np.zeros_like(lengths), k)
            wait_for(stored.device)
            prompt_read = time.perf_counter()
            decoded.append(decode(network, prompts, lengths, count, k, checked=True))
            seconds += time.perf_counter() - prompt_read - (prompt_read - start)
        return decoded, seconds

    seconds: dict[int, list[float]] = {k: [] for k in (1, *drafts)}
    decoded: dict[int, list[Decoded]] = {}
    for _ in range(turns + 1):
        for k, measured in seconds.items():
            decoded[k], turn = decode_once(k)
            measured.append(turn)
    rows = [speculation_row(k, decoded, {k: measured[1:] for k, measured in seconds.items()}) for k in drafts]
    paper = PAPER_SPEEDS[network.drafts]
    return [
        {
            "run": name,
            "samples": len(batches[0][0]),
            "tokens_each": count,
            **row,
            "paper_tokens_per_forward": paper[k][0],
            "paper_times_faster": paper[k][1],
        }
        for k, row in zip(drafts, rows, strict=True)
    ]


def speculation_row(k: int, decoded: Mapping[int, list[Decoded]], seconds: Mapping[int, list[float]]) -> Tree:
    """Compares drafts of k tokens with plain decoding.

    Args:
        decoded: draft length -> continuations, batch by batch.
        seconds: draft length -> seconds of each turn.
    """
    batches = decoded[k]
    tokens_per_forward = sum(int(b.lengths.sum()) for b in batches) / sum(int(b.forwards.sum()) for b in batches)
    accepted, proposed = sum(b.accepted for b in batches), sum(b.proposed for b in batches)
    times_faster = median_ratio(seconds[1], seconds[k])
    same = all((b.tokens == plain.tokens).all() for b, plain in zip(batches, decoded[1], strict=True))
    return {
        "draft": k,
        "tokens_per_forward": tokens_per_forward,
        "times_faster": times_faster,
        "realised": times_faster / tokens_per_forward,
        "acceptance": (accepted / np.maximum(1, proposed)).tolist(),
        "same_as_plain": same,
    }


def compare_with_transformers(stored: StoredRun, prompts: Integers, lengths: Integers, count: int) -> Tree:
    """Measures the lab's greedy decoding and `generate` of the exported model, taking turns.

    Raises:
        UserError: transformers is not installed.
    """
    try:
        from transformers import AutoModelForCausalLM
    except ImportError:
        raise UserError(
            f"lab bench decode compares with transformers, which is not installed; {install_command('transformers')}"
        ) from None
    assert (lengths == lengths[0]).all(), "without padding, both do the same work"
    with TemporaryDirectory() as folder:
        export(stored, Path(folder) / "run")
        llama: Any = AutoModelForCausalLM.from_pretrained(Path(folder) / "run")
    require_cacheable(stored.parts.network, prompts)
    inputs = torch.from_numpy(np.ascontiguousarray(prompts[:, : lengths[0]]))
    our_seconds, their_seconds = [], []
    for _ in range(TURNS + 1):
        before = time.perf_counter()
        ours = decode(stored.parts.network, prompts, lengths, count, checked=True)
        our_seconds.append(time.perf_counter() - before)
        before = time.perf_counter()
        theirs = llama.generate(inputs, max_new_tokens=count, min_new_tokens=count, do_sample=False, use_cache=True)
        their_seconds.append(time.perf_counter() - before)
    return {
        "samples": len(prompts),
        "tokens_each": count,
        "ms_a_token": 1e3 * statistics.median(our_seconds[1:]) / count,
        "transformers_ms_a_token": 1e3 * statistics.median(their_seconds[1:]) / count,
        "times_faster": median_ratio(their_seconds[1:], our_seconds[1:]),
        "same_tokens": bool((theirs[:, int(lengths[0]) :].numpy() == ours.tokens).all()),
    }
