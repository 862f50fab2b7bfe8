"""What is drawn, read back from the drawing, is what is stored."""

import re

import matplotlib
import numpy as np
import pytest

from reports.exhibits.figures import learning_curves, paired_differences, score_by_size, tuning_trials
from reports.frames.results import Results, read_results
from reports.pages.study import render
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.ledger.scores import confirmed
from studies.statistics.exact import mean_interval
from tests.reports.conftest import DECLARED, SETTINGS, SHORTCUT, Store, Stored, ledger, usual
from tests.reports.drawn import Drawn
from tests.studies.conftest import cells_of

PIXEL = 0.006
"""Of a score, at the least."""


def results_of(stored: Stored) -> Results:
    return read_results(stored.home, stored.study)


def judgements_of(stored: Stored) -> list[Judgement]:
    return judge(stored.study, confirmed(cells_of(stored.home, stored.study)))


def all_figures(stored: Stored) -> list[str]:
    results = results_of(stored)
    curves = [*learning_curves(results, "step"), *learning_curves(results, "seconds")]
    differences = paired_differences(results, judgements_of(stored))
    return [*score_by_size(results), *curves, *differences, *tuning_trials(results)]


def test_every_seed_is_drawn_at_its_score(usual_store: Stored) -> None:
    (svg,) = score_by_size(results_of(usual_store))
    drawn = {mark.tip: mark.points[0][1] for mark in Drawn(svg).marks if "seed " in mark.tip}
    expected = {
        f"{cell['cell']}, seed {entry['seed']}: {entry['score']:.3f}": entry["score"]
        for cell in ledger(usual_store)
        for entry in cell["entries"]
        if entry["phase"] == "confirm"
    }
    assert drawn.keys() == expected.keys()
    assert drawn == pytest.approx(expected, abs=PIXEL)


def test_means_and_their_intervals_are_drawn(usual_store: Stored) -> None:
    (svg,) = score_by_size(results_of(usual_store))
    drawing = Drawn(svg)
    for label in ("width=8 n=1", "width=8 n=2", "width=16 n=1", "width=16 n=2"):
        values = np.array([usual(label, "confirm", seed) for seed in range(5)], dtype=float)
        low, high = mean_interval(values, 0.05)
        (mark,) = [mark for mark in drawing.marks if mark.tip.startswith(f"{label}: mean")]
        assert mark.tip == f"{label}: mean {values.mean():.3f}, interval {low:.3f} to {high:.3f}, 5 seeds"
        ((x, y),) = mark.points
        assert y == pytest.approx(values.mean(), abs=PIXEL)
        bars = [ends for ends in drawing.segments if abs(ends[0][0] - x) < 0.1 and abs(ends[1][0] - x) < 0.1]
        assert any(sorted((a[1], b[1])) == pytest.approx([low, high], abs=PIXEL) for a, b in bars)


def test_the_shortcut_is_a_line_with_its_name_and_score(usual_store: Stored) -> None:
    results = results_of(usual_store)
    for svg, split in ((score_by_size(results)[0], "test"), (learning_curves(results, "step")[0], "validation")):
        drawing = Drawn(svg)
        assert f"shortcut name_before: {SHORTCUT[split]:.3f}" in drawing.text
        (line,) = [mark for mark in drawing.marks if mark.tip.startswith("shortcut name_before")]
        assert [y for _, y in line.points] == pytest.approx([SHORTCUT[split]] * 2, abs=PIXEL)


def test_a_failed_run_is_a_cross_below_the_scale_and_an_unfinished_one_is_nothing(broken_store: Stored) -> None:
    (svg,) = score_by_size(results_of(broken_store))
    drawing = Drawn(svg)
    tips = [mark.tip for mark in drawing.marks]
    assert [tip for tip in tips if "failed" in tip] == ["width=8 n=2, seed 3: failed, no score"]
    (cross,) = [mark for mark in drawing.marks if "failed" in mark.tip]
    assert cross.points[0][1] < -0.03
    assert not [tip for tip in tips if "width=16 n=1, seed 4" in tip or "width=16 n=2" in tip]
    assert "failed, no score" in drawing.text
    assert not any("0.000" in tip or "nan" in tip for tip in tips)


@pytest.mark.parametrize("against", ["step", "seconds"])
def test_mean_curves_are_the_means_of_the_seeds(usual_store: Stored, against: str) -> None:
    panels = learning_curves(results_of(usual_store), "step" if against == "step" else "seconds")
    assert len(panels) == 2
    for svg, labels in zip(panels, [["width=8 n=1", "width=8 n=2"], ["width=16 n=1", "width=16 n=2"]], strict=True):
        drawing = Drawn(svg)
        for label in labels:
            index = [cell.label for cell in usual_store.study.cells].index(label)
            (mean,) = [mark for mark in drawing.marks if mark.tip == f"{label}, mean of 5 seeds"]
            stretch = np.mean([1.0 + index + 0.1 * seed for seed in range(5)])
            x = [10, 20] if against == "step" else [stretch, 2 * stretch]
            final = np.mean([usual(label, "confirm", seed) for seed in range(5)])
            assert [place[0] for place in mean.points] == pytest.approx(x, rel=0.02)
            assert [place[1] for place in mean.points] == pytest.approx([final / 2, final], abs=PIXEL)
            assert sum(bool(re.fullmatch(rf"{label}, seed \d", mark.tip)) for mark in drawing.marks) == 5


def test_differences_and_intervals_are_those_of_the_verdicts(usual_store: Stored) -> None:
    judgements = judgements_of(usual_store)
    (svg,) = paired_differences(results_of(usual_store), judgements)
    drawing = Drawn(svg)
    for one in judgements:
        assert one.contrast is not None
        (mean,) = [mark for mark in drawing.marks if mark.tip.startswith(f"{one.claim.name}: ")]
        assert mean.points[0][0] == pytest.approx(one.contrast.difference, abs=PIXEL)
        assert one.verdict in mean.tip
        ends = [one.contrast.low, one.contrast.high]
        assert any(sorted((a[0], b[0])) == pytest.approx(ends, abs=PIXEL) for a, b in drawing.segments)
        for seed in range(5):
            difference = float(usual(one.treatment, "confirm", seed) or 0) - float(
                usual(one.control, "confirm", seed) or 0
            )
            (mark,) = [mark for mark in drawing.marks if mark.tip.startswith(f"{one.claim.name}, seed {seed}:")]
            assert mark.points[0][0] == pytest.approx(difference, abs=PIXEL)
    assert "margin of equivalence" in drawing.text


def test_a_claim_that_was_not_tested_has_no_interval(broken_store: Stored) -> None:
    (svg,) = paired_differences(results_of(broken_store), judgements_of(broken_store))
    drawing = Drawn(svg)
    assert drawing.text.count("not tested") == 2
    assert {mark.tip.partition(",")[0] for mark in drawing.marks} == {"helps"}
    assert [mark.tip.split()[2] for mark in drawing.marks] == ["0:", "1:", "2:", "4:"]


def test_tuning_shows_every_trial_and_rings_the_winner_of_each_cell(usual_store: Stored) -> None:
    """The axis is a logarithm, with ticks at the ends of the range searched and in its middle."""
    for svg in tuning_trials(results_of(usual_store)):
        drawing = Drawn(svg)
        assert drawing.text.count("2 trials") == 2
        trials = [mark for mark in drawing.marks if "trial" in mark.tip]
        assert len(trials) == 4
        for mark in trials:
            setting = SETTINGS[int(mark.tip.partition("trial ")[2][0])]
            x, y = mark.points[0]
            low, high = (drawing.tick("x", text) for text in ("0.001", "0.1"))
            at = drawing.to_x[0] + x * drawing.to_x[1]
            assert (at - low) / (high - low) == pytest.approx((np.log10(setting) + 3) / 2, abs=0.01)
            assert y == pytest.approx(float(mark.tip.partition(": ")[2].split()[0]), abs=PIXEL)
        chosen = sorted(mark.points for mark in drawing.marks if mark.tip.endswith(": chosen"))
        assert chosen == sorted(mark.points for mark in trials if "trial 1" in mark.tip)


def test_a_failed_trial_is_a_cross(broken_store: Stored) -> None:
    tips = [mark.tip for svg in tuning_trials(results_of(broken_store)) for mark in Drawn(svg).marks]
    assert "width=16 n=1, trial 0: failed at 0.01, no score" in tips
    assert not any(tip.startswith("width=16 n=2, trial 1") for tip in tips)


def test_hues_differ_in_shape_and_not_in_colour_alone(usual_store: Stored) -> None:
    (svg,) = score_by_size(results_of(usual_store))
    shapes = {n: {mark.shape for mark in Drawn(svg).marks if f"n={n}, seed" in mark.tip} for n in (1, 2)}
    assert all(len(found) == 1 for found in shapes.values())
    assert not shapes[1] & shapes[2]
    svg, _ = learning_curves(results_of(usual_store), "step")
    dashes = {
        n: set(re.findall(rf"n={n}, (?:seed|mean)[^<]*</title>\s*<path[^>]*?stroke-dasharray: ([^;]*);", svg))
        for n in (1, 2)
    }
    assert not dashes[1]
    assert dashes[2]


def test_a_figure_is_the_same_bytes_whatever_was_drawn_or_set_before(broken_store: Stored) -> None:
    results = results_of(broken_store)
    (first,) = score_by_size(results)
    paired_differences(results, judgements_of(broken_store))
    np.random.seed(1)
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": False, "axes.labelpad": 40}):
        assert score_by_size(results) == [first]
        assert matplotlib.rcParams["axes.labelpad"] == 40


def test_each_figure_has_a_title_a_description_and_names_of_its_own(usual_store: Stored) -> None:
    names: list[str] = []
    for svg in all_figures(usual_store):
        root = Drawn(svg).root
        assert root.get("role") == "img"
        for name in (root.get("aria-labelledby") or "").split():
            assert [element.text for element in root.iter() if element.get("id") == name and element.text]
        mine = [element.get("id") for element in root.iter() if element.get("id")]
        references = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert set(references) <= set(mine)
        names += [str(name) for name in mine]
        assert "#0a0a" not in svg
        assert "<style" not in svg
        assert "font-family: 'DejaVu" not in svg
    assert len(set(names)) == len(names)


def test_factors_beyond_two_get_panels(store: Store) -> None:
    third = '"objective.n" = [1, 2]\n"training.batch_size" = [2, 4]'
    declared = DECLARED.replace('"objective.n" = [1, 2]', third)
    declared = declared.replace('"model.width" = "first"', '"model.width" = "first", "training.batch_size" = 2')
    declared = declared.replace('"model.width" = "last"', '"model.width" = "last", "training.batch_size" = 4')
    stored = store(lambda cell, phase, number: 0.5 + 0.01 * number, declared=declared)
    panels = score_by_size(results_of(stored))
    assert ["batch_size=2" in Drawn(svg).text for svg in panels] == [True, False]
    assert ["batch_size=4" in Drawn(svg).text for svg in panels] == [False, True]
    assert sum(len([mark for mark in Drawn(svg).marks if "seed " in mark.tip]) for svg in panels) == 8 * 5


def test_one_factor_of_tables_is_compared_in_one_panel_under_its_names(store: Store) -> None:
    names = [f"some_objective_{stride}" for stride in range(1, 9)]
    tables = [f'{name} = {{ kind = "multi_token", stride = {place} }}' for place, name in enumerate(names, start=1)]
    declared = DECLARED.replace('[base.objective]\nkind = "multi_token"\n', "")
    declared = declared.replace("attention_heads = 1\n", "attention_heads = 1\nwidth = 8\n")
    declared = declared.replace('"model.width" = [8, 16]\n"objective.n" = [1, 2]', f"objective = {names}\n\n[levels.objective]\n" + "\n".join(tables))  # fmt: skip
    declared = declared.replace('"objective.n"\ntreatment = 2\ncontrol = 1', '"objective"\ntreatment = "some_objective_2"\ncontrol = "some_objective_1"')  # fmt: skip
    declared = re.sub(r"where = .*\n", "", declared)
    stored = store(lambda cell, phase, number: 0.1 * int(cell[-1]) + 0.01 * number, declared=declared)
    results = results_of(stored)
    (scores,) = score_by_size(results)
    drawn = Drawn(scores)
    assert all(name in drawn.text for name in names)
    means = [mark for mark in drawn.marks if ": mean" in mark.tip]
    assert [mark.tip.partition(":")[0] for mark in means] == [f"objective={name}" for name in names]
    assert len({mark.shape for mark in means}) >= 6
    (curves,) = learning_curves(results, "step")
    assert all(name in Drawn(curves).text for name in names)
    assert len(tuning_trials(results)) == 1
    page = render(results, judgements_of(stored), stored.home)
    assert "some_objective_3 (kind = &#34;multi_token&#34;, stride = 3)" in page
