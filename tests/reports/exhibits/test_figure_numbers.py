"""The figures of a page show the numbers in the run folders, to a ten-thousandth of their axes.

The checks have to fail for a figure in which any mark, line or bar is moved by one pixel.
"""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
import pytest

from reports.pages.study import render_study
from studies.reading.judged import read_judged
from tests.reports.exhibits.figure_checks import Check, checks_of
from tests.reports.figure_reader import SPACE, path_points
from tests.reports.stored_study import STUDY_FILE, Outcome, StoredStudy, StudyStore

BASES = {"width=8 n=1": 0.35, "width=8 n=2": 0.72, "width=16 n=1": 0.88, "width=16 n=2": 0.86}
FIGURES = [
    "scores-0",
    "differences-0",
    *(f"{kind}-{panel}" for kind in ("step", "seconds", "tuning", "expected-best") for panel in (0, 1)),
]


def noisy_outcome(cell: str, phase: str, number: int) -> Outcome:
    """Returns scores without a pattern; one trial fails, and the second trial is better everywhere."""
    if (cell, phase, number) == ("width=16 n=1", "tune", 0):
        return "the loss was not a finite number by step 10"
    noise = np.random.default_rng([*cell.encode(), phase == "tune", number]).uniform(-0.05, 0.05)
    return float(BASES[cell] + noise + (0.1 * number - 0.1 if phase == "tune" else 0))


@pytest.fixture(scope="module")
def stored(store: StudyStore) -> StoredStudy:
    return store(noisy_outcome, text=STUDY_FILE.replace("seeds = 5", "seeds = 6"))


@pytest.fixture(scope="module")
def figures(stored: StoredStudy) -> dict[str, str]:
    """Name -> SVG of every figure of the page."""
    page = render_study(read_judged(stored.home, stored.study))
    names = re.findall(r'<svg .*?aria-labelledby="(\S+)-title.*?</svg>', page, flags=re.DOTALL)
    return dict(zip(names, re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL), strict=True))


@pytest.fixture(scope="module")
def checks(stored: StoredStudy) -> dict[str, Check]:
    return checks_of(stored)


def test_every_figure_of_the_page_has_a_check(figures: dict[str, str], checks: dict[str, Check]) -> None:
    assert set(figures) == set(checks) == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_show_the_numbers_of_the_run_folders(
    figures: dict[str, str], checks: dict[str, Check], name: str
) -> None:
    checks[name](figures[name])


@pytest.mark.parametrize("name", FIGURES)
def test_the_check_fails_where_one_mark_or_bar_is_moved_by_a_pixel(
    figures: dict[str, str], checks: dict[str, Check], name: str
) -> None:
    variants = list(moved_by_a_pixel(figures[name], "x" if name == "differences-0" else "y"))
    assert len(variants) >= 3
    for variant in variants:
        with pytest.raises(AssertionError):
            checks[name](variant)


def moved_by_a_pixel(svg: str, axis: str) -> Iterator[str]:
    """Yields the figure with one mark or bar moved along an axis, for each that shows a score."""
    for count in range(len(movable(ElementTree.fromstring(svg)))):
        root = ElementTree.fromstring(svg)
        shape = movable(root)[count]
        if shape.tag == f"{SPACE}use":
            shape.set(axis, str(float(shape.get(axis) or 0) + 1))
        else:
            (x, y), path = path_points(shape.get("d") or "")[0], shape.get("d") or ""
            start = f"M {x + 1} {y}" if axis == "x" else f"M {x} {y + 1}"
            shape.set("d", re.sub(r"M \S+ \S+", start, path, count=1))
        yield ElementTree.tostring(root, encoding="unicode")


def movable(root: ElementTree.Element) -> list[ElementTree.Element]:
    """Returns stamps of marks, lines of curves and shortcuts, and bars of intervals, which have their own width.

    The crosses of failed runs show no score and are left out.
    """
    legend = {id(part) for group in root.iter() if "-legend" in (group.get("id") or "") for part in group.iter()}
    bars = [path for path in root.iter(f"{SPACE}path") if "stroke-width: 2.2" in (path.get("style") or "")]
    shapes = [path for path in bars if id(path) not in legend]
    for group in root.iter(f"{SPACE}g"):
        title = group.findtext(f"{SPACE}title")
        if title and "failed" not in title:
            lines = [path for path in group.iter(f"{SPACE}path") if not path.get("id")]
            shapes += [*group.iter(f"{SPACE}use"), *lines]
    return shapes
