"""Two studies side by side: the verdicts and effects of both, and exactly the settings that differ."""

import json
from html import escape
from pathlib import Path

import pytest

from reports.commands.reports import app
from reports.pages.comparison import Side, compare
from tests.reports.conftest import DECLARED, Store, Stored, usual
from tests.reports.pages.test_page import Reader


@pytest.fixture(scope="module")
def other(store: Store) -> Stored:
    """Five name parts, and two tokens far worse at width 8; in a home of its own."""
    worse = {"width=8 n=2": 0.1}
    return store(
        lambda cell, phase, number: worse.get(cell, 0) + 0.01 * number if cell in worse else usual(cell, phase, number),
        sets=("task.name_parts=5",),
        name="<i>other",
    )


def test_both_verdicts_and_effects_stand_beside_each_other(usual_store: Stored, other: Stored) -> None:
    found = compare(Side(usual_store.home, usual_store.study), Side(other.home, other.study))
    assert found.claims == {"helps": ["supported", "contradicted"], "same": ["supported", "supported"]}
    text = Reader(found.page).text
    assert "Of 2 claims that both make, 1 came out the same; 1 came out opposite." in text
    row = text[text.index("helps: ") :]
    assert row.index("▲ SUPPORTED") < row.index("+0.450") < row.index("▼ CONTRADICTED")


def test_what_differs_is_listed_and_nothing_else(usual_store: Stored, other: Stored) -> None:
    page = compare(Side(usual_store.home, usual_store.study), Side(other.home, other.study)).page
    text = Reader(page).text
    table = text[text.index("What differs in the settings") : text.index("To write this again")]
    assert table.split()[-3:] == ["task.name_parts", "4", "5"]
    assert "versions and machine" not in table


def test_no_text_of_either_study_becomes_markup(usual_store: Stored, other: Stored) -> None:
    page = compare(Side(usual_store.home, usual_store.study), Side(other.home, other.study)).page
    tags = [tag for tag, _ in Reader(page).tags]
    assert tags.count("script") == 1
    assert "<i>other" not in page
    for text in (usual_store.study.declaration.question, usual_store.study.declaration.claims[0].text, "<i>other@cpu"):
        assert escape(text, quote=False) in page.replace("&#34;", '"').replace("&#39;", "'")


def test_two_homes_of_one_study_are_told_apart_and_claims_of_one_alone_are_said_to_be_so(
    usual_store: Stored, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = store(declared=DECLARED.replace('name = "same"', 'name = "alike"'))
    out = tmp_path / "both.html"
    homes = ["--home", str(usual_store.home), "--second-home", str(second.home)]
    with pytest.raises(SystemExit) as stopped:
        app(["compare", "small", "small@cpu", *homes, "--out", str(out), "--json"], prog_name="lab")
    assert stopped.value.code == 0
    value = json.loads(capsys.readouterr().out)
    assert value["claims"]["same"] == ["supported", None]
    assert value["claims"]["alike"] == [None, "supported"]
    text = Reader(out.read_text()).text
    assert "small@cpu, first home" in text
    assert "not claimed" in text
