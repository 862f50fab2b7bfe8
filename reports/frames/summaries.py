"""The numbers that figures and tables show, computed from frames once, so that both always agree.

Only complete confirming runs count, as for verdicts.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd

from studies.declared.measures import STEPS_TO_SOLVE, Measure, main_measure, measure_of, shortcut_metric
from studies.declared.study import Cell
from studies.judging.judgement import Judgement
from studies.reading.results import COMPLETE, UNFINISHED, Results, columns_under, rows_of
from studies.statistics.exact import mean_interval, share_interval
from studies.statistics.forms.form import TOLERANCE

CURVE_COLUMNS = ["cell", "step", "seconds", "mean", "seeds"]
DIFFERENCE_COLUMNS = ["claim", "seed", "treatment", "control", "difference", "treatment_run", "control_run"]


@dataclass(frozen=True)
class CellScore:
    """Scores of a cell over seeds; nan if nothing is known.

    Attributes:
        cell: label of the cell.
        seeds: number of seeds with a score.
        mean: mean of the measure.
        low: lower end of the mean's interval.
        high: upper end of the mean's interval.
        shortcut: mean score of the declared shortcut on the same samples: its share of right tokens or, in a study of
            exact matches, of right whole answers. Runs stored before whole answers were scored do not have the latter.
        above_shortcuts: mean accuracy minus that of the best shortcut.
        unexplained: mean accuracy on tokens that every shortcut gets wrong.
        train_seconds: mean training time.
    """

    cell: str
    seeds: int = 0
    mean: float = nan
    low: float = nan
    high: float = nan
    shortcut: float = nan
    above_shortcuts: float = nan
    unexplained: float = nan
    train_seconds: float = nan


@dataclass(frozen=True)
class EqualTimeScores:
    """Mean validation scores of the two arms of a claim after equal seconds of training."""

    seconds: float
    treatment: float
    control: float


@dataclass(frozen=True)
class LuckyTrial:
    """A chosen trial whose validation score no confirming run reproduced, with the range of their scores."""

    cell: str
    score: float
    low: float
    high: float


@dataclass(frozen=True)
class EqualSeeds:
    """Seeds of a cell with the same initial weights or first batch, so that their runs are not independent.

    Attributes:
        cell: label of the cell.
        digest: the equal digest, `initial_weights` or `first_batch`.
        seeds: the seeds, at least two.
    """

    cell: str
    digest: str
    seeds: tuple[int, ...]


def scores(
    results: Results, measure: Measure | None = None, seeds: Collection[int] | None = None
) -> dict[str, CellScore]:
    """Returns cell label -> scores for every cell of the grid, including cells without runs.

    Args:
        results: the study.
        measure: by default the study's own.
        seeds: those that count; by default all.
    """
    declaration = results.study.declaration
    measure = measure or main_measure(declaration)
    score_column = results.column_of(measure)
    confirmed = results.scored(measure).sort_values("seed", kind="stable")
    if seeds is not None:
        confirmed = confirmed[confirmed["seed"].isin(seeds)]
    by_cell = dict(iter(confirmed.groupby("cell", sort=False)))
    columns = {
        "shortcut": shortcut_column(results),
        "above_shortcuts": results.column("above_shortcuts"),
        "unexplained": results.column("accuracy_unexplained"),
        "train_seconds": "train_seconds",
    }
    cell_scores = {}
    for cell in results.study.cells:
        runs = by_cell.get(cell.label)
        if runs is not None:
            values = runs[score_column].to_numpy(dtype=np.float64)
            low, high = (
                share_interval(values, declaration.level)
                if measure.is_share
                else mean_interval(values, declaration.level, bounds_in(results, cell, measure))
            )
            means = {name: float(runs[column].mean()) for name, column in columns.items() if column in runs}
            cell_scores[cell.label] = CellScore(cell.label, len(values), float(values.mean()), low, high, **means)
        else:
            cell_scores[cell.label] = CellScore(cell.label)
    return cell_scores


def cells_at_bound(results: Results) -> dict[float, list[str]]:
    """Returns bound of the study's measure -> the cells whose seeds all reach it, if there are several such cells."""
    bounds, table = main_measure(results.study.declaration).bounds or (), scores(results)
    at_bound = {
        bound: [row.cell for row in table.values() if row.seeds > 1 and abs(row.mean - bound) < TOLERANCE]
        for bound in bounds
    }
    return {bound: cells for bound, cells in at_bound.items() if len(cells) > 1}


def seed_curves(results: Results) -> pd.DataFrame:
    """Returns the rows of `curves` with the validation score of confirming runs at every evaluation."""
    curves = results.curves
    counts = (curves["phase"] == "confirm") & (curves["status"] == COMPLETE) & (curves["split"] == "validation")
    return curves[counts & (curves["metric"] == results.study.declaration.metric)]


def mean_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per cell and step, with the means of validation score and training seconds over seeds.

    A run that ended early keeps its last values, so that the mean does not fall where the best runs have ended.
    """
    rows = []
    for cell, runs in curves.groupby("cell", sort=True):
        values, seconds = (runs.pivot(index="step", columns="seed", values=name) for name in ("value", "seconds"))
        means = values.ffill().mean(axis=1), seconds.ffill().mean(axis=1), values.ffill().count(axis=1)
        for step, mean, spent, seeds in zip(values.index, *means, strict=True):
            rows.append({"cell": cell, "step": step, "seeds": int(seeds), "seconds": spent, "mean": mean})
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def bounds_in(results: Results, cell: Cell, measure: Measure) -> tuple[float, float] | None:
    """Returns the smallest and the largest value that a measure can have in a cell; None without bounds."""
    if measure.metric == STEPS_TO_SOLVE:
        return 0.0, float(results.study.spec(cell, results.study.middle, 0).training.steps)
    return measure.bounds


def scores_judged(results: Results, judgement: Judgement) -> dict[str, CellScore]:
    """Returns the scores of every cell in the seeds that a claim was judged on, or in all if it was not tested.

    A cell may have more seeds than the look that decided the claim, because another claim needed them.
    """
    measure = measure_of(results.study.declaration, judgement.claim)
    return scores(results, measure, None if judgement.contrast is None else judgement.by_seed.keys())


def shortcut_column(results: Results, split: str | None = None) -> str | None:
    """Returns the column of the declared shortcut's score, which is of the same kind as the study's metric.

    Args:
        results: the study.
        split: by default the study's own.
    """
    metric = shortcut_metric(results.study.declaration)
    return None if metric is None else results.column(metric, split)


def shortcut_on(results: Results, split: str, cells: list[str]) -> float | None:
    """Returns the declared shortcut's mean score over the confirming runs of some cells, or None if unknown."""
    column = shortcut_column(results, split)
    confirmed = results.phase("confirm")
    if column not in confirmed:
        return None
    values = confirmed[confirmed["cell"].isin(cells)][column].dropna()
    return float(values.mean()) if len(values) else None


def lucky_trials(results: Results) -> list[LuckyTrial]:
    """Returns the chosen trials that tuning may have chosen by luck.

    Luck is suspected if a trial's validation score is further from the score of every confirming run than the
    confirming runs are from each other. If only one trial has a score, nothing was chosen; if the confirming runs do
    not differ, their scatter is unknown. Neither case is a reason to warn.
    """
    lucky = []
    column = results.column(results.study.declaration.metric, "validation")
    for cell in results.cells:
        runs = results.runs[results.runs["cell"] == cell.label]
        scored = runs[(runs["phase"] == "tune") & runs["score"].notna()]
        chosen = scored
        for key, value in (cell.winner or {}).items():
            chosen = chosen[chosen[f"setting/{key}"] == value]
        seeds = runs[runs["phase"] == "confirm"][column].dropna() if column in runs else chosen["score"][:0]
        if chosen.empty or len(chosen) == len(scored) or len(seeds) < 2 or cell.winner is None:
            continue
        trial = LuckyTrial(cell.label, float(chosen["score"].mean()), float(seeds.min()), float(seeds.max()))
        spread = trial.high - trial.low
        if spread > TOLERANCE and max(trial.low - trial.score, trial.score - trial.high) > spread:
            lucky.append(trial)
    return lucky


def equal_seeds(results: Results) -> list[EqualSeeds]:
    """Returns the groups of confirming seeds that share a digest in a cell; runs without digests are in no group."""
    confirmed = results.phase("confirm").sort_values("seed", kind="stable")
    return [
        EqualSeeds(str(cell), name, tuple(int(seed) for seed in group["seed"]))
        for name, column in columns_under(confirmed, "digest").items()
        for (cell, _), group in confirmed.groupby(["cell", column], sort=False)
        if len(group) > 1
    ]


def differences(results: Results, judgements: list[Judgement]) -> pd.DataFrame:
    """Returns the effect of each claim in each seed, next to the two cells that are shown for the claim.

    Only seeds that are complete in all cells of a claim have a row.
    """
    scored = {(run["cell"], run["seed"]): run for run in rows_of(results.phase("confirm"))}
    rows = []
    for judgement in judgements:
        column = results.column_of(measure_of(results.study.declaration, judgement.claim))
        for seed, effect in judgement.by_seed.items():
            treatment, control = (scored.get((label, seed)) for label in (judgement.treatment, judgement.control))
            if treatment and control:
                row = {"claim": judgement.claim.name, "seed": seed, "difference": effect}
                row |= {"treatment": treatment[column], "control": control[column]}
                rows.append(row | {"treatment_run": treatment["run"], "control_run": control["run"]})
    return pd.DataFrame(rows, columns=DIFFERENCE_COLUMNS)


def at_equal_seconds(results: Results, judgement: Judgement) -> EqualTimeScores | None:
    """Returns the scores of a claim's arms at the training time at which the fastest of their runs ended.

    Scores are interpolated linearly between evaluations. Returns None for a claim about a metric other than the
    study's, a claim without exactly two arms, and arms without curves.
    """
    claim = judgement.claim
    if claim.metric not in (None, results.study.declaration.metric) or not claim.two_arms:
        return None
    curves = seed_curves(results)
    arms = [curves[curves["cell"] == label] for label in (judgement.treatment, judgement.control)]
    if any(arm.empty for arm in arms):
        return None
    seconds = min(float(arm.groupby("run")["seconds"].max().min()) for arm in arms)
    treatment, control = (
        float(np.mean([np.interp(seconds, run["seconds"], run["value"]) for _, run in arm.groupby("run")]))
        for arm in arms
    )
    return EqualTimeScores(seconds, treatment, control)


def trials(results: Results) -> pd.DataFrame:
    """Returns the tuning runs that ended, failed ones included; `winner` marks those whose settings the cell chose."""
    tuned = results.runs[(results.runs["phase"] == "tune") & (results.runs["status"] != UNFINISHED)].copy()
    winners = {cell.label: cell.winner for cell in results.cells}
    settings = columns_under(tuned, "setting")
    tuned["winner"] = [
        winners[run["cell"]] == {name: run[column] for name, column in settings.items()} for run in rows_of(tuned)
    ]
    return tuned
