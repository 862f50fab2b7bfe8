"""Figures for a paper have the size that was asked for, every run and whole names, all fonts inside, and no date."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from reports.drawing.paper import PaperPanel
from reports.drawing.sheet import drawing_style
from reports.exhibits.paper import draw_for_paper, figures_of, paper_exhibits
from reports.exhibits.study.contrasts import Contrasts
from studies.reading.judged import JudgedStudy, read_judged
from tests.reports.figure_reader import SPACE, FigureReader
from tests.reports.stored_study import STUDY_FILE, StoredStudy, StudyStore

LONG = "two_tokens_are_far_better_than_one_token_for_the_smallest_of_these_models"
POINTS = 3.25 * 72


@pytest.fixture(scope="module")
def judged(store: StudyStore) -> JudgedStudy:
    """A study whose first claim has a long name."""
    stored = store(text=STUDY_FILE.replace('name = "helps"', f'name = "{LONG}"'))
    return read_judged(stored.home, stored.study)


def panels(judged: JudgedStudy, inches: float) -> Iterator[PaperPanel]:
    for exhibit in paper_exhibits(judged):
        yield from exhibit.panels(inches)[0]


def visible_texts(panel: PaperPanel) -> list[Text]:
    """Draws a panel; returns its texts."""
    with drawing_style("test", on_paper=True):
        FigureCanvasAgg(panel.figure).draw()
    artists = panel.figure.findobj(Text)
    return [text for text in artists if isinstance(text, Text) and text.get_text() and text.get_visible()]


def test_a_pdf_has_its_size_and_its_fonts_and_the_same_bytes_again(judged: JudgedStudy, tmp_path: Path) -> None:
    for name in ("first.pdf", "second.pdf"):
        draw_for_paper(judged, "contrasts", tmp_path / name)
    content = (tmp_path / "first.pdf").read_bytes()
    assert content == (tmp_path / "second.pdf").read_bytes()
    box = re.search(rb"/MediaBox \[ 0 0 (\S+) (\S+) \]", content)
    assert box
    assert float(box[1]) == pytest.approx(POINTS)
    assert content.count(b"/FontFile2") == content.count(b"/Type /FontDescriptor") > 0
    assert b"/Type3" not in content
    assert b"Date" not in content


def test_an_svg_has_its_size_and_no_text_that_needs_a_font(judged: JudgedStudy, tmp_path: Path) -> None:
    for name in ("first.svg", "second.svg"):
        draw_for_paper(judged, "tuning-trials", tmp_path / name, 6.75)
    content = (tmp_path / "first.svg").read_bytes()
    assert content == (tmp_path / "second.svg").read_bytes()
    root = ElementTree.fromstring(content)
    assert root.get("width") == "486pt"
    assert not list(root.iter(f"{SPACE}text"))
    assert "var(" not in content.decode()
    ids = re.findall(r'\bid="([^"]+)"', content.decode())
    assert len(ids) == len(set(ids))
    left, right = (float(panel.get("x") or 0) for panel in root.findall(f"{SPACE}svg"))
    assert left < 300 < right


def test_a_png_has_its_size(judged: JudgedStudy, tmp_path: Path) -> None:
    draw_for_paper(judged, "contrasts", tmp_path / "figure.png")
    content = (tmp_path / "figure.png").read_bytes()
    assert int.from_bytes(content[16:20]) == pytest.approx(3.25 * 300, abs=1)


def test_every_figure_of_the_page_can_be_drawn_and_shows_the_same_marks(judged: JudgedStudy) -> None:
    names = figures_of(judged)
    assert {"score", "contrasts", "learning-steps", "tuning-trials"} <= names.keys()
    assert "parameters" not in names
    (shown,) = (sorted(panel.tooltips) for panel in panels(judged, 3.25) if panel.name.startswith("differences"))
    assert shown == sorted(FigureReader(Contrasts(judged).figures()[0]).tooltips)


@pytest.mark.parametrize("inches", [3.0, 6.75])
def test_no_name_is_cut_short_or_leaves_the_figure(judged: JudgedStudy, inches: float) -> None:
    words: list[str] = []
    for panel in panels(judged, inches):
        for text in visible_texts(panel):
            words += text.get_text().split()
        box, (width, height) = panel.figure.get_tightbbox(), panel.figure.get_size_inches()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.01, panel.title
    assert not [word for word in words if "…" in word]
    name = LONG.split("_")
    assert any(words[start : start + len(name)] == name for start in range(len(words)))


def test_dots_of_equal_seeds_are_all_seen(store: StudyStore) -> None:
    stored: StoredStudy = store(lambda cell, phase, number: 0.9 if cell == "width=8 n=2" else 0.1)
    figure = FigureReader(Contrasts(read_judged(stored.home, stored.study)).figures()[0])
    heights = [figure.mark(f"helps, seed {seed}: ").points[0][1] for seed in range(5)]
    assert len({round(height, 3) for height in heights}) == 5


def test_a_page_drawn_after_a_paper_has_the_bytes_of_one_drawn_before(judged: JudgedStudy, tmp_path: Path) -> None:
    before = Contrasts(judged).figures()
    draw_for_paper(judged, "contrasts", tmp_path / "figure.svg")
    assert Contrasts(judged).figures() == before


def test_letters_that_the_font_lacks_are_named(
    store: StudyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = store(text=STUDY_FILE.replace("\n[tuning]\n", '\n[labels]\naccuracy = "精"\n\n[tuning]\n', 1))
    draw_for_paper(read_judged(stored.home, stored.study), "score", tmp_path / "figure.pdf")
    assert capsys.readouterr().err == "the figure lacks 精: its font, DejaVu Sans, has no such letter\n"


def test_exhibits_of_one_class_have_names_that_labels_do_not_change(store: StudyStore) -> None:
    text = STUDY_FILE.replace('kind = "difference"\n', 'kind = "difference"\nmetric = "loss_1"\n', 1)
    text = text.replace('kind = "equivalence"\n', 'kind = "equivalence"\nmetric = "exact"\n', 1)
    stored = store(text=text.replace("\n[tuning]\n", '\n[labels]\nloss_1 = "loss"\n\n[tuning]\n', 1))
    names = [exhibit.name for exhibit in paper_exhibits(read_judged(stored.home, stored.study))]
    assert names[:3] == ["score", "further-measures/loss-1-on-test", "further-measures/exact-on-test"]
