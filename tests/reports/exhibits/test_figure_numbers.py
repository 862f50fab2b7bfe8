"""The figures of a page draw the numbers of the store, to a ten-thousandth of their axes.

The numbers are computed here from the JSON files of the run folders, by numpy and scipy alone; what is drawn is read
from the coordinates in the page's SVG, by the ticks of its axes. Every mark is accounted for, and moving any of those
tried by a pixel is found out.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from reports.frames.results import read_results
from reports.pages.study import render
from studies.judging.judge import judge
from studies.ledger.scores import confirmed
from tests.reports.conftest import DECLARED, Outcome, Store, Stored
from tests.reports.drawn import SPACE, Drawn, Mark, points
from tests.studies.conftest import cells_of

Numbers = NDArray[np.float64]
LEVEL, MARGIN = 0.05, 0.1
RATES = (0.01, 0.004)
"""Of the trials, in order; the second is the better one everywhere."""
CELLS = [(width, n) for width in (8, 16) for n in (1, 2)]
BASES = {"width=8 n=1": 0.35, "width=8 n=2": 0.72, "width=16 n=1": 0.88, "width=16 n=2": 0.86}


@dataclass(frozen=True)
class Run:
    """What the files of a run folder say. score: on test for confirming runs, on validation for tuning; None: failed.
    curve: [E, 3], step, seconds of training up to it, accuracy on validation."""

    cell: str
    seed: int
    rate: float
    score: float | None
    shortcut: dict[str, float]
    curve: Numbers


def told(cell: str, phase: str, number: int) -> Outcome:
    """Scores without a pattern; a trial that failed."""
    if (cell, phase, number) == ("width=16 n=1", "tune", 0):
        return "the loss was not a finite number by step 10"
    noise = np.random.default_rng([*cell.encode(), phase == "tune", number]).uniform(-0.05, 0.05)
    return float(BASES[cell] + noise + (0.1 * number - 0.1 if phase == "tune" else 0))


@pytest.fixture(scope="module")
def stored(store: Store) -> Stored:
    return store(told, declared=DECLARED.replace("seeds = 5", "seeds = 6"))


@pytest.fixture(scope="module")
def figures(stored: Stored) -> dict[str, str]:
    """The SVGs of the page, by name."""
    page = render(
        read_results(stored.home, stored.study),
        judge(stored.study, confirmed(cells_of(stored.home, stored.study))),
        stored.home,
    )
    found = re.findall(r'<svg .*?aria-labelledby="(\S+)-title.*?</svg>', page, flags=re.DOTALL)
    drawn = re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)
    return dict(zip(found, drawn, strict=True))


@pytest.fixture(scope="module")
def runs(stored: Stored) -> list[Run]:
    return [read(folder) for folder in sorted((stored.home / "runs").iterdir())]


def read(folder: Path) -> Run:
    spec, result = (json.loads((folder / f"{name}.json").read_text()) for name in ("spec", "result"))
    lines = {
        name: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        for name in ("metrics", "timing")
        for path in [folder / f"{name}.jsonl"]
    }
    label, tuned = f"width={spec['model']['width']} n={spec['objective']['n']}", spec["seed"] >= 2**30
    best = result["scores"]["best"] if result["status"] == "complete" else {}
    spent = [
        (line["step"], sum(each["train_seconds"] for each in lines["timing"] if each["step"] <= line["step"]))
        for line in lines["timing"]
    ]
    curve = [
        (line["step"], dict(spent)[line["step"]], line["accuracy"])
        for line in lines["metrics"]
        if line["split"] == "validation"
    ]
    return Run(
        cell=label,
        seed=spec["seed"] if not tuned else -1,
        rate=spec["training"]["learning_rate"],
        score=best["validation" if tuned else "test"]["accuracy"] if best else None,
        shortcut={split: scores["shortcut/name_before"] for split, scores in best.items()},
        curve=np.array(curve).reshape(-1, 3),
    )


def of(runs: list[Run], cell: str, *, tuned: bool = False) -> list[Run]:
    return sorted((run for run in runs if run.cell == cell and (run.seed < 0) == tuned), key=lambda run: run.seed)


def near(drawn: float, expected: float, reach: float = 1.0) -> bool:
    return abs(drawn - expected) < 1e-4 * reach


class Marks:
    """The marks of a figure, each taken once; `done` finds those that nobody took. A line through stamps is where they
    are."""

    def __init__(self, svg: str) -> None:
        self.drawn = Drawn(svg)
        self.left = {mark.tip: mark for mark in self.drawn.marks}
        assert len(self.left) == len(self.drawn.marks)
        for group in self.drawn.root.iter(f"{SPACE}g"):
            stamps = [(float(use.get("x") or 0), float(use.get("y") or 0)) for use in group.iter(f"{SPACE}use")]
            for line in lines_of(group) if group.findtext(f"{SPACE}title") and len(stamps) > 1 else ():
                assert points(line.get("d") or "") == stamps

    def take(self, said: str) -> Mark:
        tips = [tip for tip in self.left if re.fullmatch(said, tip)]
        assert len(tips) == 1, said
        return self.left.pop(tips[0])

    def done(self) -> None:
        assert not self.left


def check_scores(svg: str, runs: list[Run]) -> None:
    marks = Marks(svg)
    for width, n in CELLS:
        label = f"width={width} n={n}"
        mine = of(runs, label)
        for run in mine:
            assert run.score is not None
            assert near(marks.take(f"{label}, seed {run.seed}: {run.score:.3f}").points[0][1], run.score)
        values = np.array([run.score for run in mine], dtype=float)
        half = stats.t.ppf(1 - LEVEL / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
        low, high = values.mean() - half, values.mean() + half
        mean = marks.take(f"{label}: mean {values.mean():.3f}, interval {low:.3f} to {high:.3f}, {len(values)} seeds")
        assert near(mean.points[0][1], values.mean())
        (bar,) = [ends for ends in marks.drawn.segments if all(near(x, mean.points[0][0]) for x, _ in ends)]
        assert all(near(y, end) for y, end in zip(sorted(y for _, y in bar), (low, high), strict=True))
    shortcut = float(np.mean([run.shortcut["test"] for run in runs if run.seed >= 0 and run.score is not None]))
    assert all(near(y, shortcut) for _, y in marks.take("shortcut name_before: 0.300").points)
    marks.done()


def check_curves(svg: str, runs: list[Run], width: int, column: int) -> None:
    marks = Marks(svg)
    curves = {n: [run for run in of(runs, f"width={width} n={n}") if run.score is not None] for n in (1, 2)}
    reach = max(run.curve[:, column].max() for some in curves.values() for run in some)
    for n, mine in curves.items():
        for run in mine:
            line = np.array(marks.take(f"width={width} n={n}, seed {run.seed}").points)
            assert line.shape == (len(run.curve), 2)
            assert all(near(x, expected, reach) for x, expected in zip(line[:, 0], run.curve[:, column], strict=True))
            assert all(near(y, expected) for y, expected in zip(line[:, 1], run.curve[:, 2], strict=True))
        mean = np.mean([run.curve for run in mine], axis=0)
        line = np.array(marks.take(f"width={width} n={n}, mean of {len(mine)} seeds").points)
        assert all(near(x, expected, reach) for x, expected in zip(line[:, 0], mean[:, column], strict=True))
        assert all(near(y, expected) for y, expected in zip(line[:, 1], mean[:, 2], strict=True))
    shortcut = np.mean([run.shortcut["validation"] for some in curves.values() for run in some])
    assert all(near(y, float(shortcut)) for _, y in marks.take("shortcut name_before: 0.250").points)
    marks.done()


def check_tuning(svg: str, runs: list[Run], width: int) -> None:
    """On a logarithmic axis, whose first and last ticks are the ends of the range searched."""
    marks = Marks(svg)
    (low, first), *_, (high, last) = marks.drawn.ticks("x")

    def rate(x: float) -> float:
        pixel = marks.drawn.to_x[0] + x * marks.drawn.to_x[1]
        return float(np.interp(pixel, [low, high], [np.log10(float(first)), np.log10(float(last))]))

    for n in (1, 2):
        label = f"width={width} n={n}"
        for run in of(runs, label, tuned=True):
            name = f"{label}, trial {RATES.index(run.rate)}"
            said = f"failed at {run.rate:.3g}, no score" if run.score is None else f"{run.score:.3f} at {run.rate:.3g}"
            mark = marks.take(f"{name}: {said}")
            assert near(rate(mark.points[0][0]), np.log10(run.rate), 2)
            assert run.score is None or near(mark.points[0][1], run.score)
        (chosen,) = {run.rate for run in of(runs, label)}
        (score,) = [run.score for run in of(runs, label, tuned=True) if run.rate == chosen]
        ring = marks.take(f"{label}: chosen").points[0]
        assert near(rate(ring[0]), np.log10(chosen), 2)
        assert score is not None
        assert near(ring[1], score)
    marks.done()


def check_differences(svg: str, runs: list[Run], levels: list[float]) -> None:
    marks = Marks(svg)
    boxes = [points(path.get("d") or "") for path in marks.drawn.root.iter(f"{SPACE}path")]
    reach = abs(float(marks.drawn.ticks("x")[-1][1]))
    for name, width, level in (("helps", 8, levels[0]), ("same", 16, levels[1])):
        scores = [{run.seed: run.score for run in of(runs, f"width={width} n={n}")} for n in (2, 1)]
        treatment, control = (np.array([arm[seed] for seed in range(6)], dtype=float) for arm in scores)
        for seed, difference in enumerate(treatment - control):
            mark = marks.take(rf"{name}, seed {seed}: {re.escape(f'{difference:+.3f}')}")
            assert near(mark.points[0][0], difference, reach)
        effect, (low, high) = treatment.mean() - control.mean(), inverted(treatment, control, level)
        said = re.escape(f"{effect:+.3f}, interval {low:+.3f} to {high:+.3f}, ")
        mark = marks.take(rf"{name}: {said}\w+")
        assert near(mark.points[0][0], effect, reach)
        (bar,) = [ends for ends in marks.drawn.segments if all(near(y, mark.points[0][1]) for _, y in ends)]
        assert all(near(x, end, reach) for x, end in zip(sorted(x for x, _ in bar), (low, high), strict=True))
    shaded = [sorted({marks.drawn.data(x, 0)[0] for x, _ in box}) for box in boxes if len(box) == 4]
    assert any(near(box[0], -MARGIN, reach) and near(box[-1], MARGIN, reach) for box in shaded)
    marks.done()


def inverted(treatment: Numbers, control: Numbers, level: float) -> tuple[float, float]:
    """The shifts that the exact permutation test of two independent arms does not refuse at half the level, a side."""
    size = len(treatment)
    chosen = np.array(list(combinations(range(2 * size), size)))

    def low_end(treatment: Numbers, control: Numbers) -> float:
        def refused(shift: float) -> bool:
            pooled = np.concatenate((treatment - shift, control))
            means = pooled[chosen].sum(axis=1)
            return bool(np.mean(means >= means[0] - 1e-12) <= level / 2)

        low, high = -2.0, 2.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if refused(middle) else (low, middle)
        return low

    return low_end(treatment, control), -low_end(control, treatment)


@pytest.fixture(scope="module")
def checks(stored: Stored, runs: list[Run]) -> dict[str, Callable[[str], None]]:
    """Name of a figure -> what finds out whether it draws the numbers of the store. The level of each claim is that of
    its verdict."""
    levels = [one.level or 0.0 for one in judge(stored.study, confirmed(cells_of(stored.home, stored.study)))]
    found: dict[str, Callable[[str], None]] = {
        "scores-0": lambda svg: check_scores(svg, runs),
        "differences-0": lambda svg: check_differences(svg, runs, levels),
    }
    for panel, width in enumerate((8, 16)):
        found[f"step-{panel}"] = partial(check_curves, runs=runs, width=width, column=0)
        found[f"seconds-{panel}"] = partial(check_curves, runs=runs, width=width, column=1)
        found[f"tuning-{panel}"] = partial(check_tuning, runs=runs, width=width)
    return found


FIGURES = [
    "scores-0",
    "differences-0",
    *(f"{kind}-{panel}" for kind in ("step", "seconds", "tuning") for panel in (0, 1)),
]


def test_every_figure_of_the_page_is_checked(figures: dict[str, str], checks: dict[str, Callable[[str], None]]) -> None:
    assert set(figures) == set(checks) == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_drawn_is_what_the_files_of_the_runs_say(
    figures: dict[str, str], checks: dict[str, Callable[[str], None]], name: str
) -> None:
    checks[name](figures[name])


@pytest.mark.parametrize("name", FIGURES)
def test_any_mark_or_bar_that_is_moved_by_a_pixel_is_found_out(
    figures: dict[str, str], checks: dict[str, Callable[[str], None]], name: str
) -> None:
    axis = "x" if name == "differences-0" else "y"
    moved = list(nudged(figures[name], axis))
    assert len(moved) > 4
    for other in moved:
        with pytest.raises(AssertionError):
            checks[name](other)


def nudged(svg: str, axis: str) -> Iterator[str]:
    """The figure with one mark or bar a pixel further along an axis: every one that stands for a score in turn."""
    for count in range(len(movable(ElementTree.fromstring(svg)))):
        root = ElementTree.fromstring(svg)
        shape = movable(root)[count]
        if shape.tag == f"{SPACE}use":
            shape.set(axis, str(float(shape.get(axis) or 0) + 1))
        else:
            (x, y), path = points(shape.get("d") or "")[0], shape.get("d") or ""
            there = f"M {x + 1} {y}" if axis == "x" else f"M {x} {y + 1}"
            shape.set("d", re.sub(r"M \S+ \S+", there, path, count=1))
        yield ElementTree.tostring(root, encoding="unicode")


def lines_of(group: ElementTree.Element) -> list[ElementTree.Element]:
    """Lines of a group, which are no shape of a stamp."""
    return [path for path in group.iter(f"{SPACE}path") if not path.get("id")]


def movable(root: ElementTree.Element) -> list[ElementTree.Element]:
    """Stamps of marks, lines of curves and shortcuts, and the bars of intervals, which are as wide as nothing else; not the crosses
    of failed runs, which stand for no score."""
    legend = {id(each) for group in root.iter() if "-legend" in (group.get("id") or "") for each in group.iter()}
    bars = [path for path in root.iter(f"{SPACE}path") if "stroke-width: 2.2" in (path.get("style") or "")]
    found = [path for path in bars if id(path) not in legend]
    for group in root.iter(f"{SPACE}g"):
        title = group.findtext(f"{SPACE}title")
        if title and "failed" not in title:
            found += [*group.iter(f"{SPACE}use"), *lines_of(group)]
    return found
