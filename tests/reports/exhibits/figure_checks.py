"""Compares figures with the files of the runs: numpy and scipy compute what a figure should show.

Every mark has to be accounted for. `checks` gives the comparison for each figure of a page.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tests.reports.figure_reader import SPACE, FigureReader, Mark, path_points
from tests.reports.stored_study import RATES, StoredStudy

Numbers = NDArray[np.float64]
Check = Callable[[str], None]
LEVEL, MARGIN = 0.05, 0.1
CELLS = [(width, n) for width in (8, 16) for n in (1, 2)]


@dataclass(frozen=True)
class RunFiles:
    """Contents of the files of a run folder.

    Attributes:
        seed: -1 for tuning runs.
        score: on test for confirming runs, on validation for tuning runs; None for a failed run.
        curve: [E, 3]: step, seconds of training up to it, accuracy on validation.
    """

    cell: str
    seed: int
    rate: float
    score: float | None
    shortcut: dict[str, float]
    curve: Numbers


def read_runs(home: Path) -> list[RunFiles]:
    return [read_run(folder) for folder in sorted((home / "runs").iterdir())]


def read_run(folder: Path) -> RunFiles:
    spec, result = (json.loads((folder / f"{name}.json").read_text()) for name in ("spec", "result"))
    lines = {
        name: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        for name in ("metrics", "timing")
        for path in [folder / f"{name}.jsonl"]
    }
    tuned = spec["seed"] >= 2**30
    best = result["scores"]["best"] if result["status"] == "complete" else {}
    seconds = {
        line["step"]: sum(other["train_seconds"] for other in lines["timing"] if other["step"] <= line["step"])
        for line in lines["timing"]
    }
    curve = [
        (line["step"], seconds[line["step"]], line["accuracy"])
        for line in lines["metrics"]
        if line["split"] == "validation"
    ]
    return RunFiles(
        cell=f"width={spec['model']['width']} n={spec['objective']['n']}",
        seed=spec["seed"] if not tuned else -1,
        rate=spec["training"]["learning_rate"],
        score=best["validation" if tuned else "test"]["accuracy"] if best else None,
        shortcut={split: scores["shortcut/name_before"] for split, scores in best.items()},
        curve=np.array(curve).reshape(-1, 3),
    )


def runs_of(runs: list[RunFiles], cell: str, *, tuned: bool = False) -> list[RunFiles]:
    """Returns the confirming or tuning runs of a cell, in the order of their seeds."""
    return sorted((run for run in runs if run.cell == cell and (run.seed < 0) == tuned), key=lambda run: run.seed)


def near(drawn: float, expected: float, reach: float = 1.0) -> bool:
    """Returns whether two values differ by less than a ten-thousandth of an axis of length `reach`."""
    return abs(drawn - expected) < 1e-4 * reach


class UncheckedMarks:
    """The marks of a figure, each of which a check takes once. A line through stamps has to connect them."""

    def __init__(self, svg: str) -> None:
        self.figure = FigureReader(svg)
        self.marks = {mark.tooltip: mark for mark in self.figure.marks}
        assert len(self.marks) == len(self.figure.marks)
        for group in self.figure.root.iter(f"{SPACE}g"):
            stamps = [(float(use.get("x") or 0), float(use.get("y") or 0)) for use in group.iter(f"{SPACE}use")]
            for line in group.iter(f"{SPACE}path"):
                if group.findtext(f"{SPACE}title") and len(stamps) > 1 and not line.get("id"):
                    assert path_points(line.get("d") or "") == stamps

    def take(self, pattern: str) -> Mark:
        """Removes and returns the one mark whose tooltip matches a pattern."""
        tooltips = [tooltip for tooltip in self.marks if re.fullmatch(pattern, tooltip)]
        assert len(tooltips) == 1, pattern
        return self.marks.pop(tooltips[0])

    def check_none_left(self) -> None:
        assert not self.marks


def check_scores(svg: str, runs: list[RunFiles]) -> None:
    marks = UncheckedMarks(svg)
    for width, n in CELLS:
        cell = f"width={width} n={n}"
        seeds = runs_of(runs, cell)
        for run in seeds:
            assert run.score is not None
            assert near(marks.take(f"{cell}, seed {run.seed}: {run.score:.3f}").points[0][1], run.score)
        values = np.array([run.score for run in seeds], dtype=float)
        middle = values.mean()
        half = stats.t.ppf(1 - LEVEL / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
        odds, half = middle / (1 - middle), half / (middle * (1 - middle))  # an accuracy has the interval of its logit
        low, high = (odds * np.exp(end) / (1 + odds * np.exp(end)) for end in (-half, half))
        mean = marks.take(f"{cell}: mean {middle:.3f}, interval {low:.3f} to {high:.3f}, {len(values)} seeds")
        assert near(mean.points[0][1], values.mean())
        (bar,) = [ends for ends in marks.figure.segments if all(near(x, mean.points[0][0]) for x, _ in ends)]
        assert all(near(y, end) for y, end in zip(sorted(y for _, y in bar), (low, high), strict=True))
    shortcut = float(np.mean([run.shortcut["test"] for run in runs if run.seed >= 0 and run.score is not None]))
    assert all(near(y, shortcut) for _, y in marks.take("shortcut name_before: 0.300").points)
    marks.check_none_left()


def check_curves(svg: str, runs: list[RunFiles], width: int, column: int) -> None:
    marks = UncheckedMarks(svg)
    by_n = {n: [run for run in runs_of(runs, f"width={width} n={n}") if run.score is not None] for n in (1, 2)}
    reach = max(run.curve[:, column].max() for seeds in by_n.values() for run in seeds)
    for n, seeds in by_n.items():
        for run in seeds:
            line = np.array(marks.take(f"width={width} n={n}, seed {run.seed}").points)
            assert line.shape == (len(run.curve), 2)
            assert all(near(x, expected, reach) for x, expected in zip(line[:, 0], run.curve[:, column], strict=True))
            assert all(near(y, expected) for y, expected in zip(line[:, 1], run.curve[:, 2], strict=True))
        mean = np.mean([run.curve for run in seeds], axis=0)
        line = np.array(marks.take(f"width={width} n={n}, mean of {len(seeds)} seeds").points)
        assert all(near(x, expected, reach) for x, expected in zip(line[:, 0], mean[:, column], strict=True))
        assert all(near(y, expected) for y, expected in zip(line[:, 1], mean[:, 2], strict=True))
    shortcut = np.mean([run.shortcut["validation"] for seeds in by_n.values() for run in seeds])
    assert all(near(y, float(shortcut)) for _, y in marks.take("shortcut name_before: 0.250").points)
    marks.check_none_left()


def check_tuning(svg: str, runs: list[RunFiles], width: int) -> None:
    """Checks trials on a logarithmic axis, whose first and last ticks are the ends of the searched range."""
    marks = UncheckedMarks(svg)
    (low, first), *_, (high, last) = marks.figure.ticks("x")

    def log_rate(x: float) -> float:
        pixel = marks.figure.x_scale[0] + x * marks.figure.x_scale[1]
        return float(np.interp(pixel, [low, high], [np.log10(float(first)), np.log10(float(last))]))

    for n in (1, 2):
        cell = f"width={width} n={n}"
        trials = runs_of(runs, cell, tuned=True)
        for run in trials:
            outcome = f"failed at {run.rate:.3g}, no score"
            if run.score is not None:
                outcome = f"{run.score:.3f} at {run.rate:.3g}"
            mark = marks.take(f"{cell}, trial {RATES.index(run.rate)}: {outcome}")
            assert near(log_rate(mark.points[0][0]), np.log10(run.rate), 2)
            assert run.score is None or near(mark.points[0][1], run.score)
        (chosen,) = {run.rate for run in runs_of(runs, cell)}
        (score,) = [run.score for run in trials if run.rate == chosen]
        ring = marks.take(f"{cell}: chosen").points[0]
        assert near(log_rate(ring[0]), np.log10(chosen), 2)
        assert score is not None
        assert near(ring[1], score)
    marks.check_none_left()


def check_expected_best(svg: str, runs: list[RunFiles], width: int) -> None:
    """Checks the curves of cells with two trials: from the mean of both to the better one."""
    marks = UncheckedMarks(svg)
    for n in (1, 2):
        cell = f"width={width} n={n}"
        scores = [run.score for run in runs_of(runs, cell, tuned=True) if run.score is not None]
        if len(scores) == 2:
            middle, best = float(np.mean(scores)), max(scores)
            line = marks.take(f"{cell}: {middle:.3f} with 1 trial, {best:.3f} with 2").points
            expected = [(1.0, middle), (2.0, best)]
            assert all(near(x, k) and near(y, score) for (x, y), (k, score) in zip(line, expected, strict=True))
    marks.check_none_left()


def check_differences(svg: str, runs: list[RunFiles], levels: list[float]) -> None:
    marks = UncheckedMarks(svg)
    boxes = [path_points(path.get("d") or "") for path in marks.figure.root.iter(f"{SPACE}path")]
    reach = abs(float(marks.figure.ticks("x")[-1][1]))
    for name, width, level in (("helps", 8, levels[0]), ("same", 16, levels[1])):
        scores = [{run.seed: run.score for run in runs_of(runs, f"width={width} n={n}")} for n in (2, 1)]
        treatment, control = (np.array([arm[seed] for seed in range(6)], dtype=float) for arm in scores)
        for seed, difference in enumerate(treatment - control):
            mark = marks.take(rf"{name}, seed {seed}: {re.escape(f'{difference:+.3f}')}")
            assert near(mark.points[0][0], difference, reach)
        effect, (low, high) = treatment.mean() - control.mean(), inverted_test(treatment, control, level)
        text = re.escape(f"{effect:+.3f}, interval {low:+.3f} to {high:+.3f}, ")
        mark = marks.take(rf"{name}: {text}\w+")
        assert near(mark.points[0][0], effect, reach)
        (bar,) = [ends for ends in marks.figure.segments if all(near(y, mark.points[0][1]) for _, y in ends)]
        assert all(near(x, end, reach) for x, end in zip(sorted(x for x, _ in bar), (low, high), strict=True))
    shaded = [sorted({marks.figure.data(x, 0)[0] for x, _ in box}) for box in boxes if len(box) == 4]
    assert any(near(box[0], -MARGIN, reach) and near(box[-1], MARGIN, reach) for box in shaded)
    marks.check_none_left()


def inverted_test(treatment: Numbers, control: Numbers, level: float) -> tuple[float, float]:
    """Returns the interval of shifts that the exact permutation test of two independent arms does not reject.

    Each side is tested at half the level.
    """
    size = len(treatment)
    relabelled = np.array(list(combinations(range(2 * size), size)))

    def low_end(treatment: Numbers, control: Numbers) -> float:
        def rejected(shift: float) -> bool:
            pooled = np.concatenate((treatment - shift, control))
            sums = pooled[relabelled].sum(axis=1)
            return bool(np.mean(sums >= sums[0] - 1e-12) <= level / 2)

        low, high = -2.0, 2.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if rejected(middle) else (low, middle)
        return low

    return low_end(treatment, control), -low_end(control, treatment)


def checks_of(stored: StoredStudy) -> dict[str, Check]:
    """Returns the name of each figure -> its check. Each claim is checked at the level of its verdict."""
    runs, levels = read_runs(stored.home), [judgement.level or 0.0 for judgement in stored.judgements]
    checks: dict[str, Check] = {
        "scores-0": partial(check_scores, runs=runs),
        "differences-0": partial(check_differences, runs=runs, levels=levels),
    }
    for panel, width in enumerate((8, 16)):
        checks[f"step-{panel}"] = partial(check_curves, runs=runs, width=width, column=0)
        checks[f"seconds-{panel}"] = partial(check_curves, runs=runs, width=width, column=1)
        checks[f"tuning-{panel}"] = partial(check_tuning, runs=runs, width=width)
        checks[f"expected-best-{panel}"] = partial(check_expected_best, runs=runs, width=width)
    return checks
