"""The published archives give the same pages every time, and pages show the verdicts that were stored with them."""

import json
import re
from pathlib import Path

import pytest

from reports.pages.study import render_study, write_page
from reports.pages.writing import ReportWriter
from studies.ledger.archive import pack, unpack
from studies.ledger.declared_study import find_study
from studies.reading.judged import read_judged
from tests.reports.pages.page_reader import PageReader

FOLDER = Path(__file__).parents[3] / "reports" / "published"
ARCHIVES = sorted(FOLDER.glob("*.tar.xz"), key=lambda path: path.stat().st_size)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, str]]]:
    """Returns a home with all published studies, and their names and scales. Tests must not change it."""
    home = tmp_path_factory.mktemp("published")
    return home, [unpack(path, home)[:2] for path in ARCHIVES]


@pytest.mark.slow
def test_archives_unpacked_and_packed_again_have_the_same_bytes(
    published: tuple[Path, list[tuple[str, str]]],
) -> None:
    home, studies = published
    for path, (name, scale) in zip(ARCHIVES, studies, strict=True):
        assert pack(home, name, scale) == (path.name, path.read_bytes())


def stored_verdicts(home: Path, name: str, scale: str) -> list[tuple[str, str]]:
    """Returns verdict and text of each claim in verdicts.json, where a claim that was not tested is inconclusive."""
    tree = json.loads((home / "studies" / name / scale / "verdicts.json").read_text())
    return [
        ("NOT TESTED" if verdict["p"] is None else verdict["verdict"].upper(), verdict["text"])
        for verdict in tree["verdicts"]
    ]


def verdicts_shown(page: str) -> list[tuple[str, str]]:
    """Returns verdict and text of each card of a page."""
    cards = re.findall(r'<article class="verdict.*?<h2>(.*?)</h2>', page, flags=re.DOTALL)
    texts = [PageReader(card).text.strip() for card in cards]
    return [
        (words[1], words[2]) for text in texts if (words := re.match(r"\S+ (NOT TESTED|[A-Z]+) (.*)", text, re.DOTALL))
    ]


def test_the_smallest_archive_gives_the_same_bytes_and_the_same_page_twice_with_its_stored_verdicts(
    tmp_path: Path,
) -> None:
    pages = []
    for home in (tmp_path / "first", tmp_path / "second"):
        name, scale, _ = unpack(ARCHIVES[0], home)
        assert pack(home, name, scale) == (ARCHIVES[0].name, ARCHIVES[0].read_bytes())
        pages.append(render_study(read_judged(home, find_study(home, name, scale))))
    assert pages[0] == pages[1]
    assert verdicts_shown(pages[0]) == stored_verdicts(tmp_path / "first", name, scale)


@pytest.mark.slow
def test_all_archives_give_the_same_pages_twice_with_their_stored_verdicts(
    published: tuple[Path, list[tuple[str, str]]], tmp_path: Path
) -> None:
    home, studies = published
    out = tmp_path / "pages"
    ReportWriter(home, ["paper"], "cpu", out).write()
    assert len(list(out.glob("*.html"))) == len(ARCHIVES) + 1
    for name, scale in studies:
        page = out / f"{name}-{scale}.html"
        assert verdicts_shown(page.read_text()) == stored_verdicts(home, name, scale)
        again = tmp_path / page.name
        write_page(home, find_study(home, name, scale), again)
        assert again.read_bytes() == page.read_bytes()
