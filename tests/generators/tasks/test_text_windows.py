"""Windows of text: held-out windows occur nowhere else, epochs are complete, shortcuts follow training counts."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from generators.material import windows
from generators.material.documents import Documents
from generators.material.windows import SplitTokens, TokenizedDocuments, fixed_windows, occurs, tiles
from generators.tasks.text import Text
from tests.generators.corpora import SPLITS, split_documents, split_rows, text_config

# ---- held-out windows


def test_no_held_out_window_occurs_in_training_or_twice(text_folder: Path) -> None:
    task = Text(text_config(text_folder))
    train = split_documents(task, "train")
    seen: set[bytes] = set()
    dropped = 0
    for split in ("validation", "test"):
        count = len(fixed_windows(task.corpus, split, 32)[0])
        dropped += len(tiles(task.corpus.splits[split], 32)[0]) - count
        drawn = Text(text_config(text_folder, **{f"{split}_samples": count})).batch(split, np.arange(count))
        whole = [bytes(tokens.tolist()) for tokens in drawn.tokens if tokens[-1] != task.padding]
        assert len(whole) > 100
        assert not any(window in document for window in whole for document in train)
        assert not seen & set(whole)
        seen |= set(whole)
        assert len({tokens.tobytes() for tokens in drawn.tokens}) == count
    held_out = len(split_documents(task, "test")) + len(split_documents(task, "validation"))
    assert dropped >= held_out / 2, "the tales end alike, so windows of their ends have to be dropped"


def corpus_of_digits(train: list[list[int]], validation: list[list[int]], test: list[list[int]]) -> TokenizedDocuments:
    """Returns a corpus of documents whose tokens are 0 to 9."""
    splits = {}
    for split, rows in {"train": train, "validation": validation, "test": test}.items():
        sizes = np.array([len(row) for row in rows])
        splits[split] = SplitTokens(np.array(sum(rows, []), np.uint8), sizes.cumsum() - sizes, sizes, 0)  # noqa: RUF017
    return TokenizedDocuments(Documents((), ""), tuple("0123456789-"), splits)


def test_a_window_of_validation_is_neither_in_training_nor_in_test_nor_repeated() -> None:
    # Adjacent windows of 3: 123 is in test, 312 in training, 238 is new and then repeated, 55 a short document.
    corpus = corpus_of_digits([[7, 3, 1, 2]], [[1, 2, 3, 1, 2, 3, 8], [2, 3, 8], [5, 5]], [[0, 1, 2, 3]])
    documents, places = fixed_windows(corpus, "validation", 3)
    assert list(zip(documents.tolist(), places.tolist(), strict=True)) == [(0, 4), (2, 0)]
    assert fixed_windows(corpus, "test", 3)[1].tolist() == [0, 1]


@settings(max_examples=60, deadline=None)
@given(
    row=st.lists(st.integers(0, 2), min_size=0, max_size=80),
    length=st.integers(1, 6),
    at_once=st.integers(1, 30),
    seed=st.integers(0, 9),
)
def test_occurs_agrees_with_a_search_of_the_row(row: list[int], length: int, at_once: int, seed: int) -> None:
    sought = np.random.default_rng(seed).integers(3, size=(20, length), dtype=np.uint8)
    before, windows.HASHED_AT_ONCE = windows.HASHED_AT_ONCE, at_once
    try:
        occurring = occurs(sought, np.array(row, np.uint8))
    finally:
        windows.HASHED_AT_ONCE = before
    assert occurring.tolist() == [bytes(window) in bytes(row) for window in sought.tolist()]


# ---- fixed sets and endless training


def test_adjacent_windows_have_each_target_once_except_where_a_document_ends(text_task: Text) -> None:
    for split in SPLITS:
        tokens = text_task.corpus.splits[split]
        documents, places = tiles(tokens, text_task.length)
        targets = Counter[tuple[int, int]]()
        for document, place in zip(documents.tolist(), places.tolist(), strict=True):
            end = min(place + text_task.length, int(tokens.sizes[document]))
            targets.update((document, target) for target in range(place + 1, end))
            if document >= 20:
                break
        for document, size in enumerate(tokens.sizes.tolist()[:20]):
            counts = [targets[document, target] for target in range(1, size)]
            assert set(counts) <= {1, 2}
            assert 2 not in counts[: -text_task.length + 1]
            assert counts.count(2) < text_task.length - 1


def test_every_epoch_reads_the_whole_training_set_and_smaller_sets_are_subsets(text_folder: Path) -> None:
    def epoch_of(samples: int, epoch: int, seed: int = 0) -> list[tuple[int, ...]]:
        task = Text(text_config(text_folder, training_samples=samples))
        drawn = task.batch("train", np.arange(samples) + epoch * samples, seed)
        return [tuple(tokens) for tokens in drawn.tokens.tolist()]

    assert len(set(epoch_of(60, 0))) == 60
    assert sorted(epoch_of(60, 0)) == sorted(epoch_of(60, 3)) == sorted(epoch_of(60, 0, seed=1))
    assert epoch_of(60, 0) != epoch_of(60, 3)
    assert epoch_of(60, 0) != epoch_of(60, 0, seed=1)
    assert set(epoch_of(30, 0)) < set(epoch_of(60, 0))


def test_endless_training_draws_documents_by_length_and_starts_anywhere_in_them(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(12):
        letters = random.choice(list("abcdefgh"), 20 if number == 0 else 1 + 30 * number)
        (tmp_path / f"{number}.txt").write_text("".join(letters))
    task = Text(text_config(tmp_path, length_tokens=31, test_samples=1, validation_samples=1))
    train = {number: text for number, text in enumerate(task.corpus.documents.texts) if number >= 2}
    starts: dict[int, Counter[int]] = {number: Counter() for number in train}
    batch = task.batch("train", np.arange(20_000))
    for number, tokens in zip(batch.labels["document"][:, 0].tolist(), batch.tokens, strict=True):
        starts[number][train[number].find(task.text(tokens))] += 1
    # A document of 1 + 30 k tokens has k windows of 30 targets; one shorter than a window counts as one.
    shares = np.array([max(1, len(text) // 30) for text in train.values()])
    drawn = np.array([starts[number].total() for number in train])
    assert chisquare(drawn, 20_000 * shares / shares.sum()).pvalue > 1e-4
    for number, text in train.items():
        places = [starts[number][place] for place in range(max(1, len(text) - 30))]
        assert sum(places) == starts[number].total()
        assert min(places) > 0
        assert len(places) == 1 or chisquare(places).pvalue > 1e-5


# ---- shortcuts


def test_shortcuts_predict_the_most_frequent_tokens_of_training(folder_task: Text) -> None:
    train = [row.tolist() for row in split_rows(folder_task, "train")]
    frequency = Counter(token for row in train for token in row)
    followers: dict[int, Counter[int]] = {}
    for row in train:
        for before, here in pairwise(row):
            followers.setdefault(before, Counter())[here] += 1
    batch = folder_task.batch("test", np.arange(20))
    unigram, bigram = folder_task.unigram(batch), folder_task.bigram(batch)
    assert frequency[int(unigram[0, 0])] == max(frequency.values())
    assert (unigram == unigram[0, 0]).all()
    assert (bigram[:, 0] == -1).all()
    for tokens, guesses in zip(batch.tokens.tolist(), bigram.tolist(), strict=True):
        for before, guess in zip(tokens[:-1], guesses[1:], strict=True):
            counts = followers.get(before)
            assert counts[guess] == max(counts.values()) if counts else guess == -1


def test_bigrams_score_above_unigrams_and_both_score_low(text_task: Text) -> None:
    scores = {
        name: right.mean() for name, right in text_task.shortcut_scores(text_task.batch("test", np.arange(50))).items()
    }
    assert 0.01 < scores["unigram"] < scores["bigram"] < 0.6


def test_successors_are_counted_within_documents_and_ties_go_to_the_smallest_token() -> None:
    corpus = corpus_of_digits([[1, 2, 1, 3], [4, 2], [4, 3, 5, 3, 6, 3, 7, 3, 7]], [[0]], [[0]])
    # 1 is followed by 2 and by 3 once each; 2 by 1, and by the end of a document; 3 by 5, 6 and twice by 7.
    assert corpus.successors.tolist() == [-1, 2, 1, 7, 2, 3, 3, 3, -1, -1, -1]
    assert corpus_of_digits([[1, 2], [1, 2], [1, 2]], [[0]], [[0]]).successors.tolist()[:3] == [-1, 2, -1]
    assert corpus.commonest == 3
