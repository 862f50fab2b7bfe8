"""Items: one prompt and answer for both posings, one right option, and scores worked out by hand."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from generators.foundation.errors import UserError
from generators.material.items import Items, choice_accuracy, exact_match, items, rouge_l
from generators.task import Task
from generators.tasks.induction import Induction, InductionConfig
from generators.tasks.induction_corpus import InductionCorpus
from generators.tasks.star import Star, StarConfig
from generators.tasks.text import Text, TextConfig
from tests.generators.tales import SEPARATOR, invented, small, written

KINDS = ("induction", "induction_corpus", "text bytes", "text bpe")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def task(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Task:
    path = written(tmp_path_factory.mktemp("items") / "tales.txt", invented(100))
    if kind == "induction":
        return Induction(InductionConfig(test_samples=1000, validation_samples=50))
    if kind == "induction_corpus":
        return InductionCorpus(small(path, names_per_window=3, test_samples=800))
    bpe = kind == "text bpe"
    return Text(
        TextConfig(
            corpus=path,
            separator=SEPARATOR,
            length_tokens=48,
            tokens="bpe" if bpe else "bytes",
            vocabulary_tokens=400 if bpe else None,
            test_samples=90,
            validation_samples=50,
        )
    )


@pytest.fixture(scope="module")
def options(kind: str) -> int:
    return 3 if kind == "induction_corpus" else 4


@pytest.fixture(scope="module")
def posed(task: Task, options: int) -> Items:
    return items(task, "test", options=options)


# ---- what an item is


def test_the_answer_is_among_the_options_once_and_all_options_differ(posed: Items, options: int) -> None:
    same = (posed.options == posed.answers[:, None]).all(axis=2)
    assert len(posed) >= 80
    assert posed.options.shape == (len(posed), options, posed.answers.shape[1])
    assert (same.sum(axis=1) == 1).all()
    assert (same.argmax(axis=1) == posed.right).all()
    assert all(len({option.tobytes() for option in each}) == options for each in posed.options)


def test_the_right_option_stands_at_each_place_equally_often(posed: Items, options: int) -> None:
    assert chisquare(np.bincount(posed.right, minlength=options)).pvalue > 1e-4


def test_prompt_and_answer_stand_in_a_sample_of_the_split_one_behind_the_other(task: Task, posed: Items) -> None:
    samples = task.batch("test", np.arange(task.splits["test"] or 0)).tokens
    rows = {tuple(row) for row in samples.tolist()}
    size, used = posed.answers.shape[1], set()
    for prompt, length, answer in zip(posed.prompts.tolist(), posed.lengths, posed.answers.tolist(), strict=True):
        assert not any(prompt[length:])
        start = (*prompt[:length], *answer)
        used.add(start)
        assert any(row[: length + size] == start for row in rows)
    assert len(used) > 0.9 * len(posed), "each item asks about another sample"


def test_both_posings_have_the_same_prompt_and_the_right_option_is_the_generated_answer(posed: Items) -> None:
    tokens, mask = posed.sequences()
    size = posed.answers.shape[1]
    assert (mask.sum(axis=2) == size).all()
    for item in range(0, len(posed), 7):
        length = posed.lengths[item]
        for option in range(posed.options.shape[1]):
            assert (tokens[item, option, :length] == posed.prompts[item, :length]).all()
            assert (tokens[item, option, length : length + size] == posed.options[item, option]).all()
            assert np.flatnonzero(mask[item, option]).tolist() == list(range(length, length + size))
        assert (tokens[item, posed.right[item]][mask[item, posed.right[item]]] == posed.answers[item]).all()


def test_items_are_the_same_whatever_they_are_drawn_with(task: Task, posed: Items, options: int) -> None:
    order = np.random.default_rng(0).permutation(len(posed))[:40]
    for part in (order[:1], order[1:13], order):
        again = items(task, "test", part, options)
        for name in ("prompts", "lengths", "answers", "options", "right"):
            assert (getattr(again, name) == getattr(posed, name)[part]).all()
    assert not np.array_equal(items(task, "validation", np.arange(5), 2).prompts, posed.prompts[:5])


# ---- names


def test_a_name_is_asked_for_by_its_first_token_and_every_option_is_a_name_told_before() -> None:
    task = Induction(InductionConfig(characters=4, test_samples=500))
    posed = items(task, "test")
    assert len(posed) == 500
    for prompt, length, answer, options in zip(
        posed.prompts, posed.lengths, posed.answers[:, 0], posed.options[:, :, 0], strict=True
    ):
        told = {first: second for first, second in pairwise(prompt[:length]) if second >= task.second}
        assert task.first <= prompt[length - 1] < task.second
        assert told[prompt[length - 1]] == answer
        assert set(options) == set(told.values())


def test_in_a_corpus_too_every_option_ends_a_name_of_the_prompt(tmp_path: Path) -> None:
    path = written(tmp_path / "tales.txt", invented(100))
    task = InductionCorpus(small(path, names_per_window=3, test_samples=300))
    posed = items(task, "test", options=2)
    pairs = set(zip(*np.nonzero(task.prepared.pairs), strict=True))
    names = {(int(task.prepared.firsts[first]), int(task.prepared.seconds[second])) for first, second in pairs}
    for prompt, length, options in zip(posed.prompts.tolist(), posed.lengths, posed.options[:, :, 0], strict=True):
        told = {second for first, second in pairwise(prompt[:length]) if (first, second) in names}
        assert set(options) <= told
        assert posed.options.shape == (len(posed), 2, 1)


def test_the_token_before_and_the_latest_name_do_not_give_the_right_option_away() -> None:
    posed = items(Induction(InductionConfig(test_samples=1500)), "test")
    behind = (posed.options == np.take_along_axis(posed.prompts, posed.lengths[:, None] - 1, axis=1)[:, None]).any()
    last = np.array([[np.flatnonzero(prompt == option).max() for option in options[:, 0]]
                     for prompt, options in zip(posed.prompts, posed.options, strict=True)])  # fmt: skip
    latest = last.argsort(axis=1)[:, ::-1]
    share = (latest == posed.right[:, None]).mean(axis=0)
    assert not behind
    assert share[0] == 0.0, "whoever was named last is not named next"
    assert (share < 1 / 3 + 4 * np.sqrt(2 / 9 / len(posed))).all(), "elimination leaves 1/(characters - 1)"


# ---- text


@pytest.mark.parametrize("kind", ["text bytes", "text bpe"], scope="module")
def test_distractors_of_a_text_end_other_windows_of_its_document_as_long_as_there_are_any(
    task: Task, posed: Items
) -> None:
    batch = task.batch("test", np.arange(90))
    assert batch.loss[:, 1:].all(), "no window here is padded"
    ends: dict[int, set[tuple[int, ...]]] = {}
    for document, tokens in zip(batch.labels["document"][:, 0].tolist(), batch.tokens.tolist(), strict=True):
        ends.setdefault(document, set()).add(tuple(tokens[36:]))
    assert posed.answers.shape == (90, 12)
    assert (posed.lengths == 36).all()
    full = 0
    for prompt, answer, options in zip(
        *(each.tolist() for each in (posed.prompts, posed.answers, posed.options)), strict=True
    ):
        document = batch.labels["document"][(batch.tokens == prompt[:36] + answer).all(axis=1), 0].item()
        own = sum(tuple(option) in ends[document] for option in options)
        assert own >= min(4, len(ends[document]))
        full += own == 4
    assert full > 60


def test_an_answer_is_as_long_as_is_asked_and_a_prompt_no_shorter_and_neither_has_padding(tmp_path: Path) -> None:
    for number, tale in enumerate(invented(60, sentences=3)):
        written(tmp_path / f"{number}.txt", [tale[: 70 + 2 * number]])
    task = Text(TextConfig(corpus=str(tmp_path), length_tokens=128, test_samples=6, validation_samples=1))
    lengths = 1 + task.batch("test", np.arange(6)).loss.sum(axis=1)
    long_enough = lengths[lengths >= 2 * 55]
    posed = items(task, "test", options=2, answer_tokens=55)
    assert 2 <= len(long_enough) < 6
    assert (long_enough < 128).any(), "some windows here are padded"
    assert posed.answers.shape == (len(long_enough), 55)
    assert (posed.lengths + 55 == long_enough).all()
    assert (posed.sequences()[0] != task.padding).all()


# ---- scores


def test_exact_match_is_of_the_whole_answer() -> None:
    answers = np.array([[1, 2], [3, 4], [5, 6]])
    assert exact_match(np.array([[1, 2], [3, 9], [6, 5]]), answers).tolist() == [True, False, False]


def test_rouge_l_is_as_in_the_paper_that_defines_it() -> None:
    # Lin 2004, section 3.1: recall and precision of four words each, subsequences of 3 and of 2 words.
    reference = "police killed the gunman"
    scores = rouge_l(["police kill the gunman", "the gunman kill police", "the gunman police killed"], [reference] * 3)
    assert scores.tolist() == [0.75, 0.5, 0.5]


def test_rouge_l_is_f1_over_words_in_lower_case() -> None:
    generated = ["The old  lamp!", "the", "", "...", "a b c d"]
    answers = ["the OLD lamp, he said", "the lamp", "the lamp", "the lamp", "e f"]
    # 2 x 3 / (3 + 5), 2 x 1 / (1 + 2), and 0 where there are no words or none in common.
    np.testing.assert_allclose(rouge_l(generated, answers), [6 / 8, 2 / 3, 0, 0, 0])


def test_choice_takes_the_likeliest_option_and_shares_a_tie() -> None:
    log_likelihoods = np.array([[-1.0, -2, -3], [-2, -1, -3], [-1, -1, -3], [-1, -1, -1], [-3, -1, -1]])
    np.testing.assert_allclose(choice_accuracy(log_likelihoods, np.array([0, 0, 1, 2, 0])), [1, 0, 1 / 2, 1 / 3, 0])


def test_whoever_likes_all_options_alike_is_at_chance(posed: Items, options: int) -> None:
    flat = np.zeros((len(posed), options))
    assert choice_accuracy(flat, posed.right).mean() == pytest.approx(1 / options)


# ---- errors


def test_a_task_without_an_item_source_and_a_split_that_is_not_held_out_have_no_items() -> None:
    task = Induction(InductionConfig(characters=3, test_samples=50))
    with pytest.raises(UserError, match=r"task.kind = 'star': cannot be posed as items, .* no method item_source"):
        items(Star(StarConfig()), "test")
    for split in ("train", "dev"):
        with pytest.raises(UserError, match=f"split '{split}': has no items; .* are validation, test"):
            items(task, split)


def test_options_items_and_answer_tokens_out_of_range_are_errors() -> None:
    task = Induction(InductionConfig(characters=3, test_samples=50))
    assert len(items(task, "test", options=3)) == 50
    with pytest.raises(UserError, match=r"options = 4: only 0 samples of split 'test' .* or fewer options"):
        items(task, "test")
    with pytest.raises(UserError, match=r"options = 3: only 50 samples of split 'test' .* ask for fewer items"):
        items(task, "test", [50], options=3)
    with pytest.raises(UserError, match=r"options = 1: should be at least 2"):
        items(task, "test", options=1)
    with pytest.raises(UserError, match="answer_tokens = 2: should be from 1 to 1 in this task"):
        items(task, "test", options=3, answer_tokens=2)
    text = Text(TextConfig(length_tokens=64, test_samples=20))
    for answer_tokens in (0, 33):
        with pytest.raises(UserError, match=f"answer_tokens = {answer_tokens}: should be from 1 to 32 in this task"):
            items(text, "test", answer_tokens=answer_tokens)
    with pytest.raises(UserError, match=r"options = 21: only 0 samples"):
        items(text, "test", options=21)
