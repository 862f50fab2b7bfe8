"""Exhibits of other packages: whatever is wrong with one stands in its place, and the rest of the page is as ever."""

import json
from pathlib import Path

import pytest

from reports.exhibits.drawn import ExhibitProblems, drawn_on
from reports.exhibits.table import EXHIBITS
from reports.pages.study import render_study
from studies.reading.judged import JudgedStudy, read_judged
from tests.conftest import Lab
from tests.fake_package import Install
from tests.reports.pages.page_reader import PageReader
from tests.reports.stored_study import StoredStudy, StudyStore

MODULE = """
import reports
from reports import Column, Table, open_sheet, word

def figure(name):
    with open_sheet(name, 200) as sheet:
        sheet.mark(1, 2, "o", "a mark")
        return sheet.svg("A figure", "1 and 2.")

class Mine(reports.{base}):
    section = "{section}"
    {attribute}
    def table(self):
        return Table("Mine", [Column("cell", "word")], [[word("a")]])
{method}
"""
METHODS = {
    "def figures(self): return [{}['absent']]": "failed with KeyError: 'absent' ({name}.py, line 15)",
    "def table(self): raise SystemExit(3)": "failed with SystemExit: 3 ({name}.py, line 15)",
    "def caption(self): raise OSError\n    def figures(self): return [figure('mine')]": "failed with OSError ({name}.py, line 15)",
    "@classmethod\n    def instances(cls, source): return source.absent": "failed with AttributeError: 'JudgedStudy' object has no attribute 'absent' ({name}.py, line 16)",
    "@classmethod\n    def instances(cls, source): return [cls(source), 3]": "failed with TypeError: instances() gives 3, which is no exhibit",
    "def figures(self): return figure('mine')": "failed with TypeError: figures() gives '<svg xmlns=",
    "def figures(self): return [open_sheet]": "failed with TypeError: figures() gives <function open_sheet at ",
    "def figures(self): return ['<svg><g></svg>']": "which is no whole SVG element (mismatched tag: line 1, column 10)",
    "def figures(self): return ['<p>none</p>']": "figures() gives '<p>none</p>', which is no SVG element",
    "def figures(self): return [figure('mine'), figure('mine')]": "a figure has the id 'mine-axes_1', as another",
    "def title(self): return None": "failed with TypeError: title() gives None, which is no text",
    "def table(self): return None": "failed with TypeError: table() gives None, which is no Table",
    "def summary(self): return [1]": "failed with TypeError: summary() gives [1], which is no Table",
    "def table(self): return Table('Mine', [Column('cell')], [[word('a'), word('b')]])": "whose row 1 has 2 values for 1 columns",
    "def table(self): return Table('Mine', [Column('cell')], [['a']])": "whose row 1 has 'a' under 'cell', which is no Value",
    "def table(self): return Table('Mine', ['cell'], [])": "whose columns are no list of Column",
}


def module(method: str = "", attribute: str = "", base: str = "StudyExhibit", section: str = "mine") -> str:
    return MODULE.format(method=f"    {method}" if method else "", attribute=attribute, base=base, section=section)


@pytest.fixture(scope="module")
def judged(usual_store: StoredStudy) -> JudgedStudy:
    return read_judged(usual_store.home, usual_store.study)


@pytest.mark.parametrize("method", METHODS)
def test_an_exhibit_that_breaks_is_replaced_by_the_reason(
    method: str, install: Install, judged: JudgedStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"outside_method_{list(METHODS).index(method)}"
    install(name, f"[mtp_lab.exhibits]\nmine = {name}:Mine", module(method))
    problems = ExhibitProblems()
    (exhibit,) = drawn_on("study", judged, problems, section="mine")["mine"]
    reason = METHODS[method].format(name=name)
    assert problems.failures == [exhibit.failure]
    assert exhibit.failure.startswith(f"exhibit mine of {name} 1.2 failed with ")
    assert reason in exhibit.failure
    assert capsys.readouterr().err == f"{exhibit.failure}\n"


def test_one_instance_that_breaks_does_not_hinder_the_others(install: Install, judged: JudgedStudy) -> None:
    instances = "@classmethod\n    def instances(cls, source): return [cls(source), cls(source)]\n"
    figures = "    def figures(self):\n        return [figure('the-same-name')]"
    install("outside_twins", "[mtp_lab.exhibits]\nmine = outside_twins:Mine", module(instances + figures))
    first, second = drawn_on("study", judged, ExhibitProblems(), section="mine")["mine"]
    assert (len(first.figures), first.failure) == (1, "")
    assert "a figure has the id 'the-same-name-" in second.failure
    assert "give open_sheet another name" in second.failure


@pytest.mark.parametrize(
    ("points", "attribute", "code", "reason"),
    [
        ("score", "", "raise OSError", "exhibit score of {name} is left out: provided by mtp-lab and by {name}; the name stays"),
        ("mine", "", "raise OSError", "exhibit mine of {name} is left out: entry point {name}:Mine of {name} cannot be imported (OSError)"),
        ("mine", "page = 'front'", "", "exhibit mine of {name} is left out: entry point {name}:Mine of {name} has page = 'front', which should be 'study', 'index', 'matrix', 'comparison' or 'analysis'"),
        ("mine", "page = 'analysis'", "", "has section = 'mine', which is no analysis; the nearest is items (there are: choice-points, "),
    ],
)  # fmt: skip
def test_an_exhibit_that_cannot_be_used_is_named_on_the_page_and_the_lab_keeps_its_own(
    points: str, attribute: str, code: str, reason: str, install: Install, usual_store: StoredStudy, lab: Lab,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setattr(EXHIBITS, "rows", {name: EXHIBITS.rows[name] for name in ("score", "claims")})
    name = f"outside_unusable_{len(reason)}"
    install(name, f"[mtp_lab.exhibits]\n{points} = {name}:Mine", code or module(attribute=attribute))
    done = lab("report", "small", "--home", usual_store.home, "--out", tmp_path)
    assert done.returncode == 0
    assert reason.format(name=name) in done.stderr
    assert done.stderr.count("\n") == 1
    text = PageReader((tmp_path / "small-cpu.html").read_text()).text
    assert text.index("Parts of other packages that this page lacks") < text.index(reason.format(name=name))
    assert "Score by cell" in text


BASES = {"study": "StudyExhibit", "index": "IndexExhibit", "comparison": "ComparisonExhibit"}


@pytest.mark.parametrize("page", BASES)
def test_a_command_writes_everything_else_names_what_failed_and_exits_with_1(
    page: str, install: Install, usual_store: StoredStudy, store: StudyStore, lab: Lab,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    own = ("score", "scoreboard", "claims", "compared-claims")
    monkeypatch.setattr(EXHIBITS, "rows", {name: EXHIBITS.rows[name] for name in own})
    name = f"outside_{page}"
    install(
        name, f"[mtp_lab.exhibits]\nmine = {name}:Mine", module("def figures(self): return 1 / 0", base=BASES[page])
    )
    command, path = {
        "study": (["report", "small", "--out", tmp_path], tmp_path / "small-cpu.html"),
        "index": (["report", "--out", tmp_path], tmp_path / "index.html"),
        "comparison": (["compare", "small", "small", "--second-home", store().home, "--out", tmp_path / "both.html"], tmp_path / "both.html"),
    }[page]  # fmt: skip
    done = lab(*command, "--home", usual_store.home, "--json")
    assert done.returncode == 1
    sentence = f"exhibit mine of {name} 1.2 failed with ZeroDivisionError: division by zero ({name}.py, line 15)"
    assert json.loads(done.stdout)["failed_exhibits"] == [sentence]
    assert done.stderr.splitlines() == [
        sentence,
        "lab: 1 exhibit of other packages could not be drawn (see above); everything else was written",
    ]
    text = PageReader(path.read_text()).text
    assert f"Mine {sentence}" in text
    assert "To run it again" in text or "To write this page again" in text


def test_a_page_drawn_from_python_shows_the_reason_too(
    install: Install, judged: JudgedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EXHIBITS, "rows", {})
    install(
        "outside_python", "[mtp_lab.exhibits]\nmine = outside_python:Mine", module("def figures(self): return 1 / 0")
    )
    assert "exhibit mine of outside_python 1.2 failed with ZeroDivisionError" in PageReader(render_study(judged)).text


def test_an_exhibit_of_the_lab_that_breaks_is_a_bug_and_raises(
    judged: JudgedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.exhibits.study.score.Score.table", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        drawn_on("study", judged, ExhibitProblems(), section="scores")


def test_what_an_exhibit_changes_in_its_data_appears_nowhere_else(
    install: Install, judged: JudgedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EXHIBITS, "rows", {})
    changes = "for column in list(self.results.runs): del self.results.runs[column]\n        self.judgements.clear()"
    method = f"def introduction(self):\n        {changes}\n        return f'{{len(self.results.runs.columns)}} left'"
    install("outside_change", "[mtp_lab.exhibits]\nmine = outside_change:Mine", module(method))
    text = PageReader(render_study(judged)).text
    assert "0 left" in text
    assert "28 of 28 runs ended" in text
    assert len(judged.judgements) == 2
