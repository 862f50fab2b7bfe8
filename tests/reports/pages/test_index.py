"""The index says what each study's verdicts say, links to their pages, and lets no text through as markup."""

import json
import re
import shutil
from html import escape
from pathlib import Path

import numpy as np
import pytest

from reports.commands.reports import app
from reports.exhibits.scoreboard import drawn
from reports.pages.index import Chapter, Entry, Index, entry_of, judged, page_name, render
from studies.declared.collection import load_collection
from studies.declared.study import Study
from tests.reports.conftest import Store, Stored, usual
from tests.reports.drawn import Drawn
from tests.reports.pages.test_page import Reader


def entry(stored: Stored) -> Entry:
    return entry_of(*judged(stored.home, stored.study), stored.home, page_name(stored.study))


def index_of(*stored: Stored, absent: dict[str, str] | None = None) -> Index:
    entries = {(one.study.name, one.study.scale): entry(one) for one in stored}
    chapter = Chapter("Section 4", "Of induction.", [one.study for one in stored], absent or {})
    return Index("All of it", "Does it help?", [chapter], ["small", "<b>half"], entries)


@pytest.fixture(scope="module")
def half_done(store: Store) -> Stored:
    """Supported claims in markup, and a seed that has not ended."""
    late = ("width=16 n=2", "confirm", 4)
    return store(lambda *run: None if run == late else usual(*run), name="<b>half")


@pytest.fixture(scope="module")
def page(usual_store: Stored, half_done: Stored) -> str:
    return render(
        index_of(usual_store, half_done, absent={"star": "lab study run star", "far away": "lab study run 'far away'"})
    )


def test_the_first_thing_said_is_how_many_claims_hold(page: str) -> None:
    text = Reader(page).text
    assert text.index("Of 4 claims, 3 are supported and 1 is not tested.") < text.index("Scoreboard")
    assert "3 ▲ SUPPORTED 0 ▼ CONTRADICTED 0 ○ INCONCLUSIVE 1 × NOT TESTED" in text


def test_the_scoreboard_has_every_claim_with_the_papers_figure_and_ours(usual_store: Stored, page: str) -> None:
    text = Reader(page).text
    for one in judged(usual_store.home, usual_store.study)[1]:
        assert one.contrast is not None
        row = text[text.index(f"small {one.claim.text} {one.claim.paper}") :]
        ours = f"{one.contrast.difference:+.3f} accuracy on test {one.contrast.low:+.3f} to {one.contrast.high:+.3f} 5 "
        assert ours.replace("-", "\N{MINUS SIGN}") in row[:200].replace("-", "\N{MINUS SIGN}")


def test_links_are_to_pages_beside_it_and_nothing_else_is_referred_to(page: str) -> None:
    links = {attributes["href"] for tag, attributes in Reader(page).tags if tag == "a"}
    assert links == {"small-cpu.html", "%3Cb%3Ehalf-cpu.html"}
    assert "default-src 'none'" in page


def test_half_done_studies_and_those_that_never_ran_are_named(page: str) -> None:
    text = Reader(page).text
    assert "<b>half : The study is unfinished: 27 of 28 runs ended" in text
    assert "too few runs have this metric: 4 of 5 in width=16 n=2" in text
    assert "star: lab study run star far away: lab study run 'far away'" in text


def test_no_text_of_a_study_becomes_markup(half_done: Stored, page: str) -> None:
    tags = [tag for tag, _ in Reader(page).tags]
    assert tags.count("script") == 1
    assert tags.count("style") == 1
    assert not {"img", "iframe", "link", "object", "embed"} & set(tags)
    declaration = half_done.study.declaration
    for text in (declaration.title, declaration.question, declaration.claims[0].text, "<b>half"):
        assert escape(text, quote=False) in page.replace("&#34;", '"').replace("&#39;", "'")


def test_effects_are_drawn_in_standard_deviations_over_seeds_on_the_side_of_their_verdict(store: Store) -> None:
    def told(cell: str, phase: str, number: int) -> float:
        """n=2 is 0.1 worse at width 8, by 0.02 more with each seed; at width 16 the two are the same."""
        gain = -0.1 - 0.02 * number if cell == "width=8 n=2" else 0.0
        return 0.5 + 0.01 * number + gain if phase == "confirm" else 0.5

    lines = entry(store(told)).lines()
    assert lines[0].deviation == pytest.approx(0.02 * np.std(range(5), ddof=1))
    assert np.isnan(lines[1].deviation)
    assert [line.judgement.verdict for line in lines] == ["contradicted", "supported"]
    drawing = Drawn(drawn(lines))
    marks = {mark.tip: mark.points[0][0] for mark in drawing.marks}
    worse, same = (next(x for tip, x in marks.items() if tip.startswith(f"{number} small")) for number in (1, 2))
    # asinh of effect / deviation, -0.14 / 0.0316 = -4.4 for the first
    assert worse < same
    assert "contradicted" in next(tip for tip in marks if tip.startswith("1 small"))


def test_several_studies_and_none_named_write_each_page_and_the_index(
    usual_store: Stored,
    half_done: Stored,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = tmp_path / "home"
    for stored in (usual_store, half_done):
        shutil.copytree(stored.home, home, dirs_exist_ok=True)
    monkeypatch.setattr("reports.pages.study.render", lambda results, *_: f"page of {results.study.name}")
    listed: list[list[str]] = [[], ["small", "<b>half"]]
    for arguments in listed:
        out = tmp_path / "out" / str(len(arguments))
        with pytest.raises(SystemExit) as stopped:
            app(["report", *arguments, "--home", str(home), "--out", str(out), "--json"], prog_name="lab")
        assert stopped.value.code == 0
        value = json.loads(capsys.readouterr().out)
        assert value["index"] == str(out / "index.html")
        assert {name: len(verdicts) for name, verdicts in value["pages"].items()} == {
            "small-cpu.html": 2,
            "<b>half-cpu.html": 2,
        }
        assert (out / "small-cpu.html").read_text() == "page of small"
        assert "lab report" in (out / "index.html").read_text()


def test_an_index_of_studies_that_never_ran_says_so() -> None:
    studies: list[Study] = []
    index = Index(
        "All",
        "Does it help?",
        [Chapter("Section 4", "", studies, {"star": "lab study run star --scale gpu"})],
        ["star"],
        {},
    )
    text = Reader(render(index)).text
    assert "No study has run yet." in text
    assert "lab study run star --scale gpu" in text


def test_names_within_the_index_are_unique_and_its_figure_says_what_it_shows(page: str) -> None:
    names = [attributes["id"] for _, attributes in Reader(page).tags if attributes.get("id")]
    assert len(names) == len(set(names))
    description = re.search(r"<desc[^>]*>([^<]*)</desc>", page)
    assert description is not None
    assert "1 small: helps: +0.450" in description[1]
    assert "4 &lt;b&gt;half: same: not tested" in description[1]


def test_a_collection_is_an_index_by_chapters_that_names_what_never_ran(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.pages.study.render", lambda *given: "a page")
    home = store(name="quick").home
    with pytest.raises(SystemExit) as stopped:
        app(["report", "paper", "--home", str(home), "--out", str(tmp_path)], prog_name="lab")
    assert stopped.value.code == 0
    text = Reader((tmp_path / "index.html").read_text()).text
    declared = load_collection("paper").declaration
    assert declared.question in text
    for chapter in declared.chapters:
        assert f"{chapter.title} {chapter.text}" in text
        for member in chapter.studies:
            assert member.study == "quick" or f"{member.study}: lab study run {member.study}" in text
    assert "lab report paper --scale cpu" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "quick-cpu.html"]
