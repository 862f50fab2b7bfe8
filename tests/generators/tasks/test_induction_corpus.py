"""Windows of real tales with new names: the oracle agrees with every scored token, and held-out names are new."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from generators.task import Batch
from generators.tasks.induction_corpus import InductionCorpus
from tests.generators.corpora import invented_tales, name_positions, tales_config, without_cut_words, write_tales

WORD = r"[^\W\d_]+(?:-[^\W\d_]+)*"

# ---- what is scored


def test_the_oracle_answers_at_the_scored_positions_and_only_there(
    tales_task: InductionCorpus, held_out: Batch
) -> None:
    answers = tales_task.oracle(held_out)
    assert ((answers >= 0) == held_out.scored).all()
    assert (answers[held_out.scored] == held_out.tokens[held_out.scored]).all()
    assert held_out.scored.any(axis=1).all()
    assert held_out.scored.sum() > 1.5 * len(held_out)


def test_the_oracle_contradicts_names_that_recur_with_another_second_token(
    tales_task: InductionCorpus, held_out: Batch
) -> None:
    prepared = tales_task.prepared
    tokens = held_out.tokens.copy()
    for row, position in np.argwhere(held_out.scored):
        allowed = prepared.seconds[prepared.pairs[prepared.firsts == tokens[row, position - 1]][0]]
        tokens[row, position] = allowed[allowed != tokens[row, position]][0]
    answers = tales_task.oracle(replace(held_out, tokens=tokens))
    assert (answers[held_out.scored] == tokens[held_out.scored]).mean() < 0.01


def test_every_mention_is_numbered_and_all_but_the_first_of_each_name_are_scored(
    tales_task: InductionCorpus, held_out: Batch
) -> None:
    for tokens, scored, mention in zip(
        held_out.tokens.tolist(), held_out.scored, held_out.labels["mention"], strict=True
    ):
        names = name_positions(tales_task, tokens)
        assert len(names) >= 2
        later_mentions = sorted(position for positions in names.values() for position in positions[1:])
        assert later_mentions == np.flatnonzero(scored).tolist()
        mentions = sorted(position for positions in names.values() for position in positions)
        assert mentions == np.flatnonzero(mention).tolist()
        assert mention[mention > 0].tolist() == list(range(1, 1 + len(mentions)))


# ---- names


def test_the_encoder_splits_every_name_into_the_same_two_tokens(tales_task: InductionCorpus, held_out: Batch) -> None:
    compared = 0
    for tokens in held_out.tokens[:100]:
        window = without_cut_words(tales_task, tokens)
        assert tales_task.prepared.encoder.encode(tales_task.text(np.array(window))).ids == window
        for first, positions in name_positions(tales_task, window).items():
            compared += len(positions)
            name = tales_task.text(np.array([first, window[positions[0]]]))
            assert name[0] == " "
            assert name[1:].isalpha()
            assert name[1:].istitle()
    assert compared > 250


def test_a_held_out_window_differs_from_its_tale_only_in_its_names_replaced_at_every_mention(
    tales_task: InductionCorpus, held_out: Batch
) -> None:
    tales = [pair for split in ("validation", "test") for pair in tales_with_names(tales_task, split)]
    for tokens in held_out.tokens[:100]:
        window = without_cut_words(tales_task, tokens)
        assert "  " not in tales_task.text(np.array(window))
        pattern, first_tokens = pattern_of(tales_task, window)
        matches = [(match, names) for tale, names in tales if (match := re.search(pattern, tale))]
        assert len(matches) == 1
        match, names = matches[0]
        originals = Counter(word for word in re.findall(WORD, match.group()) if word in names)
        assert len(set(match.groupdict().values())) == len(set(first_tokens))
        assert originals == Counter(match[f"n{first}"] for first in first_tokens)


def tales_with_names(task: InductionCorpus, split: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    return zip(task.prepared.tales[split], task.prepared.names[split], strict=True)


def pattern_of(task: InductionCorpus, window: list[int]) -> tuple[str, list[int]]:
    """Returns a regular expression of a window with a group for each name, and the first token of each mention."""
    mentions = {position: first for first, positions in name_positions(task, window).items() for position in positions}
    pattern, start, first_tokens = "", 0, []
    for position, first in sorted(mentions.items()):
        pattern += re.escape(task.text(np.array(window[start : position - 1])))
        # After a quotation mark the tale has no space where the new name has one.
        pattern += f" ?(?P=n{first})" if first in first_tokens else rf" ?(?P<n{first}>{WORD})"
        first_tokens.append(first)
        start = position + 1
    return pattern + re.escape(task.text(np.array(window[start:]))), first_tokens


def test_names_of_a_window_share_no_token_and_their_first_tokens_occur_nowhere_else(
    tales_task: InductionCorpus, held_out: Batch
) -> None:
    for tokens in held_out.tokens.tolist():
        names = name_positions(tales_task, tokens)
        seconds = [{tokens[position] for position in positions} for positions in names.values()]
        assert all(len(second) == 1 for second in seconds)
        assert len(set.union(*seconds)) == len(names)
        for first, positions in names.items():
            elsewhere = [n for n, token in enumerate(tokens[:-1]) if token == first and n + 1 not in positions]
            assert not elsewhere


def test_names_of_held_out_windows_never_occur_in_training_but_their_parts_do(
    tales_task: InductionCorpus, held_out: Batch
) -> None:
    codes = tales_task.prepared.codes["train"]
    training_pairs = {pair for tale in codes for pair in pairwise(tale.tolist())}
    counts = np.bincount(np.concatenate(codes), minlength=len(tales_task.vocabulary))
    names = {
        (first, tokens[position])
        for tokens in held_out.tokens.tolist()
        for first, positions in name_positions(tales_task, tokens).items()
        for position in positions
    }
    assert len(names) > 100
    assert not names & training_pairs
    assert min(counts[token] for name in names for token in name) >= 10


def test_each_sample_draws_new_names(tales_task: InductionCorpus) -> None:
    batch = tales_task.batch("test", np.arange(400))
    names = [
        frozenset((first, tokens[positions[0]]) for first, positions in name_positions(tales_task, tokens).items())
        for tokens in batch.tokens.tolist()
    ]
    assert len(set(names)) > 350, "two of 400 samples share all their names only by chance"


@pytest.mark.parametrize("names", [1, 2, 3])
def test_held_out_windows_have_at_least_names_per_window_names(tales_file: str, names: int) -> None:
    task = InductionCorpus(tales_config(tales_file, names_per_window=names, length_tokens=24))
    counts = [len(name_positions(task, tokens)) for tokens in task.batch("test", np.arange(300)).tokens.tolist()]
    assert min(counts) == names


@pytest.mark.parametrize(
    ("tales", "sentences", "changes", "first_tokens"),
    [
        (60, 30, {"vocabulary_tokens": 320, "name_mentions": 20}, 2),
        (200, 12, {"vocabulary_tokens": 440}, 6),
    ],
)
def test_a_vocabulary_with_few_name_tokens_is_enough_for_every_window(
    tales: int, sentences: int, changes: dict[str, object], first_tokens: int, tmp_path: Path
) -> None:
    corpus = write_tales(tmp_path / "tales.txt", invented_tales(tales, sentences))
    task = InductionCorpus(tales_config(corpus, **changes))
    assert len(task.prepared.firsts) == first_tokens
    assert (task.prepared.pairs.sum(axis=1) >= first_tokens).all()
    batch = task.batch("test", np.arange(1000))
    counts = {len(name_positions(task, tokens)) for tokens in batch.tokens.tolist()}
    assert counts == {2, *range(3, min(first_tokens, 3) + 1)}


# ---- shortcuts


def test_shortcuts_guess_as_worked_out_by_hand(tales_task: InductionCorpus) -> None:
    stories = ["AABABC", "ABCBCA"]
    tokens = np.array([[part for name in story for part in (0, "ABC".index(name) + 5)] for story in stories])
    mention = np.where(tokens > 0, (tokens > 0).cumsum(axis=1), 0)
    batch = Batch(tokens=tokens, loss=tokens > 0, scored=mention > 1, labels={"mention": mention})
    guesses = {name: rule(batch)[batch.scored].reshape(2, 5) for name, rule in tales_task.shortcuts.items()}
    letters = {-1: "?", 5: "A", 6: "B", 7: "C"}
    text = {name: ["".join(letters[int(guess)] for guess in row) for row in rows] for name, rows in guesses.items()}
    assert text == {
        "latest_name": ["AABAB", "ABCBC"],
        "name_before": ["?AABA", "?ABCB"],
        "frequent_name": ["AAAAA", "ABCBC"],
    }


def test_no_shortcut_is_right_for_more_than_two_thirds_of_the_answers(tales_task: InductionCorpus) -> None:
    batch = tales_task.batch("test", np.arange(400))
    scores = {name: right.mean() for name, right in tales_task.shortcut_scores(batch).items()}
    assert all(0.1 < score < 2 / 3 for score in scores.values()), scores
