"""The score that the best of k tuning trials is expected to have, for every k up to the number of trials that ran.

Tuning reports the best of n trials, so a comparison of two arms depends on n. The expected best of k trials shows how
(Dodge et al. 2019, "Show Your Work", arXiv 1909.03004). They draw trials with replacement; here the k trials are drawn
without replacement from the n, which is exact and unbiased for k <= n.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from studies.declared.study import TUNING_SEED
from studies.ledger.records import CellRecord, RunRecord
from studies.reading.results import Results


@dataclass(frozen=True)
class TuningTrial:
    """One setting that tuning tried in a cell.

    Attributes:
        settings: the tuned settings.
        runs: identities of its runs, by seed.
        score: the mean of its validation scores over all tuning seeds; None if one of them has no score.
        failed: whether a run failed.
    """

    settings: dict[str, float]
    runs: tuple[str, ...]
    score: float | None
    failed: bool


def tuning_trials(results: Results) -> dict[str, list[TuningTrial]]:
    """Returns cell label -> its trials, in the order in which tuning tried them."""
    seeds = results.study.declaration.tuning.seeds
    return {cell.label: [_trial(runs, seeds) for runs in _runs_by_trial(cell)] for cell in results.cells}


def complete_trials(trials: Sequence[TuningTrial], sign: float) -> list[tuple[float, TuningTrial]]:
    """Returns the score and the trial of every complete trial, from the best to the worst.

    Args:
        trials: the trials of a cell.
        sign: 1 if more is better, -1 if less is.
    """
    scored = [(trial.score, trial) for trial in trials if trial.score is not None]
    return sorted(scored, key=lambda pair: -sign * pair[0])


def expected_best(scores: Sequence[float], sign: float) -> list[float]:
    """Returns the expected best of k scores drawn without replacement, for k = 1 to the number of scores.

    With the n scores sorted from the worst, x_1 to x_n, the best of k is x_i in C(i-1, k-1) of the C(n, k) draws. The
    weights follow from that of x_n, which is k/n, as C(i-2, k-1) / C(i-1, k-1) = (i-k) / (i-1).

    Args:
        scores: in any order.
        sign: 1 if more is better, -1 if less is.
    """
    best_first = -np.sort(-sign * np.array(scores, dtype=np.float64))
    n = len(best_first)
    ranks = np.arange(n, 1, -1)  # of x_n to x_2
    expected = []
    for k in range(1, n + 1):
        weights = k / n * np.cumprod([1.0, *((ranks - k) / (ranks - 1))])
        expected.append(float(sign * (weights @ best_first)))
    return expected


def _runs_by_trial(cell: CellRecord) -> list[list[RunRecord]]:
    """Returns the tuning runs of a cell by trial; each trial starts with the first tuning seed."""
    trials: list[list[RunRecord]] = []
    for run in cell.runs:
        if run.phase == "tune":
            if run.seed == TUNING_SEED or not trials:
                trials.append([])
            trials[-1].append(run)
    return trials


def _trial(runs: Sequence[RunRecord], seeds: int) -> TuningTrial:
    scores = [run.score for run in runs if run.score is not None]
    return TuningTrial(
        settings=runs[0].settings,
        runs=tuple(run.identity for run in runs),
        score=fmean(scores) if len(scores) == seeds else None,
        failed=any(run.failure is not None for run in runs),
    )
