"""Every name and bound that the figure of an analysis draws belongs to its row, for random rows."""

import re
from collections.abc import Sequence

import numpy as np
import pytest

from lab.analysis.analysis import Row
from lab.analysis.estimators.entropies import TERMS
from reports.exhibits.analyses.choice_points import PANELS
from reports.exhibits.analyses.induction_heads import MEASURES
from reports.exhibits.analyses.information import DISTRIBUTIONS
from reports.exhibits.table import exhibits_on
from tests.reports.exhibits.figure_names import NamedFigure
from tests.reports.exhibits.random_study import odd_names
from tests.reports.figure_reader import Mark

SOURCES = range(2)
PIXEL = 0.05


def figures_of(analysis: str, rows: Sequence[Row]) -> list[NamedFigure]:
    (exhibit,) = exhibits_on("analysis", rows)[analysis]
    return [NamedFigure(svg) for svg in exhibit.figures()]


def estimate(rng: np.random.Generator, low: float = 0.05, high: float = 0.9) -> dict[str, float]:
    """Returns a random value between the ends of a random interval."""
    ends = np.sort(rng.uniform(low, high, 3))
    return {"low": float(ends[0]), "value": float(ends[1]), "high": float(ends[2])}


def check_bar(figure: NamedFigure, mark: Mark, row: Row, axis: str) -> None:
    """Checks that a mark stands at the value of its row, and its bar at the ends of the interval."""
    along = "xy".index(axis)
    reach = PIXEL / abs((figure.x_scale, figure.y_scale)[along][1])
    assert mark.points[0][along] == pytest.approx(row["value"], abs=reach)
    assert figure.bar(mark, axis) == pytest.approx([row["low"], row["high"]], abs=reach)


def row_name(figure: NamedFigure, mark: Mark) -> str:
    """Returns the name on the y axis of the row that a mark stands in."""
    return figure.nearest_tick("y", figure.pixels(mark)[0][1])


def check_estimates(figure: NamedFigure, rows: Sequence[tuple[str, Row]], reference: str) -> None:
    """Checks a figure of one estimate for each row, given the names of the rows from top to bottom."""
    names = [name for name, _ in rows]
    assert [text for _, text in sorted(figure.ticks("y"))] == names
    assert len(figure.marks) == len(rows) + sum(row.get(reference) is not None for _, row in rows)
    for name, row in rows:
        texts = (f"{row[key]:.3g}" for key in ("value", "low", "high"))
        mark = figure.mark("{}: {} ({} to {})".format(name, *texts))
        assert row_name(figure, mark) == name
        check_bar(figure, mark, row, "x")
        assert figure.legend["this run, 95% interval"].fits(figure.looks[mark.tooltip])
        if row.get(reference) is not None:
            (hollow,) = [other for other in figure.marks if other.tooltip == f"{name}: {row[reference]:.3g}"]
            assert row_name(figure, hollow) == name
            assert hollow.points[0][0] == pytest.approx(row[reference], abs=PIXEL / figure.x_scale[1])
    positions = [figure.pixels(figure.mark(f"{name}: {row['value']:.3g} ("))[0][1] for name, row in rows]
    assert positions == sorted(positions)


@pytest.mark.parametrize("source", SOURCES)
def test_choice_points_have_a_panel_per_quantity_and_a_row_per_class(source: int) -> None:
    rng = np.random.default_rng(source)
    classes = sorted(odd_names(rng, 3))
    parts = [(part, quantity, [1, 2] if part == "loss" else [None]) for part, quantity, _ in PANELS]
    rows: list[Row] = [
        {"part": part, "quantity": quantity, "class": name, "head": head, **estimate(rng)}
        | ({"reference": float(rng.uniform(0.1, 0.8))} if part != "loss" else {})
        for part, quantity, heads in parts
        for name in classes
        for head in heads
    ]
    others = [("found", "share found"), ("loss", "norm"), ("weight", "mean loss")]
    rows += [{"part": part, "quantity": quantity, "class": "other", **estimate(rng)} for part, quantity in others]
    shuffled = [rows[index] for index in rng.permutation(len(rows))]
    for figure, (part, quantity, heading) in zip(figures_of("choice-points", shuffled), PANELS, strict=True):
        assert figure.place(heading)
        shown = [row for row in rows if (row["part"], row["quantity"]) == (part, quantity)]
        named = [(f"{row['class']}" + (f", head {row['head']}" if row["head"] else ""), row) for row in shown]
        check_estimates(figure, named, "reference")
        assert figure.description == "; ".join(
            f"{name} {row['value']:.3g} ({row['low']:.3g} to {row['high']:.3g})" for name, row in named
        )


@pytest.mark.parametrize("source", SOURCES)
def test_items_have_a_row_per_score_and_a_tick_at_chance(source: int) -> None:
    rng = np.random.default_rng(source)
    kinds = [
        ("generation", "exact_match", "exact match"),
        ("generation", "rouge_l", "ROUGE-L F1"),
        ("choice", "accuracy", "accuracy"),
    ]
    chance = float(rng.uniform(0.1, 0.5))
    rows: list[Row] = [
        {"part": part, "quantity": quantity, "chance": chance if part == "choice" else None, **estimate(rng, -0.2, 1.2)}
        for part, quantity, _ in kinds
    ]
    (figure,) = figures_of("items", rows)
    named = [(f"{part}: {name}", row) for (part, _, name), row in zip(kinds, rows, strict=True)]
    check_estimates(figure, named, "chance")
    assert figure.description.endswith(f"; chance {chance:.3f}.")


@pytest.mark.parametrize("source", SOURCES)
def test_information_has_a_row_per_term_and_a_mark_per_distribution(source: int) -> None:
    rng = np.random.default_rng(source)
    names = list(DISTRIBUTIONS)[source:]
    rows: list[Row] = [
        {"quantity": term, "of": name, "where": where, **estimate(rng)}
        for name in rng.permutation(names).tolist()
        for where in ("all", "elsewhere")
        for term in rng.permutation(TERMS).tolist()
    ]
    (figure,) = figures_of("information", rows)
    assert set(figure.legend) == {DISTRIBUTIONS[name][2] for name in names}
    assert len(figure.marks) == len(names) * len(TERMS)
    for row in rows:
        if row["where"] == "all":
            label = DISTRIBUTIONS[row["of"]][2]
            mark = figure.mark(f"{label}, {row['quantity']}: ")
            assert mark.tooltip.endswith(f": {row['value']:.3f}")
            assert row_name(figure, mark) == row["quantity"]
            assert figure.legend[label].fits(figure.looks[mark.tooltip])
            check_bar(figure, mark, row, "x")
            terms = figure.description.partition(f"{label}: ")[2].partition("; ")[0]
            assert f"{row['quantity']} {row['value']:.3f}" in terms


@pytest.mark.parametrize("source", SOURCES)
def test_induction_heads_shows_the_heads_with_the_highest_prefix_matching(source: int) -> None:
    rng = np.random.default_rng(source)
    heads = [(layer, head) for layer in (1, 2, 3, 4) for head in (1, 2, 3, 4)]
    rows: list[Row] = [
        {"measure": measure, "layer": layer, "attention_head": head, "chance": None, **estimate(rng, -0.1, 1.1)}
        for measure in MEASURES
        for layer, head in rng.permutation(heads).tolist()
    ]
    for row in rows:
        if row["measure"] != "accuracy_loss":
            row["chance"] = float(rng.uniform(0.1, 0.4))
    (figure,) = figures_of("induction-heads", rows)
    matching = sorted((row for row in rows if row["measure"] == "prefix_matching"), key=lambda row: -row["value"])[:12]
    shown = sorted((row["layer"], row["attention_head"]) for row in matching)
    names = [f"layer {layer}, head {head}" for layer, head in shown]
    assert [text for _, text in sorted(figure.ticks("y"))] == names
    assert len(figure.marks) == len(MEASURES) * len(shown)
    for row in rows:
        name = f"layer {row['layer']}, head {row['attention_head']}"
        if (row["layer"], row["attention_head"]) in shown:
            mark = figure.mark(f"{name}, {MEASURES[row['measure']]}: ")
            assert mark.tooltip.endswith(f": {row['value']:.3f}")
            assert row_name(figure, mark) == name
            assert figure.legend[MEASURES[row["measure"]]].fits(figure.looks[mark.tooltip])
            check_bar(figure, mark, row, "x")
    for row in matching:
        text = f"layer {row['layer']}, head {row['attention_head']}: {row['value']:.3f}, {row['chance']:.3f} by chance"
        assert text in figure.description


@pytest.mark.parametrize("source", SOURCES)
def test_lookahead_has_a_line_per_distance_over_the_places(source: int) -> None:
    rng = np.random.default_rng(source)
    places, lags = odd_names(rng, 3), [1, 2, 4]
    rows: list[Row] = [
        {"place": place, "lag": lag, "quantity": quantity, **estimate(rng)}
        for place in places
        for lag in rng.permutation(lags).tolist()
        for quantity in ("gain", "plain")
    ]
    (figure,) = figures_of("lookahead", rows)
    assert [text for _, text in figure.ticks("x")] == places
    assert set(figure.legend) == {f"{lag} ahead" for lag in lags} == set(figure.tooltips)
    for lag in lags:
        line = figure.mark(f"{lag} ahead")
        assert figure.legend[line.tooltip].fits(figure.looks[line.tooltip])
        shown = [
            next(row for row in rows if (row["place"], row["lag"], row["quantity"]) == (place, lag, "gain"))
            for place in places
        ]
        for point, row in zip(line.points, shown, strict=True):
            mark = Mark(line.tooltip, [point], line.shape)
            assert figure.nearest_tick("x", figure.pixels(mark)[0][0]) == row["place"]
            check_bar(figure, mark, row, "y")
            assert f"{row['place']}, {lag} ahead: {row['value']:.3f}" in figure.description


@pytest.mark.parametrize("source", SOURCES)
def test_decoding_shows_tokens_a_forward_by_draft_beside_the_paper(source: int) -> None:
    rng = np.random.default_rng(source)
    rows: list[Row] = [
        {"quantity": quantity, "draft": draft, "paper": paper, **estimate(rng, 1.1, 3.9)}
        for draft, paper in ((1, None), (2, 1.94), (3, None), (4, 3.05 - source))
        for quantity in ("tokens a forward", "times faster")
    ]
    (figure,) = figures_of("decoding", rows)
    shown = [row for row in rows if row["quantity"] == "tokens a forward"]
    assert len(figure.marks) == len(shown) + 2
    for row in shown:
        text = f"k = {row['draft']}: {row['value']:.3f}" + (f", paper {row['paper']}" if row["paper"] else "")
        mark = figure.mark(text)
        assert figure.nearest_tick("x", figure.pixels(mark)[0][0]) == str(row["draft"])
        assert figure.legend["this run, 95% interval"].fits(figure.looks[text])
        check_bar(figure, mark, row, "y")
        assert text in figure.description
        if row["paper"]:
            paper = figure.mark(f"paper, k = {row['draft']}: {row['paper']}")
            assert paper.points[0] == pytest.approx((row["draft"], row["paper"]), abs=0.005)
            assert figure.legend["paper, 7B"].fits(figure.looks[paper.tooltip])


@pytest.mark.parametrize("source", SOURCES)
def test_step_has_a_bar_per_ratio(source: int) -> None:
    rng = np.random.default_rng(source)
    rows: list[Row] = [
        {"part": part, "quantity": quantity, "loss": loss, "value": float(rng.uniform(0.7, 2.5))}
        for part, losses in (("memory", ("joint", "sequential", "chunked")), ("time", ("sequential",)))
        for loss in losses
        for quantity in ("ratio", "peak")
    ]
    (figure,) = figures_of("step", rows)
    shown = [(f"{row['part']}, {row['loss']} loss", row["value"]) for row in rows if row["quantity"] == "ratio"]
    assert [text for _, text in sorted(figure.ticks("y"))] == [name for name, _ in shown]
    assert len(figure.marks) == len(shown)
    for name, value in shown:
        bar = figure.mark(f"{name}: ")
        assert bar.tooltip == f"{name}: {value:.3f}"
        corners = np.array(figure.pixels(bar))
        assert figure.nearest_tick("y", corners[:, 1].mean()) == name
        ends = sorted({round(x, 2) for x, _ in bar.points})
        assert ends == pytest.approx([0, value], abs=0.006)
        (label,) = [
            text for text in figure.texts if text.text == f"{value:.2f}" and abs(text.y - corners[:, 1].mean()) < 12
        ]
        assert label.x > corners[:, 0].max()
        assert f"{name} {value:.3f}" in figure.description


@pytest.mark.parametrize("source", SOURCES)
def test_samples_have_a_shaded_cell_per_token(source: int) -> None:
    rng = np.random.default_rng(source)
    words = [name.replace(" ", "")[:7] for name in odd_names(rng, 11)]
    rows: list[Row] = [
        {"part": "draft", "sample": 0, "place": place, "text": word, "head": int(rng.integers(1, 4))}
        for place, word in enumerate(words)
    ]
    rows += [
        {"part": "loss", "sample": 0, "place": place, "text": word, "loss_1": float(rng.uniform(0.1, 3)), "loss_2": None if place < 2 else float(rng.uniform(0.1, 3))}
        for place, word in enumerate(words)
    ]  # fmt: skip
    drafts, *losses = figures_of("samples", rows)
    shown = [f"{row['text']} ({row['head']})" if row["head"] > 1 else row["text"] for row in rows[:11]]
    assert drafts.tooltips == [f"{text}: {row['head']}" for text, row in zip(shown, rows[:11], strict=True)]
    assert drafts.description == " ".join(shown)
    for figure, key in zip(losses, ("loss_1", "loss_2"), strict=True):
        assert figure.place(f"Loss of head {key[-1]}, nats")
        assert figure.tooltips == [row["text"] + ("" if row[key] is None else f": {row[key]:g}") for row in rows[11:]]
        groups = [group for group in figure.root.iter() if re.search(r"-mark-\d+$", group.get("id") or "")]
        shades = [
            float((re.search(r"opacity: ([\d.]+)", str([path.get("style") for path in group.iter()])) or [0, 0])[1])
            for group in groups
        ]
        known = [(row[key] or 0.0, shade) for row, shade in zip(rows[11:], shades, strict=True)]
        assert [shade for _, shade in sorted(known)] == sorted(shades)
    for figure in (drafts, *losses):
        for mark, text in zip(figure.marks, shown if figure is drafts else words, strict=True):
            corners = np.array(figure.pixels(mark))
            place = next(place for place in figure.texts if place.text == text)
            assert corners[:, 0].min() < place.x < corners[:, 0].max()
            assert corners[:, 1].min() < place.y < corners[:, 1].max()
