"""The part `step`: the training step at three of the paper's sizes, beside transformers' Llama.

A group is one size in one or two precisions. Its contenders compile at the same time in several workers and then take
turns, one at a time. A turn is several steps in a row without a wait between them, as in training. Ratios are medians
of the ratios within a turn; a ratio above 1 means that the lab's step is faster than transformers' of the same kind.
"""

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

from benchmarks.gpu.contenders import GRAPHS, LAB, TRANSFORMERS, Contender
from benchmarks.gpu.plan import Plan, Row
from benchmarks.gpu.pool import Pool
from lab.model.config import SIZES, ModelShape
from lab.timing import median_ratio, time_in_turns

HEADS = (1, 2, 4)
KINDS = ("eager", "compiled", GRAPHS)
OURS = {"bf16": {"eager": HEADS, "compiled": (1,), GRAPHS: HEADS}, "fp32": {"eager": HEADS, GRAPHS: (1, 4)}}
"""Precision -> kind of step -> n of the lab's contenders. TF32 has those of fp32, whose compiled steps are recorded."""
PEERS = {"bf16": ("eager", "compiled"), "fp32": ("eager",)}
"""Precision -> kinds of transformers' contenders."""
BATCHES = {"1M": (256, 64, 256), "10M": (8192, 8, 1024), "100M": (8192, 4, 1024)}
"""Size -> vocabulary, samples and tokens per sample."""
GROUPS = (
    ("100M", ("bf16",)), ("10M", ("tf32", "fp32")), ("100M", ("tf32", "fp32")), ("1M", ("tf32", "fp32")),
    ("10M", ("bf16",)), ("1M", ("bf16",)),
)  # fmt: skip
"""Size and precisions; groups that no GPU has measured yet come first."""
WORKERS, TURNS = 6, 6
GROUP_SECONDS = {"1M": 22.0, "10M": 27.0, "100M": 45.0}
"""Size -> the expected time of a group on an H100; a group that has less is left out."""
TURNS_SECONDS = 12.0
"""Time kept for the turns of a group; contenders that have not compiled by then are lost."""
QUICK = {"shape": ModelShape(8, 5, 1), "vocabulary": 16, "samples": 2, "length": 8}
QUICK_COMPILED = {"shape": ModelShape(8, 2, 1)}
COMPILED_ON_CPU = "100M", "bf16"
"""The group of which a CPU compiles a step; two layers take half a minute."""


def measure(plan: Plan) -> None:
    """Measures group after group while there is time."""
    ceilings = {row["ceiling"]: row["measured"] for row in reversed(plan.rows("ceilings"))}
    pool = Pool(plan.device, WORKERS if plan.on_gpu else 1)
    all_able = True
    for size, precisions in GROUPS:
        group = {"size": size, "precisions": precisions}
        if plan.on_gpu and plan.seconds_left() < GROUP_SECONDS[size]:
            plan.write(**group, left_out="no time left")
            continue
        before = time.time()
        all_able &= measure_group(plan, pool, size, precisions, ceilings)
        pool.drop()
        plan.write_detail(**group, seconds=time.time() - before)
    pool.close()
    if not all_able:
        sys.exit("a step of the lab failed")


def contenders_of(plan: Plan, size: str, precision: str) -> list[Contender]:
    """Returns the contenders of one size in one precision; a CPU records no step and compiles only one."""
    base = Contender(LAB, SIZES[size], *BATCHES[size], precision=precision)
    name = "bf16" if precision == "bf16" else "fp32"
    if plan.quick:
        base = replace(base, **QUICK)
    ours = [replace(base, n=n, kind=kind) for kind, heads in OURS[name].items() for n in heads]
    contenders = ours + [replace(base, model=TRANSFORMERS, kind=kind) for kind in PEERS[name]]
    if plan.on_gpu:
        return contenders
    eager = [contender for contender in contenders if contender.kind == "eager"]
    compiled = replace(base, kind="compiled", **(QUICK_COMPILED if plan.quick else {}))
    return [*eager, compiled] if (size, precision) == COMPILED_ON_CPU else eager


def measure_group(plan: Plan, pool: Pool, size: str, precisions: Sequence[str], ceilings: Mapping[str, float]) -> bool:
    """Measures a group and writes its rows: one per contender, and one per precision and kind for the summary.

    Args:
        ceilings: name of a ceiling -> its rate.

    Returns:
        whether all steps of the lab ran.
    """
    contenders = [contender for precision in precisions for contender in contenders_of(plan, size, precision)]
    firsts: dict[Contender, float | str] = {}
    for eager in (True, False):  # the memory of eager steps has been freed when the compiled ones take theirs
        wave = [contender for contender in contenders if (contender.kind == "eager") == eager]
        firsts |= pool.prepare(wave, plan.seconds_left() - TURNS_SECONDS)
    failed = {contender: reason for contender, reason in firsts.items() if isinstance(reason, str)}
    for contender, reason in failed.items():
        plan.write(**names_of(size, contender), failed=reason)
    able = [contender for contender in contenders if contender not in failed]
    turns = take_turns(pool, able, 2 if plan.quick else TURNS)
    for contender, seconds in turns.items():
        median = statistics.median(seconds)
        ceiling = ceilings.get(f"product {contender.precision}")
        plan.write_detail(
            **names_of(size, contender),
            shape=[contender.shape.width, contender.shape.layers, contender.shape.attention_heads],
            vocabulary=contender.vocabulary,
            samples=contender.samples,
            length=contender.length,
            milliseconds=1e3 * median,
            tokens_per_second=contender.tokens / median,
            teraflops=contender.operations() / median / 1e12,
            of_ceiling=contender.operations() / median / 1e12 / ceiling if ceiling else None,
            first_step_seconds=firsts[contender],
            turns=seconds,
        )
    for precision, kind in product(precisions, KINDS):
        same = {c: seconds for c, seconds in turns.items() if (c.precision, c.kind) == (precision, kind)}
        write_kind(plan, size, precision, same, firsts, ceilings.get(f"product {precision}"))
    return all(contender.model != LAB for contender in failed)


def names_of(size: str, contender: Contender) -> Row:
    """Returns what tells the contender of a size from the others."""
    names = {"precision": contender.precision, "model": contender.model, "kind": contender.kind, "n": contender.n}
    return {"size": size, **names}


def take_turns(pool: Pool, contenders: list[Contender], turns: int) -> dict[Contender, list[float]]:
    """Lets contenders take turns and returns the seconds per step of each turn, as their workers measured them."""
    seconds: dict[Contender, list[float]] = {contender: [] for contender in contenders}

    def turn(contender: Contender) -> None:
        seconds[contender].append(pool.turn(contender))

    time_in_turns({contender: partial(turn, contender) for contender in contenders}, turns)
    measured = {contender: values[-turns:] for contender, values in seconds.items()}
    return {contender: values for contender, values in measured.items() if all(value == value for value in values)}


def write_kind(
    plan: Plan,
    size: str,
    precision: str,
    turns: Mapping[Contender, list[float]],
    firsts: Mapping[Contender, float | str],
    ceiling: float | None,
) -> None:
    """Writes the row of the summary for one kind of step: milliseconds, and the figures of n = 1 beside the peer's.

    Args:
        turns: contender -> seconds per step of each turn.
    """
    ours = {contender.n: contender for contender in turns if contender.model == LAB}
    theirs = next((contender for contender in turns if contender.model == TRANSFORMERS), None)
    if not ours or min(ours) != 1:
        return
    first = ours[1]
    seconds = statistics.median(turns[first])
    rate = first.operations() / seconds / 1e12
    plan.write(
        size=size,
        precision=precision,
        kind=first.kind,
        **{f"n={n} ms": 1e3 * statistics.median(turns[ours[n]]) if n in ours else None for n in HEADS},
        **{"transformers ms": 1e3 * statistics.median(turns[theirs]) if theirs else None},
        **{"lab is faster": median_ratio(turns[theirs], turns[first]) if theirs else None},
        **{"ktokens/s": first.tokens / seconds / 1e3, "TFLOP/s": rate},
        **{"of ceiling": rate / ceiling if ceiling else None},
        **{"first step s": firsts[first], "transformers' first": firsts[theirs] if theirs else None},
    )
