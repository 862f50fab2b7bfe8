"""The index shows the verdicts of each study, links to their pages, and lets no text through as markup."""

import json
import re
import shutil
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest

from reports.exhibits.index.scoreboard import Scoreboard
from reports.frames.study_summary import StudySummary, summarise
from reports.pages.index import IndexChapter, StudyIndex, render_index
from reports.pages.study import page_name
from studies.declared.collection import load_collection
from studies.ledger.records import catalog_source
from studies.reading.judged import read_judged
from tests.conftest import Lab
from tests.reports.figure_reader import FigureReader
from tests.reports.pages.page_reader import PageReader
from tests.reports.stored_study import STUDY_FILE, StoredStudy, StudyStore, usual_outcome


def summary_of(stored: StoredStudy) -> StudySummary:
    return summarise(read_judged(stored.home, stored.study), page_name(stored.study))


@pytest.fixture(scope="module")
def half_done(store: StudyStore) -> StoredStudy:
    """Returns a study with markup in its claims and one run that has not ended."""
    late = ("width=16 n=2", "confirm", 4)
    return store(lambda *run: None if run == late else usual_outcome(*run), name="<b>half")


@pytest.fixture(scope="module")
def page(usual_store: StoredStudy, half_done: StoredStudy) -> str:
    summaries = {(stored.study.name, stored.study.scale): summary_of(stored) for stored in (usual_store, half_done)}
    absent = {"star": "lab study run star", "far away": "lab study run 'far away'"}
    studies = [summary.study for summary in summaries.values()]
    chapter = IndexChapter("Section 4", "Of induction.", studies, absent)
    return render_index(StudyIndex("All of it", "Does it help?", [chapter], ["small", "<b>half"], summaries))


def test_the_number_of_claims_that_hold_comes_first(page: str) -> None:
    text = PageReader(page).text
    assert text.index("Of 4 claims, 3 are supported and 1 is not tested.") < text.index("Scoreboard")
    assert "3 ▲ SUPPORTED 0 ▼ CONTRADICTED 0 ≈ NEGLIGIBLE 0 ○ INCONCLUSIVE 1 × NOT TESTED" in text


def test_cautions_that_differ_in_the_name_of_their_study_alone_are_one(usual_store: StoredStudy) -> None:
    def cautioned(name: str, *cautions: str) -> StudySummary:
        summary = summary_of(usual_store)
        return replace(summary, study=replace(summary.study, name=name), page=f"{name}.html", cautions=[*cautions])

    summaries = {
        (name, "cpu"): cautioned(name, f"Old; run {name} again.", "Few seeds.", *own)
        for name, own in (("first", ("See first.",)), ("second", ()))
    }
    chapter = IndexChapter("", "", [summary.study for summary in summaries.values()], {})
    text = PageReader(render_index(StudyIndex("All", "Which?", [chapter], [], summaries))).text
    cautions = text[text.index("Thin evidence") :]
    for line in ("first , second : Old; run NAME again.", "first , second : Few seeds.", "first : See first."):
        assert cautions.count(line) == 1


@pytest.mark.parametrize(("kind", "expected"), [("positive", "as"), ("negative", "not as")])
def test_the_answer_of_a_control_says_whether_it_is_as_it_should_be(
    store: StudyStore, kind: str, expected: str
) -> None:
    stored = store(text=STUDY_FILE.replace("seeds =", f'control = "{kind}"\nseeds =', 1))
    assert summary_of(stored).answer == f"Both claims are supported. ({kind} control, {expected} it should be)"


def test_an_unfinished_control_is_not_as_it_should_be_nor_otherwise(store: StudyStore) -> None:
    late = ("width=16 n=2", "confirm", 4)
    text = STUDY_FILE.replace("seeds =", 'control = "positive"\nseeds =', 1)
    stored = store(lambda *run: None if run == late else usual_outcome(*run), text=text)
    assert "control" not in summary_of(stored).answer


def test_the_scoreboard_has_every_claim_with_the_papers_figure_and_ours(usual_store: StoredStudy, page: str) -> None:
    text = PageReader(page).text
    for judgement in usual_store.judgements:
        contrast = judgement.contrast
        assert contrast is not None
        row = text[text.index(f"small {judgement.claim.text} {judgement.claim.paper}") :][:200]
        ours = f"{contrast.difference:+.3f} accuracy on test {contrast.low:+.3f} to {contrast.high:+.3f} 5 "
        assert ours.replace("-", "\N{MINUS SIGN}") in row.replace("-", "\N{MINUS SIGN}")


def test_links_lead_only_to_pages_in_the_same_folder(page: str) -> None:
    links = {attributes["href"] for tag, attributes in PageReader(page).tags if tag == "a"}
    assert links == {"small-cpu.html", "%3Cb%3Ehalf-cpu.html"}
    assert "default-src 'none'" in page


def test_half_done_studies_and_those_that_never_ran_are_named(page: str) -> None:
    text = PageReader(page).text
    assert "<b>half : The study is unfinished: 27 of 28 runs ended" in text
    assert "4 of 5 in width=16 n=2" in text
    assert "star: lab study run star far away: lab study run 'far away'" in text


def test_no_text_of_a_study_becomes_markup(half_done: StoredStudy, page: str) -> None:
    names = PageReader(page).tag_names
    assert names.count("script") == names.count("style") == 1
    assert not {"img", "iframe", "link", "object", "embed"} & set(names)
    declaration = half_done.study.declaration
    for text in (declaration.title, declaration.question, declaration.claims[0].text, "<b>half"):
        assert escape(text, quote=False) in page.replace("&#34;", '"').replace("&#39;", "'")


def test_effects_are_drawn_in_standard_deviations_on_the_side_of_their_verdict(store: StudyStore) -> None:
    def outcomes(cell: str, phase: str, number: int) -> float:
        """n=2 is worse at width 8, by 0.1 and 0.02 more with each seed; at width 16 the two are the same."""
        gain = -0.1 - 0.02 * number if cell == "width=8 n=2" else 0.0
        return 0.5 + 0.01 * number + gain if phase == "confirm" else 0.5

    lines = summary_of(store(outcomes)).lines()
    assert lines[0].deviation == pytest.approx(0.02 * np.std(range(5), ddof=1))
    assert np.isnan(lines[1].deviation)
    assert [line.judgement.verdict for line in lines] == ["contradicted", "supported"]
    (svg,) = Scoreboard(lines).figures()
    worse, same = (FigureReader(svg).mark(f"{number} small") for number in (1, 2))
    assert worse.points[0][0] < same.points[0][0]
    assert "contradicted" in worse.tooltip


def test_several_studies_and_no_names_write_each_page_and_the_index(
    usual_store: StoredStudy,
    half_done: StoredStudy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lab: Lab,
) -> None:
    home = tmp_path / "home"
    for stored in (usual_store, half_done):
        shutil.copytree(stored.home, home, dirs_exist_ok=True)
    monkeypatch.setattr("reports.pages.study.render_study", lambda judged, *_: f"page of {judged.study.name}")
    requests: list[list[str]] = [[], ["small", "<b>half"]]
    for names in requests:
        out = tmp_path / "out" / str(len(names))
        value = json.loads(lab("report", *names, "--home", home, "--out", out, "--json").stdout)
        assert value["index"] == str(out / "index.html")
        assert {name: len(verdicts) for name, verdicts in value["pages"].items()} == {
            "small-cpu.html": 2,
            "<b>half-cpu.html": 2,
        }
        assert (out / "small-cpu.html").read_text() == "page of small"
        assert "lab report" in (out / "index.html").read_text()


def test_an_index_of_studies_that_never_ran_says_so() -> None:
    chapter = IndexChapter("Section 4", "", [], {"star": "lab study run star --scale gpu"})
    text = PageReader(render_index(StudyIndex("All", "Does it help?", [chapter], ["star"], {}))).text
    assert "No study has run yet." in text
    assert "lab study run star --scale gpu" in text


def test_ids_are_unique_and_the_figure_has_a_description(page: str) -> None:
    ids = [attributes["id"] for _, attributes in PageReader(page).tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    description = re.search(r"<desc[^>]*>([^<]*)</desc>", page)
    assert description is not None
    assert "1 small: helps: +0.450" in description[1]
    assert "4 &lt;b&gt;half: same: not tested" in description[1]


def test_a_collection_is_an_index_by_chapters_that_names_what_never_ran(
    store: StudyStore, tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.pages.study.render_study", lambda *_: "a page")
    stored = store(name="induction-quick")
    stored.folder.write_study(
        stored.folder.read_study().model_copy(update={"source": catalog_source("induction-quick")})
    )
    home = stored.home
    output = lab("report", "paper", "--home", home, "--out", tmp_path)
    assert output.returncode == 0
    absent, total, _ = output.stdout.splitlines()[-3:]
    names = [member.study for member in load_collection("paper").members if member.study != "induction-quick"]
    assert absent == f"not run here: {', '.join(names)}"
    assert (
        total == "1 study, 28 runs, 2 claims: 2 supported, 0 contradicted, 0 negligible, 0 inconclusive, 0 not tested"
    )
    text = PageReader((tmp_path / "index.html").read_text()).text
    declaration = load_collection("paper").declaration
    assert declaration.question in text
    for chapter in declaration.chapters:
        assert f"{chapter.title} {chapter.text}" in text
        for member in chapter.studies:
            assert member.study == "induction-quick" or f"{member.study}: lab study run {member.study}" in text
    assert "lab report paper --scale cpu" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "induction-quick-cpu.html"]
