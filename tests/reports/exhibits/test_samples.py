"""The page shows the samples that are stored, each mark in words and shape too, and nothing where none are."""

import json
import re
from html import unescape

import pytest

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.analysis.measure_store import place_of
from lab.run.files import json_bytes
from reports.exhibits.samples import read_samples
from reports.frames.results import read_results
from reports.pages.study import render
from studies.judging.judge import judge
from studies.ledger.scores import confirmed
from tests.reports.conftest import Store, Stored, ledger
from tests.studies.conftest import cells_of


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


def put(stored: Stored, cell: str, rows: list[Tree]) -> str:
    """Samples of the first run of a cell; its identity."""
    (entries,) = [each["entries"] for each in ledger(stored) if each["cell"] == cell]
    run = next(str(each["run"]) for each in entries if (each["phase"], each["seed"]) == ("confirm", 0))
    tree = {"analysis": "samples", "measures": {"tokens_per_forward": 1.5}, "rows": rows}
    place_of(stored.home, run, "best", "samples").write_bytes(json_bytes(tree))
    return run


def page_of(stored: Stored) -> str:
    results = read_results(stored.home, stored.study)
    return render(results, judge(stored.study, confirmed(cells_of(stored.home, stored.study))), stored.home)


@pytest.fixture(scope="module")
def shown(store: Store) -> tuple[Stored, str]:
    stored = store()
    put(stored, "width=16 n=1", LOSSES)
    put(stored, "width=8 n=2", [*DRAFTS, *LOSSES])
    return stored, put(stored, "width=16 n=2", [*DRAFTS, *LOSSES])


@pytest.fixture(scope="module")
def page(shown: tuple[Stored, str]) -> str:
    return page_of(shown[0])


def test_a_study_without_samples_says_nothing_of_them(usual_store: Stored) -> None:
    assert read_samples(read_results(usual_store.home, usual_store.study), usual_store.home) is None


def test_the_last_cell_with_the_most_drafting_heads_is_shown(shown: tuple[Stored, str]) -> None:
    stored, run = shown
    samples = read_samples(read_results(stored.home, stored.study), stored.home)
    assert samples is not None
    assert (samples.run, samples.identity) == ("width=16 n=2, seed 0", run)


def test_who_proposed_a_token_is_told_by_line_number_and_words(page: str) -> None:
    (line,) = re.findall(r'<div class="tokens"><span class="prompt">.*?</div>', page, flags=re.DOTALL)
    assert unescape(re.sub(r"<[^>]*>", "", line)) == "<b> one two2 ×line↵\n"
    assert line.count('class="pass"') == 2
    assert '<span class="t h2" title="proposed by head 2, and stood">two<sup>2</sup></span>' in line
    assert 'title="given by head 1; head 3 had proposed another"><i>×</i>line' in line
    assert "3 tokens in 2 passes, 1.50 a pass; 1 of the proposals did not stand." in page
    for legend in ("head 1", "proposed by head 2<sup>2</sup>", "a proposal before it did not stand"):
        assert legend in page


def test_losses_are_shaded_by_size_choices_marked_and_all_of_it_in_a_table(page: str) -> None:
    first, second = re.findall(r'aria-label="Sample 1, head \d">.*?</div>', page)
    marked = (
        '<span class="t l5" title="2.400 nats; consequential choice, counted 3 times"><i>◆</i>a1<sup>3</sup></span>'
    )
    assert marked in first
    assert 'class="t l0 scored" title="0.100 nats; decided">a2' in first
    assert 'class="t l3 scored" title="1.300 nats; decided">a2' in second
    assert 'class="t none" title="consequential choice, counted 3 times"><i>◆</i>a1' in second
    assert "2.0 to 2.4 nats" in page
    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index("Loss at every token shown") :], flags=re.DOTALL)[:4]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    assert cells[2] == ["0", "1", "a1", "consequential choice", "2.400", "–", "3"]


def test_a_page_is_the_same_bytes_again_without_weights(shown: tuple[Stored, str], page: str) -> None:
    stored, _ = shown
    assert not list(stored.home.rglob("*.safetensors"))
    assert page_of(stored) == page


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"rows": 3}', json.dumps({"rows": [{"part": "draft"}]}).encode()])
def test_a_damaged_file_of_samples_is_named(shown: tuple[Stored, str], content: bytes) -> None:
    stored, run = shown
    results, path = read_results(stored.home, stored.study), place_of(stored.home, run, "best", "samples")
    whole = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{run}/analysis-samples-best.json: no samples of a run; delete it"):
        read_samples(results, stored.home)
    path.write_bytes(whole)
