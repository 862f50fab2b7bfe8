"""Every name and bound that a study's figures draw belongs to the data beside it, for random small studies."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from reports.exhibits.claim_effects import effects_figure
from reports.exhibits.measure_exhibit import MeasureExhibit
from reports.exhibits.study.contrasts import Contrasts
from reports.exhibits.study.further_measures import FurtherMeasure
from reports.exhibits.study.learning_steps import LearningSteps
from reports.exhibits.study.method.expected_best import ExpectedBest
from reports.exhibits.study.method.tuning_trials import TuningTrials
from reports.exhibits.study.score import Score
from reports.frames.claim_lines import claim_lines
from studies.declared.levels import short
from studies.declared.measures import measure_of
from studies.declared.study import Cell
from studies.ledger.records import RunRecord
from studies.reading.judged import JudgedStudy
from studies.statistics.exact import mean_interval
from tests.reports.exhibits.figure_names import NamedFigure
from tests.reports.exhibits.random_study import RATE, random_study, store

SOURCES = range(4)
PIXEL = 0.02
"""Two positions less than this many pixels apart are one."""


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[JudgedStudy]:
    """A few random studies, of two factors and of three."""
    home = tmp_path_factory.mktemp("random")
    return [store(home / str(source), random_study(source), source) for source in SOURCES]


def number_in(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


def panel_name(cell: Cell, *, with_first: bool) -> str:
    """Returns the heading of the panel of a cell: the levels of the factors that have neither axis nor hue."""
    first, _, *others = cell.levels
    return Cell(tuple([first, *others] if with_first else others)).label


def confirmed(judged: JudgedStudy, cell: Cell) -> list[RunRecord]:
    record = next(record for record in judged.results.cells if record.label == cell.label)
    return [run for run in record.runs if run.phase == "confirm"]


def check_panels(judged: JudgedStudy, panels: list[str], *, with_first: bool) -> list[tuple[NamedFigure, list[Cell]]]:
    """Checks that each panel has the heading of its cells, and the marks of no other; returns panels and cells."""
    by_name: dict[str, list[Cell]] = {}
    for cell in judged.study.cells:
        by_name.setdefault(panel_name(cell, with_first=with_first), []).append(cell)
    figures = [NamedFigure(svg) for svg in panels]
    assert len(figures) == len(by_name)
    for figure, (name, cells) in zip(figures, by_name.items(), strict=True):
        assert not name or figure.place(name)
        assert figure.title.endswith(name)
        labels = {cell.label for cell in cells}
        for tooltip in figure.tooltips:
            assert any(tooltip.startswith(f"{label}{end}") for label in labels for end in (", ", ": ")), tooltip
    return list(zip(figures, by_name.values(), strict=True))


def check_legend(figure: NamedFigure, cells: list[Cell], label_of: Callable[[Cell], str]) -> None:
    """Checks that the legend's entry for a cell looks like each of its marks, and no two entries look alike."""
    for cell in cells:
        for tooltip, look in figure.looks.items():
            if tooltip.startswith((f"{cell.label}, ", f"{cell.label}: ")) and "failed" not in tooltip:
                assert "chosen" in tooltip or figure.legend[label_of(cell)].fits(look), tooltip
                assert figure.legend[label_of(cell)].colour == look.colour
    entries = [figure.legend[label] for label in dict.fromkeys(map(label_of, cells))]
    assert len({entry.colour for entry in entries}) == len(entries)
    assert len({entry.marker for entry in entries}) == len(entries)


def second_level(cell: Cell) -> str:
    key, level = cell.levels[1]
    return f"{short(key)} = {level}"


def check_measure(judged: JudgedStudy, exhibit: MeasureExhibit, value_of: Callable[[RunRecord], float | None]) -> None:
    for figure, cells in check_panels(judged, exhibit.figures(), with_first=False):
        check_legend(figure, cells, second_level)
        key = cells[0].levels[0][0]
        assert figure.place(short(key))
        assert [text for _, text in figure.ticks("x")] == [str(level) for level in judged.study.factors[key]]
        seen = 0
        for cell in cells:
            values = {run.seed: value for run in confirmed(judged, cell) if (value := value_of(run)) is not None}
            marks = {f"{cell.label}, seed {seed}": value for seed, value in values.items()}
            seen += len(values) + 1
            for name, value in marks.items():
                mark = figure.mark(f"{name}: ")
                assert number_in(mark.tooltip.removeprefix(f"{name}: ")) == pytest.approx(value, abs=5.1e-4)
                assert figure.pixels(mark)[0][1] == pytest.approx(pixel_of(figure, value), abs=PIXEL)
                assert figure.nearest_tick("x", figure.pixels(mark)[0][0]) == str(cell.levels[0][1])
            mean = figure.mark(f"{cell.label}: mean ")
            numbers = list(values.values())
            low, high = mean_interval(np.array(numbers), 0.05, exhibit.measure.bounds)
            read = re.fullmatch(
                r"mean (\S+), interval (\S+) to (\S+), (\d+) seeds", mean.tooltip.removeprefix(f"{cell.label}: ")
            )
            assert read
            assert [number_in(text) for text in read.groups()] == pytest.approx(
                [np.mean(numbers), low, high, len(numbers)], abs=5.1e-4
            )
            assert figure.bar(mean, "y") == pytest.approx([low, high], abs=PIXEL / abs(figure.y_scale[1]))
            assert figure.nearest_tick("x", figure.pixels(mean)[0][0]) == str(cell.levels[0][1])
            assert mean.tooltip in figure.description
        assert seen == sum("failed" not in tooltip for tooltip in figure.tooltips)


def pixel_of(figure: NamedFigure, value: float) -> float:
    return figure.y_scale[0] + value * figure.y_scale[1]


@pytest.mark.parametrize("source", SOURCES)
def test_scores_stand_at_their_level_with_the_look_of_their_legend_and_their_interval(
    studies: list[JudgedStudy], source: int
) -> None:
    judged = studies[source]
    check_measure(judged, Score(judged), lambda run: run.score)
    for exhibit in FurtherMeasure.instances(judged):
        assert isinstance(exhibit, FurtherMeasure)
        name = exhibit.measure.name
        check_measure(judged, exhibit, lambda run, name=name: run.measures.get(name))  # type: ignore[misc]


@pytest.mark.parametrize("source", SOURCES)
def test_trials_and_curves_have_the_heading_and_the_look_of_their_cell(studies: list[JudgedStudy], source: int) -> None:
    judged = studies[source]
    for figure, cells in check_panels(judged, TuningTrials(judged).figures(), with_first=True):
        check_legend(figure, cells, lambda cell: f"{second_level(cell)}: 3 trials")
        for cell in cells:
            record = next(record for record in judged.results.cells if record.label == cell.label)
            for trial, run in enumerate(run for run in record.runs if run.phase == "tune"):
                tooltip = figure.mark(f"{cell.label}, trial {trial}: ").tooltip
                assert tooltip.endswith(f" at {run.settings[RATE]:.3g}" + (", no score" if run.failure else ""))
    for figure, cells in check_panels(judged, ExpectedBest(judged).figures(), with_first=True):
        drawn = [cell for cell in cells if any(text.startswith(f"{cell.label}: ") for text in figure.tooltips)]
        check_legend(figure, drawn, second_level)
    exhibit = LearningSteps(judged)
    for figure, cells in check_panels(judged, exhibit.figures(), with_first=True):
        check_legend(figure, cells, second_level)
        for cell in cells:
            seeds = {run.seed for run in confirmed(judged, cell) if run.score is not None}
            assert {text for text in figure.tooltips if text.startswith(f"{cell.label}, seed ")} == {
                f"{cell.label}, seed {seed}" for seed in seeds
            }
            final = exhibit.curves[(exhibit.curves["cell"] == cell.label) & (exhibit.curves["step"] == 20)][
                "value"
            ].mean()
            assert f"{cell.label}: mean {final:.3f} at the end" in figure.description
        assert not re.search(r"\bnan\b", figure.description)


def rows_from_top(figure: NamedFigure, starts: list[str]) -> list[str]:
    """Returns which of some texts starts each mark of an effect, from the top of the figure to its bottom."""
    marks = [(figure.pixels(figure.mark(start))[0][1], start) for start in starts]
    return [start for _, start in sorted(marks)]


@pytest.mark.parametrize("source", SOURCES)
def test_each_effect_has_the_name_above_it_and_the_interval_of_its_verdict(
    studies: list[JudgedStudy], source: int
) -> None:
    judged = studies[source]
    by_measure: dict[str, list[str]] = {}
    for judgement in judged.judgements:
        measure = measure_of(judged.study.declaration, judgement.claim)
        name = measure.name if measure.sign > 0 else f"{measure.name}, sign flipped"
        by_measure.setdefault(name, []).append(judgement.claim.name)
    panels = [NamedFigure(svg) for svg in Contrasts(judged).figures()]
    for figure, (measure, names) in zip(panels, by_measure.items(), strict=True):
        assert figure.place(f"effect on {measure}")
        tested = [judgement for judgement in judged.judgements if judgement.contrast and judgement.claim.name in names]
        tops = {
            name: next(text.y for text in figure.texts if text.text.startswith(name.replace("_", " ")))
            for name in names
        }
        assert sorted(tops, key=lambda name: tops[name]) == names
        for judgement in judged.judgements:
            name, contrast = judgement.claim.name, judgement.contrast
            if name not in names:
                continue
            following = min((top for top in tops.values() if top > tops[name]), default=np.inf)
            for mark in figure.marks:
                if mark.tooltip.startswith((f"{name}: ", f"{name}, ")):
                    assert tops[name] < figure.pixels(mark)[0][1] < following
            assert any(text.text == f"{name.replace('_', ' ')}: not tested" for text in figure.texts) == (not contrast)
            if contrast:
                ends = [contrast.low, contrast.high]
                mark = figure.mark(f"{name}: ")
                read = re.fullmatch(rf"{name}: (\S+), interval (\S+) to (\S+), (\w+)", mark.tooltip)
                assert read
                assert [number_in(read[1]), number_in(read[2]), number_in(read[3])] == pytest.approx(
                    [contrast.difference, *ends], abs=5.1e-4
                )
                assert read[4] == judgement.verdict
                assert mark.points[0][0] == pytest.approx(contrast.difference, abs=PIXEL / figure.x_scale[1])
                assert figure.bar(mark, "x") == pytest.approx(ends, abs=PIXEL / figure.x_scale[1])
                assert mark.tooltip in figure.description
        assert sum(" seed " not in text for text in figure.tooltips) == len(tested)


def test_the_scoreboard_names_each_claim_above_its_effect_in_standard_deviations(studies: list[JudgedStudy]) -> None:
    lines = []
    for judged in studies:
        lines += claim_lines(judged.study, judged.judgements, 1.0, start=len(lines) + 1)
    figure = NamedFigure(effects_figure(lines, "scoreboard"))
    ticks = [(place, number_in(text)) for place, text in figure.ticks("x")]
    places, values = np.array(ticks).T
    unit, zero = np.polyfit(np.arcsinh(values), places, 1)
    tops = {
        line.number: next(text.y for text in figure.texts if text.text.startswith(f"{line.number}  ")) for line in lines
    }
    assert sorted(tops.values()) == [tops[line.number] for line in lines]
    for line in lines:
        contrast, name = line.judgement.contrast, f"random: {line.judgement.claim.name.replace('_', ' ')}"
        text = next(text.text for text in figure.texts if text.text.startswith(f"{line.number}  {name}"))
        assert text.endswith(": not tested") == (contrast is None)
        if contrast:
            mark = figure.mark(f"{line.number} {name}: ")
            x, y = figure.pixels(mark)[0]
            assert tops[line.number] < y < tops.get(line.number + 1, np.inf)
            deviation = np.std(list(line.judgement.by_seed.values()), ddof=1)
            effects = np.array([contrast.difference, contrast.low, contrast.high]) / deviation
            drawn = [x, *(place for place, _ in figure.bar_in_pixels(mark, "x"))]
            assert drawn == pytest.approx(zero + unit * np.arcsinh(effects), abs=PIXEL)
            assert mark.tooltip.endswith(f", {line.judgement.verdict}")
            assert figure.legend[line.judgement.verdict].fits(figure.looks[mark.tooltip])
            read = [number_in(text) for text in re.findall(r"[+\N{MINUS SIGN}]\d+\.\d+", mark.tooltip)]
            assert read == pytest.approx([contrast.difference, contrast.low, contrast.high], abs=5.1e-4)


def test_the_random_studies_come_to_every_verdict(studies: list[JudgedStudy]) -> None:
    """Shows that looks and bounds are tested for each of them."""
    verdicts = {judgement.verdict for judged in studies for judgement in judged.judgements}
    assert verdicts == {"supported", "contradicted", "negligible", "inconclusive"}
    assert any(judgement.contrast is None for judged in studies for judgement in judged.judgements)
