"""Frames -> the numbers that figures and tables show. Both take them from here, so they cannot disagree.

Only confirming runs that are complete count, as for the verdicts.
"""

from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd

from reports.frames.results import COMPLETE, UNFINISHED, Results, columns_under, rows_of
from studies.declared.measures import Measure, main_measure, measure_of
from studies.judging.judgement import Judgement
from studies.statistics.exact import mean_interval

CURVE_COLUMNS = ["cell", "step", "seconds", "mean", "seeds"]
DIFFERENCE_COLUMNS = ["claim", "seed", "treatment", "control", "difference", "treatment_run", "control_run"]


@dataclass(frozen=True)
class CellScore:
    """A cell's scores, nan where nothing is known.

    mean, low, high: of a measure over seeds, with the interval of the mean. shortcut: the score of
    the declared shortcut on the same tokens. above_shortcuts, unexplained, train_seconds: means over seeds.
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
class EqualTime:
    """Mean validation scores of the two arms of a claim after equal seconds of training."""

    seconds: float
    treatment: float
    control: float


def scores(results: Results, measure: Measure | None = None) -> dict[str, CellScore]:
    """Cell label -> scores, for every cell of the grid, whether anything ran there or not. By default the study's own
    measure."""
    declaration = results.study.declaration
    measure = measure or main_measure(declaration)
    scored, confirmed = results.column_of(measure), results.scored(measure).sort_values("seed", kind="stable")
    by_cell = dict(iter(confirmed.groupby("cell", sort=False)))
    columns = {
        "shortcut": results.column(f"shortcut/{declaration.shortcut}"),
        "above_shortcuts": results.column("above_shortcuts"),
        "unexplained": results.column("accuracy_unexplained"),
        "train_seconds": "train_seconds",
    }
    found = {}
    for cell in results.study.cells:
        runs = by_cell.get(cell.label)
        if runs is not None:
            values = runs[scored].to_numpy(dtype=np.float64)
            low, high = mean_interval(values, declaration.level)
            means = {name: float(runs[column].mean()) for name, column in columns.items() if column in runs}
            found[cell.label] = CellScore(cell.label, len(values), float(values.mean()), low, high, **means)
        else:
            found[cell.label] = CellScore(cell.label)
    return found


def seed_curves(results: Results) -> pd.DataFrame:
    """The validation score of every confirming run at every step it was evaluated: rows of `curves`."""
    curves = results.curves
    wanted = (curves["phase"] == "confirm") & (curves["status"] == COMPLETE) & (curves["split"] == "validation")
    return curves[wanted & (curves["metric"] == results.study.declaration.metric)]


def mean_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean validation score, and mean training seconds, at every step of a cell; one row a cell and step."""
    rows = []
    for (cell, step), group in curves.groupby(["cell", "step"], sort=True):
        means = {"seconds": group["seconds"].mean(), "mean": group["value"].mean()}
        rows.append({"cell": cell, "step": step, "seeds": len(group), **means})
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def shortcut_on(results: Results, split: str, cells: list[str]) -> float | None:
    """The declared shortcut's mean score over some cells' confirming runs, or None where it is not known."""
    name = results.study.declaration.shortcut
    column = results.column(f"shortcut/{name}", split)
    confirmed = results.phase("confirm")
    if column not in confirmed:
        return None
    values = confirmed[confirmed["cell"].isin(cells)][column].dropna()
    return float(values.mean()) if len(values) else None


def lucky(results: Results) -> list[tuple[str, float, float, float]]:
    """Cells whose chosen trial scored further, on validation, from every seed that counts than those are from each
    other: the cell, the trial's score, and the lowest and highest of the seeds'."""
    found = []
    column = results.column(results.study.declaration.metric, "validation")
    for cell in results.cells:
        mine = results.runs[results.runs["cell"] == cell.label]
        chosen = mine[(mine["phase"] == "tune") & mine["score"].notna()]
        for key, value in (cell.winner or {}).items():
            chosen = chosen[chosen[f"setting/{key}"] == value]
        seeds = mine[mine["phase"] == "confirm"][column].dropna() if column in mine else chosen["score"][:0]
        if chosen.empty or len(seeds) < 2 or cell.winner is None:
            continue
        trial, low, high = float(chosen["score"].mean()), float(seeds.min()), float(seeds.max())
        if max(low - trial, trial - high) > high - low:
            found.append((cell.label, trial, low, high))
    return found


def differences(results: Results, judgements: list[Judgement]) -> pd.DataFrame:
    """The effect of each claim, seed by seed, with the cells shown for it; only seeds complete in all its cells."""
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


def at_equal_seconds(results: Results, judgement: Judgement) -> EqualTime | None:
    """The arms of a claim once each had as many seconds of training as the fastest of their runs took in all.

    Between two evaluations a run's score is taken to move in a straight line. None for a claim about another metric, or
    about more than two arms.
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
    return EqualTime(seconds, treatment, control)


def trials(results: Results) -> pd.DataFrame:
    """The tuning runs that ended, failed ones included, each with whether it won its cell."""
    tuned = results.runs[(results.runs["phase"] == "tune") & (results.runs["status"] != UNFINISHED)].copy()
    winners = {cell.label: cell.winner for cell in results.cells}
    settings = columns_under(tuned, "setting")
    tuned["winner"] = [
        winners[run["cell"]] == {name: run[column] for name, column in settings.items()} for run in rows_of(tuned)
    ]
    return tuned
