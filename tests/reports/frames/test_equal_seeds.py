"""A page names the cells in which seeds began with the same weights or the same data."""

from collections.abc import Callable

import pytest

from generators.foundation.settings import Tree
from lab.run.store import RunFolder
from reports.frames.wording import cautions
from reports.pages.study import render_study
from studies.reading.judged import read_judged
from studies.reading.results import read_results
from tests.reports.pages.page_reader import PageReader
from tests.reports.stored_study import StoredStudy, StudyStore, usual_outcome

CELL = "width=16 n=2"


def change_digests(stored: StoredStudy, cell: str, seeds: tuple[int, ...], change: Callable[[Tree], object]) -> None:
    """Changes the digests in the results of some confirming runs of a cell."""
    for seed in seeds:
        folder = RunFolder(stored.home, stored.run(cell, seed).identity)
        result = folder.result()
        assert result is not None
        change(result["seed_digests"])
        folder.write_result(result)


def equal_cautions(stored: StoredStudy) -> list[str]:
    sentences = cautions(read_results(stored.home, stored.study))
    return [sentence for sentence in sentences if "not independent" in sentence]


def test_seeds_with_digests_of_their_own_raise_no_caution(usual_store: StoredStudy) -> None:
    runs = read_results(usual_store.home, usual_store.study).phase("confirm")
    assert runs["digest/initial_weights"].is_unique
    assert runs["digest/first_batch"].is_unique
    assert equal_cautions(usual_store) == []


@pytest.mark.parametrize("digest", ["initial_weights", pytest.param("first_batch", marks=pytest.mark.slow)])
def test_seeds_that_share_a_digest_are_named_on_the_page(store: StudyStore, digest: str) -> None:
    stored = store()
    change_digests(stored, CELL, (1, 2, 4), lambda digests: digests.update({digest: "equal"}))
    expected = (
        f"In {CELL} the seeds 1, 2 and 4 have the same {digest.replace('_', ' ')}: their runs are not independent, "
        "and intervals are too narrow."
    )
    assert equal_cautions(stored) == [expected]
    assert expected in PageReader(render_study(read_judged(stored.home, stored.study))).text


def test_cells_whose_seeds_have_equal_weights_only_across_cells_raise_no_caution(store: StudyStore) -> None:
    """Arms of equal shape begin with the same weights and data in each seed, so that they can be paired."""
    stored = store()
    for cell in {label for label, _ in stored.runs("confirm")}:
        for seed in range(5):
            digests = {"initial_weights": f"of seed {seed}", "first_batch": f"of seed {seed}"}
            change_digests(stored, cell, (seed,), lambda old, digests=digests: old.update(digests))  # type: ignore[misc]
    assert equal_cautions(stored) == []


def test_every_pair_of_equal_seeds_has_its_own_caution(store: StudyStore) -> None:
    stored = store()
    change_digests(stored, CELL, (0, 3), lambda digests: digests.update(initial_weights="a", first_batch="a"))
    change_digests(stored, CELL, (1, 4), lambda digests: digests.update(initial_weights="b"))
    sentences = equal_cautions(stored)
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        f"In {CELL} the seeds 0 and 3 have the same initial weights",
        f"In {CELL} the seeds 1 and 4 have the same initial weights",
        f"In {CELL} the seeds 0 and 3 have the same first batch",
    ]


def test_runs_without_digests_are_read_without_a_caution(store: StudyStore) -> None:
    stored = store()
    for cell in {label for label, _ in stored.runs("confirm")}:
        change_digests(stored, cell, tuple(range(5)), lambda digests: digests.clear())
    assert equal_cautions(stored) == []
    assert read_judged(stored.home, stored.study).judgements == stored.judgements


def test_runs_that_do_not_count_raise_no_caution(store: StudyStore) -> None:
    stored = store(lambda cell, phase, number: "it failed" if number == 4 else usual_outcome(cell, phase, number))
    change_digests(stored, CELL, (3,), lambda digests: digests.update(initial_weights="equal"))
    folder = RunFolder(stored.home, stored.run(CELL, 4).identity)
    folder.write_result({**(folder.result() or {}), "seed_digests": {"initial_weights": "equal"}})
    assert equal_cautions(stored) == []
