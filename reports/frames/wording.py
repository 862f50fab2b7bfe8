"""Sentences about studies, claims and measures."""

from collections.abc import Sequence

import numpy as np

from generators.foundation.settings import Tree
from reports.frames.numbers import plural, signed
from reports.frames.summaries import cells_at_bound, equal_seeds, lucky_trials, scores_judged
from reports.frames.text import as_sentence, in_words, listing
from studies.declared.measures import Measure, main_measure, measure_of
from studies.declared.scales import SMOKE
from studies.judging.judgement import UNTESTED, Judgement, standing
from studies.reading.labels import Labels
from studies.reading.portable import portable
from studies.reading.results import COMPLETE, UNFINISHED, Results, rows_of
from studies.statistics.exact import SEEDS_MINIMUM, Contrast

VERDICTS = ("supported", "contradicted", "negligible", "inconclusive")
SEEDS_PLENTY = 8
"""A study with at least this many seeds per cell carries no caution about their number."""
FAILURES_LISTED = 5


def run_name(run: Tree) -> str:
    """Returns a row of `runs` as its cell with its seed or trial."""
    return f"{run['cell']}, " + (f"seed {run['seed']}" if run["phase"] == "confirm" else f"trial {run['trial']}")


def measure_name(measure: Measure, labels: Labels | None = None) -> str:
    """Returns `loss_1 on test`, or for a measure of an analysis `tokens per forward 2 (decoding)`.

    Args:
        measure: the measure.
        labels: the labels of the study, one of which may name the metric.
    """
    metric = labels.metric(measure.metric) if labels else measure.metric
    if metric != measure.metric:
        return f"{metric} on {measure.split}" if measure.split else metric
    if measure.analysis is None:
        return measure.name
    return f"{in_words(measure.metric.rpartition('/')[2])} ({measure.analysis})"


def effect_name(measure: Measure, labels: Labels | None = None) -> str:
    """Returns the name of a measure for the axis of an effect on it."""
    name = measure_name(measure, labels)
    return name if measure.sign > 0 else f"{name}, sign flipped"


def span(contrast: Contrast) -> str:
    """Returns the ends of an interval."""
    low, high = (signed(end, contrast.low, contrast.high) for end in (contrast.low, contrast.high))
    return f"{low} to {high}"


def interval(judgement: Judgement) -> str:
    """Returns the interval of a claim with the confidence at which the claim was judged; empty if it was not tested."""
    contrast, level = judgement.contrast, judgement.level
    if contrast is None or level is None:
        return ""
    return f"{100 * (1 - level):z.4g}% interval {span(contrast)}"


def tally(verdicts: Sequence[str]) -> str:
    """Returns how many claims came to each verdict."""
    counts = {verdict: verdicts.count(verdict) for verdict in (*VERDICTS, UNTESTED) if verdict in verdicts}
    if len(counts) == 1:
        claims = {1: "the claim is", 2: "both claims are"}.get(len(verdicts), f"all {len(verdicts)} claims are")
        return f"{claims} {verdicts[0]}"
    parts = [f"{count} {'is' if count == 1 else 'are'} {verdict}" for verdict, count in counts.items()]
    return f"of {len(verdicts)} claims, {listing(parts)}"


def answer(results: Results, judgements: list[Judgement]) -> str:
    """Returns the verdicts on all claims in one sentence."""
    if not results.ended:
        return "No run has ended yet, so there is no answer yet."
    verdicts = tally([standing(judgement) for judgement in judgements])
    return as_sentence(verdicts) if results.finished else f"So far, {verdicts}."


def cautions(results: Results) -> list[str]:
    """Returns a sentence for each reason to read the evidence with caution."""
    study, sentences = results.study, []
    if study.scale == SMOKE:
        sentences.append("Scale smoke only shows that the study runs. Its numbers mean nothing.")
    if study.seeds < SEEDS_MINIMUM:
        sentences.append(f"Each cell has {plural(study.seeds, 'seed')}; a verdict needs at least {SEEDS_MINIMUM}.")
    if not results.finished:
        sentences.append(_progress(results))
    if results.untuned:
        sentences.append(
            f"No trial of {listing(results.untuned)} has a score, so no setting was chosen and no seed was run there."
        )
    gone = int(results.runs.loc[results.runs["status"] == COMPLETE, "train_seconds"].isna().sum())
    if gone:
        sentences.append(
            f"The files of {plural(gone, 'run')} with a score are gone: no curve, shortcut or time is shown for them."
        )
    remarks = [*results.code.remarks(), results.code.remark_on_superseded(results.superseded)]
    sentences += [as_sentence(remark) for remark in remarks if remark]
    failed = rows_of(results.failed)
    if failed:
        listed = [
            f"{run_name(run)} ({portable(str(run['failure']), results.home)})" for run in failed[:FAILURES_LISTED]
        ]
        more = f"; and {len(failed) - FAILURES_LISTED} more" if len(failed) > FAILURES_LISTED else ""
        sentences.append(f"{plural(len(failed), 'run')} failed and do not count: {'; '.join(listed)}{more}.")
    sentences += [
        f"In {equal.cell} the seeds {listing([str(seed) for seed in equal.seeds])} have the same "
        f"{in_words(equal.digest)}: their runs are not independent, and intervals are too narrow."
        for equal in equal_seeds(results)
    ]
    if study.scale == SMOKE:
        return sentences
    seeds = results.seeds if study.declaration.looks else study.seeds
    if SEEDS_MINIMUM <= seeds < SEEDS_PLENTY:
        sentences.append(f"{seeds} seeds per cell detect only effects larger than the scatter between seeds.")
    sentences += [
        f"Every seed of {listing(cells)} has {study.declaration.metric} {bound:zg}, the limit of the metric, at which "
        "arms look alike whatever they have learnt."
        for bound, cells in cells_at_bound(results).items()
    ]
    sentences += [
        f"In {trial.cell}, the chosen trial scored {trial.score:z.3f} on validation and the confirming seeds "
        f"{trial.low:z.3f} to {trial.high:z.3f}, so its setting may have been chosen by luck."
        for trial in lucky_trials(results)
    ]
    return sentences


def _progress(results: Results) -> str:
    running = int((results.runs["status"] == UNFINISHED).sum())
    begun = f", {running} running or waiting" if running else ""
    start = "Nothing has ended yet" if not results.ended else "The study is unfinished"
    runs = plural(results.planned, "run")
    return f"{start}: {results.ended} of {runs} ended{begun}. The results shown will change."


def shortcut_comparison(results: Results, judgement: Judgement) -> str:
    """Returns the scores of a claim's arms relative to the declared shortcut; empty if that is unknown."""
    name = results.study.declaration.shortcut
    if measure_of(results.study.declaration, judgement.claim) != main_measure(results.study.declaration):
        return ""  # a shortcut has scores only
    table = scores_judged(results, judgement)
    arms = [table[label] for label in judgement.cells]
    if name is None or not arms or not all(np.isfinite(arm.shortcut) for arm in arms):
        return ""
    below = [arm.cell for arm in arms if arm.mean <= arm.shortcut]
    values = " and ".join(dict.fromkeys(f"{arm.shortcut:z.3f}" for arm in arms))
    neither, both = ("neither arm", "both arms") if len(arms) == 2 else ("no arm", "all arms")
    if len(below) == len(arms):
        return f"{name} scores {values}; {neither} exceeds it, so their difference says nothing about the skill"
    if below:
        return f"{name} scores {values}; {listing(below)} {'does' if len(below) == 1 else 'do'} not exceed it"
    return f"{name} scores {values}; {both} exceed it"
