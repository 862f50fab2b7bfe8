"""The contrast figure shows the effects and intervals of the verdicts."""

from dataclasses import replace

import pytest

from reports.exhibits.study.contrasts import Contrasts
from studies.reading.judged import read_judged
from tests.reports.figure_reader import FigureReader
from tests.reports.stored_study import StoredStudy, usual_score

PIXEL = 0.006


def test_effects_and_intervals_are_those_of_the_verdicts(usual_store: StoredStudy) -> None:
    judged = read_judged(usual_store.home, usual_store.study)
    (svg,) = Contrasts(judged).figures()
    figure = FigureReader(svg)
    for judgement in judged.judgements:
        contrast, name = judgement.contrast, judgement.claim.name
        assert contrast is not None
        mean = figure.mark(f"{name}: ")
        assert mean.points[0][0] == pytest.approx(contrast.difference, abs=PIXEL)
        assert judgement.verdict in mean.tooltip
        ends = [contrast.low, contrast.high]
        assert any(sorted((start[0], end[0])) == pytest.approx(ends, abs=PIXEL) for start, end in figure.segments)
        for seed in range(5):
            difference = usual_score(judgement.treatment, seed) - usual_score(judgement.control, seed)
            mark = figure.mark(f"{name}, seed {seed}:")
            assert mark.points[0][0] == pytest.approx(difference, abs=PIXEL)
    assert "margin of equivalence" in figure.text


def test_a_margin_is_drawn_as_the_kind_of_claim_means_it(usual_store: StoredStudy) -> None:
    judged = read_judged(usual_store.home, usual_store.study)
    helps, same = judged.judgements
    (svg,) = Contrasts(judged).figures()
    box = pytest.approx((-0.1, 0.1), abs=PIXEL)
    assert sum(sides == box for sides in FigureReader(svg).box_sides) == 1, "an equivalence: within it on both sides"
    claim = helps.claim.model_copy(update={"margin": 0.3})
    (svg,) = Contrasts(replace(judged, judgements=[replace(helps, claim=claim), same])).figures()
    figure = FigureReader(svg)
    lines = [start[0] for start, end in figure.segments if start[0] == end[0]]
    assert [line for line in lines if abs(abs(line) - 0.3) < PIXEL] == [pytest.approx(0.3, abs=PIXEL)], "to exceed"
    assert sum(sides == box for sides in figure.box_sides) == 1


def test_negligible_effects_are_shaded_and_explained_where_a_claim_has_a_bound(usual_store: StoredStudy) -> None:
    judged = read_judged(usual_store.home, usual_store.study)
    (helps, same), declaration = judged.judgements, judged.study.declaration
    assert "negligible" not in Contrasts(judged).caption()
    bounded = helps.claim.model_copy(update={"negligible": 0.3})
    study = replace(judged.study, declaration=declaration.model_copy(update={"claims": [bounded, same.claim]}))
    results = replace(judged.results, study=study)
    exhibit = Contrasts(replace(judged, results=results, judgements=[replace(helps, claim=bounded), same]))
    (svg,) = exhibit.figures()
    figure = FigureReader(svg)
    assert [sides for sides in figure.box_sides if sides == pytest.approx((-0.3, 0.3), abs=PIXEL)]
    assert "negligible effects" in figure.text
    assert "negligible if its interval lies within the shaded range" in exhibit.caption()


def test_a_claim_that_was_not_tested_has_no_interval(broken_store: StoredStudy) -> None:
    (svg,) = Contrasts(read_judged(broken_store.home, broken_store.study)).figures()
    figure = FigureReader(svg)
    assert figure.text.count("not tested") == 2
    assert {text.partition(",")[0] for text in figure.tooltips} == {"helps"}
    assert [text.split()[2] for text in figure.tooltips] == ["0:", "1:", "2:", "4:"]
