"""Windows of texts: none is held out that training has, none is left out of an epoch; and what training has most."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from generators.material import windows
from generators.material.documents import Documents
from generators.material.windows import SplitTokens, TokenizedDocuments, fixed_windows, occurs, tiles
from generators.tasks.text import Text
from tests.generators.texts import SPLITS, built, documents_of, rows_of, small, written_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_folder(tmp_path_factory.mktemp("tales"))


@pytest.fixture(scope="module", params=["bytes", "bpe", "stdlib"])
def task(request: pytest.FixtureRequest, folder: Path) -> Text:
    return built(folder, request.param)


@pytest.fixture(scope="module", params=["bytes", "bpe"])
def tales(request: pytest.FixtureRequest, folder: Path) -> Text:
    return built(folder, request.param)


# ---- held-out windows


def test_no_held_out_window_stands_in_training_or_twice(folder: Path) -> None:
    task = Text(small(folder))
    train = documents_of(task, "train")
    seen: set[bytes] = set()
    left_out = 0
    for split in ("validation", "test"):
        count = len(fixed_windows(task.corpus, split, 32)[0])
        left_out += len(tiles(task.corpus.splits[split], 32)[0]) - count
        drawn = Text(small(folder, **{f"{split}_samples": count})).batch(split, np.arange(count))
        whole = [bytes(tokens.tolist()) for tokens in drawn.tokens if tokens[-1] != task.padding]
        assert len(whole) > 100
        assert not any(window in document for window in whole for document in train)
        assert not seen & set(whole)
        seen |= set(whole)
        assert len({tokens.tobytes() for tokens in drawn.tokens}) == count
    held_out = len(documents_of(task, "test")) + len(documents_of(task, "validation"))
    assert left_out >= held_out / 2, "the tales end alike, so windows of their ends had to be left out"


def by_hand(train: list[list[int]], validation: list[list[int]], test: list[list[int]]) -> TokenizedDocuments:
    """A library of these documents, whose tokens are less than 10."""
    shelves = {}
    for split, rows in {"train": train, "validation": validation, "test": test}.items():
        sizes = np.array([len(row) for row in rows])
        shelves[split] = SplitTokens(np.array(sum(rows, []), np.uint8), sizes.cumsum() - sizes, sizes, 0)  # noqa: RUF017
    return TokenizedDocuments(Documents((), ""), tuple("0123456789-"), shelves)


def test_a_window_of_validation_is_neither_in_training_nor_in_test_nor_there_before() -> None:
    # Windows of 3 side by side: 123 is in test, 312 in training, 238 new and then there before, 55 a short document.
    library = by_hand([[7, 3, 1, 2]], [[1, 2, 3, 1, 2, 3, 8], [2, 3, 8], [5, 5]], [[0, 1, 2, 3]])
    documents, places = fixed_windows(library, "validation", 3)
    assert list(zip(documents.tolist(), places.tolist(), strict=True)) == [(0, 4), (2, 0)]
    assert fixed_windows(library, "test", 3)[1].tolist() == [0, 1]


@settings(max_examples=60, deadline=None)
@given(
    row=st.lists(st.integers(0, 2), min_size=0, max_size=80),
    length=st.integers(1, 6),
    at_once=st.integers(1, 30),
    seed=st.integers(0, 9),
)
def test_whether_a_window_occurs_is_found_as_by_looking(row: list[int], length: int, at_once: int, seed: int) -> None:
    sought = np.random.default_rng(seed).integers(3, size=(20, length), dtype=np.uint8)
    before, windows.HASHED_AT_ONCE = windows.HASHED_AT_ONCE, at_once
    try:
        found = occurs(sought, np.array(row, np.uint8))
    finally:
        windows.HASHED_AT_ONCE = before
    assert found.tolist() == [bytes(window) in bytes(row) for window in sought.tolist()]


# ---- fixed sets and endless training


def test_the_windows_of_a_fixed_set_hold_each_target_once_but_where_a_document_ends(task: Text) -> None:
    for split in SPLITS:
        shelf = task.corpus.splits[split]
        documents, places = tiles(shelf, task.length)
        targets = Counter[tuple[int, int]]()
        for document, place in zip(documents.tolist(), places.tolist(), strict=True):
            end = min(place + task.length, int(shelf.sizes[document]))
            targets.update((document, target) for target in range(place + 1, end))
            if document >= 20:
                break
        for document, size in enumerate(shelf.sizes.tolist()[:20]):
            counts = [targets[document, target] for target in range(1, size)]
            assert set(counts) <= {1, 2}
            assert 2 not in counts[: -task.length + 1]
            assert counts.count(2) < task.length - 1


def test_a_fixed_training_set_is_read_whole_in_each_epoch_and_a_smaller_one_is_part_of_it(folder: Path) -> None:
    def read(samples: int, epoch: int, seed: int = 0) -> list[tuple[int, ...]]:
        task = Text(small(folder, training_samples=samples))
        drawn = task.batch("train", np.arange(samples) + epoch * samples, seed)
        return [tuple(tokens) for tokens in drawn.tokens.tolist()]

    assert len(set(read(60, 0))) == 60
    assert sorted(read(60, 0)) == sorted(read(60, 3)) == sorted(read(60, 0, seed=1))
    assert read(60, 0) != read(60, 3)
    assert read(60, 0) != read(60, 0, seed=1)
    assert set(read(30, 0)) < set(read(60, 0))


def test_endless_training_begins_anywhere_in_a_document_that_is_drawn_by_its_length(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(12):
        letters = random.choice(list("abcdefgh"), 20 if number == 0 else 1 + 30 * number)
        (tmp_path / f"{number}.txt").write_text("".join(letters))
    task = Text(small(tmp_path, length_tokens=31, test_samples=1, validation_samples=1))
    train = {number: text for number, text in enumerate(task.corpus.documents.texts) if number >= 2}
    starts: dict[int, Counter[int]] = {number: Counter() for number in train}
    batch = task.batch("train", np.arange(20_000))
    for number, tokens in zip(batch.labels["document"][:, 0].tolist(), batch.tokens, strict=True):
        starts[number][train[number].find(task.text(tokens))] += 1
    # A document of 1 + 30 k tokens has k windows of 30 targets, one shorter than a window counts as one.
    shares = np.array([max(1, len(text) // 30) for text in train.values()])
    drawn = np.array([starts[number].total() for number in train])
    assert chisquare(drawn, 20_000 * shares / shares.sum()).pvalue > 1e-4
    for number, text in train.items():
        places = [starts[number][place] for place in range(max(1, len(text) - 30))]
        assert sum(places) == starts[number].total()
        assert min(places) > 0
        assert len(places) == 1 or chisquare(places).pvalue > 1e-5


# ---- the rules a score is read against


def test_shortcuts_say_what_training_has_most_often(tales: Text) -> None:
    train = [row.tolist() for row in rows_of(tales, "train")]
    alone = Counter(token for row in train for token in row)
    behind: dict[int, Counter[int]] = {}
    for row in train:
        for before, here in pairwise(row):
            behind.setdefault(before, Counter())[here] += 1
    batch = tales.batch("test", np.arange(20))
    unigram, bigram = tales.unigram(batch), tales.bigram(batch)
    assert alone[int(unigram[0, 0])] == max(alone.values())
    assert (unigram == unigram[0, 0]).all()
    assert (bigram[:, 0] == -1).all()
    for tokens, guesses in zip(batch.tokens.tolist(), bigram.tolist(), strict=True):
        for before, guess in zip(tokens[:-1], guesses[1:], strict=True):
            counts = behind.get(before)
            assert counts[guess] == max(counts.values()) if counts else guess == -1


def test_the_bigram_rule_is_right_more_often_than_the_unigram_rule_and_seldom(task: Text) -> None:
    scores = {name: right.mean() for name, right in task.shortcut_scores(task.batch("test", np.arange(50))).items()}
    assert 0.01 < scores["unigram"] < scores["bigram"] < 0.6


def test_what_follows_most_often_is_counted_within_documents_and_of_equals_the_first_is_taken() -> None:
    library = by_hand([[1, 2, 1, 3], [4, 2], [4, 3, 5, 3, 6, 3, 7, 3, 7]], [[0]], [[0]])
    # 1 is followed by 2 and by 3 once each; 2 by 1, and by the end of a document; 3 by 5, 6 and twice by 7.
    assert library.successors.tolist() == [-1, 2, 1, 7, 2, 3, 3, 3, -1, -1, -1]
    assert by_hand([[1, 2], [1, 2], [1, 2]], [[0]], [[0]]).successors.tolist()[:3] == [-1, 2, -1]
    assert library.commonest == 3
