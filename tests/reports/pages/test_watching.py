"""A watched page is updated when more is stored, and ends as the plain command writes it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reports.pages import watching
from studies.ledger.records import VerdictsRecord
from tests.conftest import Lab
from tests.reports.stored_study import StoredStudy


@pytest.fixture
def running(broken_store: StoredStudy, tmp_path: Path) -> StoredStudy:
    """Returns an unfinished study in a separate home."""
    shutil.copytree(broken_store.home, tmp_path / "home")
    return StoredStudy(tmp_path / "home", broken_store.study)


def replace_waiting(monkeypatch: pytest.MonkeyPatch, *events: Callable[[], None]) -> list[float]:
    """Lets one event happen in each wait between two checks; returns the list of waits."""
    waits: list[float] = []
    remaining: Iterator[Callable[[], None]] = iter(events)

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        next(remaining)()

    monkeypatch.setattr(watching.time, "sleep", sleep)
    return waits


@pytest.mark.slow
def test_a_page_is_updated_as_runs_end_until_the_study_is_judged(
    running: StoredStudy, monkeypatch: pytest.MonkeyPatch, lab: Lab
) -> None:
    page = running.home / "reports" / "small-cpu.html"
    contents: list[str] = []

    def end_one_run() -> None:
        contents.append(page.read_text())
        cells = running.cells
        next(run for run in cells[2].runs if not run.ended).failure = "it was terminated"
        running.folder.write_cells(cells)

    def do_nothing() -> None:
        contents.append(page.read_text())

    def judge_study() -> None:
        contents.append(page.read_text())
        running.folder.write_verdicts(VerdictsRecord(study="small", scale="cpu", verdicts=[]))

    waits = replace_waiting(monkeypatch, end_one_run, do_nothing, judge_study)
    output = lab("report", "small", "--home", running.home, "--watch", "--json")
    assert len(waits) == 3
    assert output.stderr.count(", updated: ") == 2
    assert json.loads(output.stdout)["report"] == str(page)
    assert all('<meta http-equiv="refresh" content="5">' in text for text in contents)
    assert "it was terminated" not in contents[0]
    assert "it was terminated" in contents[1]
    assert contents[2] == contents[1]
    last = page.read_text()
    assert "refresh" not in last
    lab("report", "small", "--home", running.home)
    assert page.read_text() == last


@pytest.mark.slow
def test_ctrl_c_ends_watching_with_the_page_in_place(
    running: StoredStudy, monkeypatch: pytest.MonkeyPatch, lab: Lab
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    replace_waiting(monkeypatch, interrupt)
    output = lab("report", "small", "--home", running.home, "--watch")
    assert output.returncode == 0
    assert "watching ended" in output.stderr
    assert "refresh" not in (running.home / "reports" / "small-cpu.html").read_text()
