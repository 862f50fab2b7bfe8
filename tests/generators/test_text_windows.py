"""Windows of texts: none is held out that training has, none is left out of an epoch; and what training has most."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from generators import windows
from generators.text import Text
from generators.windows import fixed_windows, occurs, tiles
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
        count = len(fixed_windows(task.library, split, 32)[0])
        left_out += len(tiles(task.library.shelves[split], 32)[0]) - count
        drawn = Text(small(folder, **{f"{split}_samples": count})).batch(split, np.arange(count))
        whole = [bytes(tokens.tolist()) for tokens in drawn.tokens if tokens[-1] != task.padding]
        assert len(whole) > 100
        assert not any(window in document for window in whole for document in train)
        assert not seen & set(whole)
        seen |= set(whole)
        assert len({tokens.tobytes() for tokens in drawn.tokens}) == count
    held_out = len(documents_of(task, "test")) + len(documents_of(task, "validation"))
    assert left_out >= held_out / 2, "the tales end alike, so windows of their ends had to be left out"


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
        shelf = task.library.shelves[split]
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


def test_endless_training_begins_anywhere(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(10):
        (tmp_path / f"{number}.txt").write_text("".join(random.choice(list("abcdefgh"), 130 if number else 30)))
    task = Text(small(tmp_path, length_tokens=31, test_samples=1, validation_samples=1))
    batch = task.batch("train", np.arange(8000))
    starts = Counter[tuple[int, int]]()
    for number, tokens in zip(batch.labels["document"][:, 0].tolist(), batch.tokens, strict=True):
        starts[number, task.library.documents.texts[number].find(task.text(tokens))] += 1
    train = set(range(2, 10))
    short = {number for number in train if len(task.library.documents.texts[number]) < 31}
    places = [starts[number, place] for number in train - short for place in range(100)]
    assert chisquare(places).pvalue > 1e-4
    assert sum(places) + sum(starts[number, 0] for number in short) == 8000


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
