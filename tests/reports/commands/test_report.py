"""Tests `lab report`: where it writes pages, what it prints, and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.reports.stored_study import StoredStudy, all_files


def test_the_page_goes_under_the_home_by_default(usual_store: StoredStudy, lab: Lab) -> None:
    output = lab("report", "small", "--home", usual_store.home)
    assert output.returncode == 0
    page = usual_store.home / "reports" / "small-cpu.html"
    assert page.read_text().startswith("<!DOCTYPE html>")
    lines = output.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["SUPPORTED", "SUPPORTED", "28 of 28 runs complete", "page"]
    assert lines[-1] == f"page: {page.absolute()}"


def test_json_gives_the_page_and_the_verdicts_and_nothing_stored_changes(
    broken_store: StoredStudy, tmp_path: Path, lab: Lab
) -> None:
    before = all_files(broken_store.home)
    out = tmp_path / "new" / "folder" / "page.html"
    output = lab("report", "small", "--scale", "cpu", "--out", out, "--home", broken_store.home, "--json")
    value = json.loads(output.stdout)
    expected = {"report": str(out), "study": "small", "scale": "cpu", "runs": 19}
    assert {name: value[name] for name in expected} == expected
    assert [verdict["verdict"] for verdict in value["verdicts"]] == ["inconclusive", "inconclusive"]
    assert out.exists()
    assert all_files(broken_store.home) == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["report", "induction-quick"], "study 'induction-quick' never ran"),
        (["report", "small", "--scale", "gpu"], "study 'small' never ran at scale gpu"),
        (["compare", "small", "small@cpu"], "are the same study at the same scale"),
    ],
)
def test_requests_that_cannot_be_met_are_refused_in_a_sentence(
    usual_store: StoredStudy, arguments: list[str], reason: str, lab: Lab
) -> None:
    output = lab(*arguments, "--home", usual_store.home)
    assert output.returncode == 2
    assert reason in output.stderr
    assert "Traceback" not in output.stderr
