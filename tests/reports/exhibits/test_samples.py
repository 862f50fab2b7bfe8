"""The page shows stored samples, repeats colours in words or shapes, and has no section without stored samples."""

import json
import re
from html import unescape

import pytest

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.analysis.measure_store import result_path
from lab.run.files import json_bytes
from reports.frames.samples import read_samples
from reports.frames.wording import run_name
from reports.pages.study import render_study
from studies.reading.judged import read_judged
from studies.reading.results import read_results
from tests.reports.stored_study import StoredStudy, StudyStore


def draft(place: int, text: str, head: int, forward: int | None = None, refused: int | None = None) -> Tree:
    row = {"part": "draft", "sample": 0, "place": place, "text": text, "head": head, "forward": forward}
    return row | {"refused": refused}


def loss(
    place: int, text: str, kind: str, losses: tuple[float | None, float | None], weight: int | None = None
) -> Tree:
    row = {"part": "loss", "sample": 0, "place": place, "text": text, "class": kind, "scored": kind == "decided"}
    return row | {"loss_1": losses[0], "loss_2": losses[1], "weight": weight}


DRAFTS = [
    draft(5, "<b>", 0),
    draft(6, " one", 1, 1),
    draft(7, " two", 2, 1),
    draft(8, " line\n", 1, 2, refused=3),
]
LOSSES = [
    loss(0, "C0", "filler", (None, None)),
    loss(1, " a1", "consequential choice", (2.4, None), weight=3),
    loss(2, " a2", "decided", (0.1, 1.3)),
]


def store_samples(stored: StoredStudy, cell: str, rows: list[Tree]) -> str:
    """Stores samples of the first run of a cell, and returns its identity."""
    run = stored.run(cell, 0).identity
    tree = {"analysis": "samples", "measures": {"tokens_per_forward": 1.5}, "rows": rows}
    result_path(stored.home, run, "best", "samples").write_bytes(json_bytes(tree))
    return run


def page_of(stored: StoredStudy) -> str:
    return render_study(read_judged(stored.home, stored.study))


@pytest.fixture(scope="module")
def sampled(store: StudyStore) -> tuple[StoredStudy, str]:
    """A study with samples of three runs, and the identity of the run that the page shows."""
    stored = store()
    store_samples(stored, "width=16 n=1", LOSSES)
    store_samples(stored, "width=8 n=2", [*DRAFTS, *LOSSES])
    return stored, store_samples(stored, "width=16 n=2", [*DRAFTS, *LOSSES])


@pytest.fixture(scope="module")
def page(sampled: tuple[StoredStudy, str]) -> str:
    return page_of(sampled[0])


def test_a_study_without_samples_has_no_section_of_them(usual_store: StoredStudy) -> None:
    assert read_samples(read_results(usual_store.home, usual_store.study)) is None
    assert "<h2>Samples</h2>" not in page_of(usual_store)


def test_the_last_cell_with_the_most_drafting_heads_is_shown(sampled: tuple[StoredStudy, str]) -> None:
    stored, run = sampled
    samples = read_samples(read_results(stored.home, stored.study))
    assert samples is not None
    assert (run_name(samples.run), samples.run["run"]) == ("width=16 n=2, seed 0", run)


def test_the_head_that_proposed_a_token_is_shown_by_line_number_and_words(page: str) -> None:
    (line,) = re.findall(r'<div class="tokens"><span class="prompt">.*?</div>', page, flags=re.DOTALL)
    assert unescape(re.sub(r"<[^>]*>", "", line)) == "<b> one two2 ×line↵\n"
    assert line.count('class="pass"') == 2
    assert '<span class="t h2" title="proposed by head 2, accepted">two<sup>2</sup></span>' in line
    assert 'title="from head 1; head 3 had proposed another"><i>×</i>line' in line
    assert "3 tokens in 2 passes, 1.50 per pass; 1 proposal rejected." in page
    for legend in ("head 1", "proposed by head 2<sup>2</sup>", "after a rejected proposal"):
        assert legend in page


def test_losses_are_shaded_by_size_choices_are_marked_and_a_table_holds_all(page: str) -> None:
    first, second = re.findall(r'aria-label="Sample 1, head \d">.*?</div>', page)
    choice = '<span class="t l5" title="2.400 nats; consequential choice, 3 predictions"><i>◆</i>a1<sup>3</sup></span>'
    assert choice in first
    assert 'class="t l0 scored" title="0.100 nats; decided">a2' in first
    assert 'class="t l3 scored" title="1.300 nats; decided">a2' in second
    assert 'class="t none" title="consequential choice, 3 predictions"><i>◆</i>a1' in second
    assert "2.0 to 2.4 nats" in page
    table = page[page.index("Loss at every token shown, in nats</caption>") :]
    rows = re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)[:4]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    assert cells[2] == ["0", "1", "a1", "consequential choice", "2.400", "–", "3"]


def test_a_page_has_the_same_bytes_again_without_weights(sampled: tuple[StoredStudy, str], page: str) -> None:
    stored, _ = sampled
    assert not list(stored.home.rglob("*.safetensors"))
    assert page_of(stored) == page


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"rows": 3}', json.dumps({"rows": [{"part": "draft"}]}).encode()])
def test_a_damaged_file_of_samples_is_named(sampled: tuple[StoredStudy, str], content: bytes) -> None:
    stored, run = sampled
    results, path = read_results(stored.home, stored.study), result_path(stored.home, run, "best", "samples")
    whole = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{run}/analysis-samples-best.json: not samples of a run; delete it"):
        read_samples(results)
    path.write_bytes(whole)
