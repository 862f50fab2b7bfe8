"""Two studies on one page: the verdicts and effects of both, and exactly the settings that differ."""

import json
from html import escape
from pathlib import Path

import pytest

from reports.frames.pairs import ComparedStudy, StudyPair
from reports.pages.comparison import render_comparison, verdict_lines, verdicts_by_claim
from tests.conftest import Lab
from tests.reports.pages.page_reader import PageReader
from tests.reports.stored_study import STUDY_FILE, Outcome, StoredStudy, StudyStore, usual_outcome


@pytest.fixture(scope="module")
def pair(store: StudyStore, usual_store: StoredStudy) -> StudyPair:
    """The usual study, and one in another home with five name parts, in which two tokens are far worse at width 8."""

    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        return 0.1 + 0.01 * number if cell == "width=8 n=2" else usual_outcome(cell, phase, number)

    other = store(outcomes, sets=("task.name_parts=5",), name="<i>other")
    return StudyPair(*(ComparedStudy(stored.home, stored.study) for stored in (usual_store, other)))


def test_verdicts_and_effects_of_both_are_in_one_row(pair: StudyPair) -> None:
    assert verdicts_by_claim(pair) == {"helps": ["supported", "contradicted"], "same": ["supported", "supported"]}
    text = PageReader(render_comparison(pair)).text
    assert "Both studies make 2 claims: 1 with the same verdict, 1 with opposite verdicts." in text
    row = text[text.index("helps: ") :]
    assert row.index("▲ SUPPORTED") < row.index("+0.450") < row.index("▼ CONTRADICTED")


def test_a_claim_that_was_not_tested_is_not_called_inconclusive(
    usual_store: StoredStudy, broken_store: StoredStudy
) -> None:
    pair = StudyPair(*(ComparedStudy(stored.home, stored.study) for stored in (usual_store, broken_store)))
    assert verdict_lines(pair).splitlines() == ["helps: supported, not tested", "same: supported, not tested"]


def test_only_settings_that_differ_are_listed(pair: StudyPair) -> None:
    text = PageReader(render_comparison(pair)).text
    table = text[text.index("Settings that differ") : text.index("To write this page again")]
    assert table.split()[-3:] == ["task.name_parts", "4", "5"]
    assert "Versions and machine" not in table


def test_no_text_of_either_study_becomes_markup(pair: StudyPair) -> None:
    page = render_comparison(pair)
    assert PageReader(page).tag_names.count("script") == 1
    assert "<i>other" not in page
    declaration = pair.first.study.declaration
    for text in (declaration.question, declaration.claims[0].text, "<i>other@cpu"):
        assert escape(text, quote=False) in page.replace("&#34;", '"').replace("&#39;", "'")


def test_homes_are_named_where_only_they_differ_and_unmatched_claims_are_marked(
    usual_store: StoredStudy, store: StudyStore, tmp_path: Path, lab: Lab
) -> None:
    second = store(text=STUDY_FILE.replace('name = "same"', 'name = "alike"'))
    out = tmp_path / "both.html"
    homes = ["--home", usual_store.home, "--second-home", second.home]
    value = json.loads(lab("compare", "small", "small@cpu", *homes, "--out", out, "--json").stdout)
    assert value["claims"]["same"] == ["supported", None]
    assert value["claims"]["alike"] == [None, "supported"]
    text = PageReader(out.read_text()).text
    assert "small@cpu, first home" in text
    assert "not claimed" in text
