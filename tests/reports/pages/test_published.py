"""The published archives give the same pages every time, and pages show the verdicts that were stored with them."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from reports.pages.study import render_study
from reports.pages.writing import ReportWriter
from studies.ledger.archive import pack, unpack
from studies.ledger.declared_study import find_study
from studies.reading.judged import read_judged
from tests.reports.pages.page_reader import PageReader

FOLDER = Path(__file__).parents[3] / "reports" / "published"
FOLDERS = {"paper": FOLDER, "controls": FOLDER / "controls", "matrix": FOLDER / "matrix"}
"""Collection -> the folder of its archives."""


@dataclass(frozen=True)
class PublishedCollection:
    """A collection's archives, unpacked into a home that tests must not change; names and scales of its studies."""

    name: str
    home: Path
    archives: list[Path]
    studies: list[tuple[str, str]]


@pytest.fixture(scope="module", params=list(FOLDERS))
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PublishedCollection:
    home, archives = tmp_path_factory.mktemp("published"), sorted(FOLDERS[request.param].glob("*.tar.xz"))
    return PublishedCollection(request.param, home, archives, [unpack(path, home)[:2] for path in archives])


@pytest.mark.slow
def test_archives_unpacked_and_packed_again_have_the_same_bytes(published: PublishedCollection) -> None:
    for path, (name, scale) in zip(published.archives, published.studies, strict=True):
        assert pack(published.home, name, scale) == (path.name, path.read_bytes())


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
    smallest = min(FOLDER.glob("*.tar.xz"), key=lambda path: path.stat().st_size)
    pages = []
    for home in (tmp_path / "first", tmp_path / "second"):
        name, scale, _ = unpack(smallest, home)
        assert pack(home, name, scale) == (smallest.name, smallest.read_bytes())
        pages.append(render_study(read_judged(home, find_study(home, name, scale))))
    assert pages[0] == pages[1]
    assert verdicts_shown(pages[0]) == stored_verdicts(tmp_path / "first", name, scale)


@pytest.mark.slow
def test_all_archives_give_the_same_pages_twice_with_their_stored_verdicts(
    published: PublishedCollection, tmp_path: Path
) -> None:
    out, again = tmp_path / "pages", tmp_path / "again"
    for folder in (out, again):
        ReportWriter(published.home, [published.name], "cpu", folder).write()
    pages = sorted(path.name for path in out.glob("*.html"))
    assert len(pages) == len(published.archives) + 1
    for page in pages:
        assert (again / page).read_bytes() == (out / page).read_bytes()
    for name, scale in published.studies:
        shown = verdicts_shown((out / f"{name}-{scale}.html").read_text())
        assert shown == stored_verdicts(published.home, name, scale)
