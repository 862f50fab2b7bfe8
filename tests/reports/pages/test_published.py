"""The published pages are those that the published results give, byte for byte."""

from pathlib import Path

import pytest

from reports.pages.index import write_page
from reports.pages.writing import Writing
from studies.ledger.archive import pack, unpack
from studies.ledger.declared_study import find_study

FOLDER = Path(__file__).parents[3] / "reports" / "published"
ARCHIVES = sorted(FOLDER.glob("*.tar.xz"), key=lambda path: path.stat().st_size)


def test_an_archive_unpacked_and_packed_again_has_the_same_bytes(tmp_path: Path) -> None:
    for path in ARCHIVES:
        name, scale, _ = unpack(path, tmp_path)
        assert pack(tmp_path, name, scale) == (path.name, path.read_bytes())


def test_the_smallest_page_is_written_again_to_the_byte(tmp_path: Path) -> None:
    name, scale, _ = unpack(ARCHIVES[0], tmp_path / "home")
    page = tmp_path / f"{name}-{scale}.html"
    write_page(tmp_path / "home", find_study(tmp_path / "home", name, scale), page)
    assert page.read_bytes() == (FOLDER / page.name).read_bytes()


@pytest.mark.slow
def test_every_page_and_the_index_are_written_again_to_the_byte(tmp_path: Path) -> None:
    for path in ARCHIVES:
        unpack(path, tmp_path / "home")
    Writing(tmp_path / "home", ["paper"], "cpu", tmp_path / "pages").write()
    pages = {path.name: path.read_bytes() for path in (tmp_path / "pages").glob("*.html")}
    assert pages == {path.name: path.read_bytes() for path in FOLDER.glob("*.html")}


def test_nothing_published_names_a_place_of_the_machine_it_ran_on(tmp_path: Path) -> None:
    for path in ARCHIVES:
        unpack(path, tmp_path)
    for path in tmp_path.rglob("*.json"):
        if not path.name.startswith("analysis-samples"):  # which quote their corpus
            assert '"/' not in path.read_text(), path.name
