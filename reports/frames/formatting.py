"""Numbers and findings in words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path

import numpy as np

from generators.foundation.settings import Tree
from reports.frames.results import COMPLETE, UNFINISHED, Results, rows_of
from reports.frames.summaries import lucky, scores
from studies.declared.measures import Measure, main_measure, measure_of
from studies.declared.scales import SMOKE
from studies.judging.judgement import Judgement
from studies.statistics.exact import SEEDS_MINIMUM, Contrast

MISSING = "–"
METRICS = {
    "accuracy": "share of scored tokens whose most likely prediction is right",
    "exact": "share of samples with every scored token right",
    "accuracy_unexplained": "accuracy on the scored tokens that every shortcut gets wrong",
    "above_shortcuts": "accuracy less that of the best shortcut",
    "loss_1": "mean cross-entropy of the next token in nats, less being better",
}
VERDICTS = ("supported", "contradicted", "inconclusive")
SEEDS_PLENTY = 8
"""From so many seeds a cell on, nothing is said of their number."""
UNTESTED = "not tested"
NAMED = 5
"""Failures that are told one by one."""


@dataclass(frozen=True)
class Value:
    """One entry of a table: what is read, what it is sorted by, where it leads; or the verdict that it is."""

    text: str
    order: float | str | None = None
    link: str = ""
    verdict: str = ""


def number(value: object, form: str = ".3f") -> Value:
    """A number as tables show it; a dash where there is none."""
    if value is None or not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
        return Value(MISSING)
    return Value(minus(f"{value:{form}}"), float(value))


def stands(judgement: Judgement) -> Value:
    """How a claim stands, sorted by verdict."""
    found = standing(judgement)
    return Value(found, (*VERDICTS, UNTESTED).index(found), verdict=found)


def word(value: object) -> Value:
    """A word as tables show it; a level that is a number is sorted as one."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return Value(str(value), float(value) if plain else None)  # type: ignore[arg-type]


def signed(value: float, *beside: float) -> str:
    """A difference, with its sign; with as many decimals as two digits of the largest of those beside it take."""
    if not np.isfinite(value):
        return "∞" if value > 0 else "−∞"
    largest = max((abs(each) for each in (value, *beside) if np.isfinite(each)), default=0.0)
    decimals = 3 if largest == 0 else min(9, max(3, 1 - floor(log10(largest))))
    return minus(f"{value:+.{decimals}f}")


def plain(value: float, *beside: float) -> str:
    """A value of a measure, with the decimals of `signed`."""
    return signed(value, *beside).removeprefix("+")


def measured(measure: Measure) -> str:
    """A measure as an effect on it is read: of losses and seconds, where less is better, a positive one is less."""
    return called(measure) if measure.sign > 0 else f"{called(measure)}, less being better"


def called(measure: Measure) -> str:
    """A measure as it is read: `loss_1 on test`; of an analysis `tokens per forward 2 (decoding)`."""
    if measure.analysis is None:
        return measure.name
    return f"{spoken(measure.metric.rpartition('/')[2])} ({measure.analysis})"


def minus(text: str) -> str:
    """A number's sign as print has it."""
    return f"−{text[1:]}" if text.startswith("-") else text


def plural(count: int, noun: str) -> str:
    """`1 run`, `2 runs`, `2 studies`."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun}" if count == 1 else f"{count} {many}"


def spoken(name: str) -> str:
    """`small_gains` as words."""
    return name.replace("_", " ")


def shortened(text: str, letters: int) -> str:
    """A text cut to so many letters."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def listing(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def portable(text: str, home: Path) -> str:
    """A text without the places of this machine: paths in the lab's home are relative to it, others only a name."""
    text = text.replace(f"{home.absolute()}/", "").replace(f"{home.resolve()}/", "")
    return re.sub(r"(?<![\w./])/(?:[^\s/'\"=,;:]+/)+([^\s/'\"=,;:]+)", r"\1", text)


def answer(results: Results, judgements: list[Judgement]) -> str:
    """What became of the claims, all in one sentence."""
    if not results.ended:
        return "No run has ended yet, so there is no answer yet."
    told = tally([standing(one) for one in judgements])
    return f"So far, {told}." if results.ended < results.study.runs else sentence(told)


def sentence(told: str) -> str:
    """Words as a sentence."""
    return f"{told[0].upper()}{told[1:]}."


def standing(judgement: Judgement) -> str:
    """The verdict on a claim, or that it could not be tested: both are inconclusive, for different reasons."""
    return judgement.verdict if judgement.contrast else UNTESTED


def tally(verdicts: Sequence[str]) -> str:
    """How many claims there are of each verdict."""
    counts = {one: verdicts.count(one) for one in (*VERDICTS, UNTESTED) if one in verdicts}
    if len(counts) == 1:
        many = {1: "the claim is", 2: "both claims are"}.get(len(verdicts), f"all {len(verdicts)} claims are")
        return f"{many} {verdicts[0]}"
    parts = [f"{count} {'is' if count == 1 else 'are'} {one}" for one, count in counts.items()]
    return f"of {len(verdicts)} claims, {listing(parts)}"


def cautions(results: Results, home: Path) -> list[str]:
    """Why the evidence is thin, if it is; each a sentence."""
    study, told = results.study, []
    if study.scale == SMOKE:
        told.append("Scale smoke only shows that the study runs. Its numbers mean nothing.")
    if study.seeds < SEEDS_MINIMUM:
        told.append(f"{plural(study.seeds, 'seed')} a cell. A verdict needs at least {SEEDS_MINIMUM}.")
    if results.ended < study.runs:
        running = int((results.runs["status"] == UNFINISHED).sum())
        begun = f", {running} begun or waiting" if running else ""
        done = "Nothing has ended yet" if not results.ended else "The study is unfinished"
        told.append(f"{done}: {results.ended} of {plural(study.runs, 'run')} ended{begun}. What is shown will change.")
    gone = int(results.runs.loc[results.runs["status"] == COMPLETE, "train_seconds"].isna().sum())
    if gone:
        told.append(
            f"{plural(gone, 'run')} with a score cannot be read any more: no curve, shortcut or time is shown for them."
        )
    failed = rows_of(results.failed)
    if failed:
        named = [f"{run_name(run)} ({portable(str(run['failure']), home)})" for run in failed[:NAMED]]
        more = f"; and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
        told.append(f"{plural(len(failed), 'run')} failed and count for nothing: " + "; ".join(named) + more + ".")
    if study.scale == SMOKE:
        return told
    if SEEDS_MINIMUM <= study.seeds < SEEDS_PLENTY:
        told.append(f"{study.seeds} seeds a cell: only an effect larger than what seeds scatter by is found.")
    told += [
        f"In {cell} the chosen trial scored {trial:.3f} on validation, the seeds that count {low:.3f} to {high:.3f}: "
        "its setting may have been chosen by luck."
        for cell, trial, low, high in lucky(results)
    ]
    return told


def run_name(run: Tree) -> str:
    """A run as its cell and its seed or trial."""
    return f"{run['cell']}, " + (f"seed {run['seed']}" if run["phase"] == "confirm" else f"trial {run['trial']}")


def interval(judgement: Judgement) -> str:
    """The interval of a claim, at the level the claim was judged at."""
    found, level = judgement.contrast, judgement.level
    if found is None or level is None:
        return ""
    return f"{100 * (1 - level):.4g}% interval {span(found)}"


def span(found: Contrast) -> str:
    """An interval's ends."""
    low, high = (signed(end, found.low, found.high) for end in (found.low, found.high))
    return f"{low} to {high}"


def beside_shortcut(results: Results, judgement: Judgement) -> str:
    """The arms of a claim read against the shortcut; empty where it is not known."""
    name = results.study.declaration.shortcut
    if measure_of(results.study.declaration, judgement.claim) != main_measure(results.study.declaration):
        return ""  # it is a score that the shortcut has
    table = scores(results)
    arms = [table[label] for label in judgement.cells]
    if name is None or not all(np.isfinite(arm.shortcut) for arm in arms):
        return ""
    below = [arm.cell for arm in arms if arm.mean <= arm.shortcut]
    told = f"{name} scores " + " and ".join(dict.fromkeys(f"{arm.shortcut:.3f}" for arm in arms))
    none, every = ("neither arm", "both arms") if len(arms) == 2 else ("no arm", "all arms")
    if len(below) == len(arms):
        return f"{told}; {none} is above it, so their difference is not of the skill"
    return (
        f"{told}; {listing(below)} {'is' if len(below) == 1 else 'are'} not above it"
        if below
        else f"{told}; {every} are above it"
    )
