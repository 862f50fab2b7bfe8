"""The name of a search belongs to one file, as that of a study does."""

from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from reports.dashboards.sources import shown, sources
from studies.declared.catalog import SEARCHES
from studies.declared.search import load_search
from studies.ledger.folder import StudyFolder
from studies.ledger.search_records import SearchRecord
from studies.running.executors.here import InProcess
from studies.running.search import SearchCoordinator
from tests.small_search import write_small_search
from tests.studies.workshop import Workshop

SMALLER = ("trials = 6\nbatch = 3", "trials = 2\nbatch = 2")
WIDTHS = ('"model.width" = [8, 16]', '"model.width" = [8, 24]')


def write(folder: str, *replacements: tuple[str, str]) -> str:
    Path(folder).mkdir(exist_ok=True)
    return str(write_small_search(Path(folder), SMALLER, *replacements))


def run(path: str, home: Path) -> list[str]:
    """Runs a search without training, and returns its lines."""
    lines: list[str] = []
    SearchCoordinator(load_search(path, "cpu", []), home, lines.append).run(InProcess(home))
    return lines


def test_another_file_of_a_searchs_name_is_refused(workshop: Workshop) -> None:
    run(write("a"), workshop.home)
    before = (workshop.home / "studies/small/cpu/search.json").read_bytes()
    with pytest.raises(
        UserError, match=r"the name 'small' belongs to a/small.toml under .* differs \(space.model.width\)"
    ):
        run(write("b", WIDTHS), workshop.home)
    assert (workshop.home / "studies/small/cpu/search.json").read_bytes() == before


def test_an_edited_search_goes_on_and_the_keys_are_named(workshop: Workshop) -> None:
    assert not [line for line in run(write("a"), workshop.home) if "edited" in line]
    lines = run(write("a", WIDTHS), workshop.home)
    assert lines[0] == "a/small.toml: was edited since it last ran (space.model.width)"
    Path("a/small.toml").rename("small.toml")
    assert not [line for line in run("small.toml", workshop.home) if "edited" in line]


def test_a_search_from_an_earlier_version_of_the_lab_is_run_again_and_says_so(workshop: Workshop) -> None:
    path = write("a")
    run(path, workshop.home)
    folder = StudyFolder(workshop.home, "small", "cpu")
    record = folder.read_search()
    assert record is not None
    folder.write_search(SearchRecord.model_validate(record.model_dump(exclude={"origin", "content"})))
    with pytest.raises(UserError, match="an earlier version of the lab stored this search"):
        shown(workshop.home, path, None)
    assert "is overwritten, because it cannot be read: " in run(path, workshop.home)[0]


def test_the_dashboard_shows_a_file_only_what_it_says(workshop: Workshop) -> None:
    home, path = workshop.home, write("a")
    run(path, home)
    workshop.write("small.toml")
    workshop.run("small.toml")
    assert [source.key[0] for source in sources(home, *shown(home, "small", None)[:1], None)] == ["study", "search"]
    for argument, kind in ((path, "search"), ("small.toml", "study")):
        name, shown_kind = shown(home, argument, None)
        assert [source.key[0] for source in sources(home, name, None, shown_kind)] == [kind]
    with pytest.raises(
        UserError, match=r"b/small.toml: differs from what is stored in .* \(space.model.width\), from a/"
    ):
        shown(home, write("b", WIDTHS), None)


def test_a_search_of_the_catalog_and_a_file_of_its_name_are_told_apart(workshop: Workshop) -> None:
    Path("best-n.toml").write_text(SEARCHES.path("best-n").read_text())
    done = workshop.lab("study", "search", "best-n", "--scale", "nosuch", "--home", workshop.home)
    assert (
        "best-n: means the catalog's search; for the file of that name in this folder, give best-n.toml" in done.stderr
    )
