"""Items pose the same prompt for generation and choice, with exactly one right option and the intended distractors."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from generators.foundation.errors import UserError
from generators.material.items import Items, choice_accuracy, items
from generators.task import Task
from generators.tasks.induction import Induction, InductionConfig
from generators.tasks.induction_corpus import InductionCorpus
from generators.tasks.star import Star, StarConfig
from generators.tasks.text import Text, TextConfig
from tests.generators.corpora import SEPARATOR, invented_tales, tales_config, write_tales

KINDS = ("induction", "induction_corpus", "text bytes", "text bpe")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def task(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Task:
    return build_task(kind, tmp_path_factory.mktemp("items"))


def build_task(kind: str, folder: Path) -> Task:
    path = write_tales(folder / "tales.txt", invented_tales(100))
    if kind == "induction":
        return Induction(InductionConfig(test_samples=1000, validation_samples=50))
    if kind == "induction_corpus":
        return InductionCorpus(tales_config(path, names_per_window=3, test_samples=800))
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
def option_count(kind: str) -> int:
    return 3 if kind == "induction_corpus" else 4


@pytest.fixture(scope="module")
def all_items(task: Task, option_count: int) -> Items:
    """All items of the test split."""
    return items(task, "test", options=option_count)


# ---- every item


def test_the_answer_is_exactly_one_of_the_options_and_all_options_differ(all_items: Items, option_count: int) -> None:
    is_answer = (all_items.options == all_items.answers[:, None]).all(axis=2)
    assert len(all_items) >= 80
    assert all_items.options.shape == (len(all_items), option_count, all_items.answers.shape[1])
    assert (is_answer.sum(axis=1) == 1).all()
    assert (is_answer.argmax(axis=1) == all_items.right).all()
    assert all(len({option.tobytes() for option in options}) == option_count for options in all_items.options)


def test_the_right_option_is_at_each_index_equally_often(all_items: Items, option_count: int) -> None:
    assert chisquare(np.bincount(all_items.right, minlength=option_count)).pvalue > 1e-4


def test_a_constant_likelihood_scores_at_chance(all_items: Items, option_count: int) -> None:
    log_likelihoods = np.zeros((len(all_items), option_count))
    assert choice_accuracy(log_likelihoods, all_items.right).mean() == pytest.approx(1 / option_count)


def test_prompt_and_answer_are_consecutive_in_a_sample_of_the_split(task: Task, all_items: Items) -> None:
    samples = task.batch("test", np.arange(task.splits["test"] or 0)).tokens
    rows = {tuple(row) for row in samples.tolist()}
    size, starts = all_items.answers.shape[1], set()
    for prompt, length, answer in zip(
        all_items.prompts.tolist(), all_items.lengths, all_items.answers.tolist(), strict=True
    ):
        assert not any(prompt[length:])
        start = (*prompt[:length], *answer)
        starts.add(start)
        assert any(row[: length + size] == start for row in rows)
    assert len(starts) > 0.9 * len(all_items), "each item asks about a different sample"


def test_sequences_are_the_prompt_followed_by_each_option(all_items: Items) -> None:
    tokens, mask = all_items.sequences()
    size = all_items.answers.shape[1]
    assert (mask.sum(axis=2) == size).all()
    for item in range(0, len(all_items), 7):
        length, right = all_items.lengths[item], all_items.right[item]
        for option in range(all_items.options.shape[1]):
            assert (tokens[item, option, :length] == all_items.prompts[item, :length]).all()
            assert (tokens[item, option, length : length + size] == all_items.options[item, option]).all()
            assert np.flatnonzero(mask[item, option]).tolist() == list(range(length, length + size))
        assert (tokens[item, right][mask[item, right]] == all_items.answers[item]).all()


def test_an_item_does_not_depend_on_the_items_drawn_with_it(task: Task, all_items: Items, option_count: int) -> None:
    order = np.random.default_rng(0).permutation(len(all_items))[:40]
    for indices in (order[:1], order[1:13], order):
        some_items = items(task, "test", indices, option_count)
        for name in ("prompts", "lengths", "answers", "options", "right"):
            assert (getattr(some_items, name) == getattr(all_items, name)[indices]).all()
    validation = items(task, "validation", np.arange(5), 2)
    assert not np.array_equal(validation.prompts, all_items.prompts[:5])


# ---- names


def test_names_are_asked_for_by_their_first_token_among_second_tokens_of_names_in_the_prompt() -> None:
    task = Induction(InductionConfig(characters=4, test_samples=500))
    name_items = items(task, "test")
    assert len(name_items) == 500
    for prompt, length, answer, options in zip(
        name_items.prompts, name_items.lengths, name_items.answers[:, 0], name_items.options[:, :, 0], strict=True
    ):
        names = {first: second for first, second in pairwise(prompt[:length]) if second >= task.second}
        assert task.first <= prompt[length - 1] < task.second
        assert names[prompt[length - 1]] == answer
        assert set(options) == set(names.values())


def test_in_a_corpus_every_option_is_the_second_token_of_a_name_in_the_prompt(tmp_path: Path) -> None:
    path = write_tales(tmp_path / "tales.txt", invented_tales(100))
    task = InductionCorpus(tales_config(path, names_per_window=3, test_samples=300))
    name_items = items(task, "test", options=2)
    assert name_items.options.shape == (len(name_items), 2, 1)
    prepared = task.prepared
    names = {
        (int(prepared.firsts[first]), int(prepared.seconds[second]))
        for first, second in zip(*np.nonzero(prepared.pairs), strict=True)
    }
    for prompt, length, options in zip(
        name_items.prompts.tolist(), name_items.lengths, name_items.options[:, :, 0], strict=True
    ):
        assert set(options) <= {pair[1] for pair in pairwise(prompt[:length]) if pair in names}


def test_neither_the_previous_token_nor_the_latest_name_reveals_the_right_option() -> None:
    name_items = items(Induction(InductionConfig(test_samples=1500)), "test")
    previous = np.take_along_axis(name_items.prompts, name_items.lengths[:, None] - 1, axis=1)
    assert not (name_items.options == previous[:, None]).any()
    last_mention = np.array(
        [
            [np.flatnonzero(prompt == option).max() for option in options[:, 0]]
            for prompt, options in zip(name_items.prompts, name_items.options, strict=True)
        ]
    )
    latest_first = last_mention.argsort(axis=1)[:, ::-1]
    share = (latest_first == name_items.right[:, None]).mean(axis=0)
    assert share[0] == 0.0, "the character named last is not named next"
    assert (share < 1 / 3 + 4 * np.sqrt(2 / 9 / len(name_items))).all(), "elimination leaves 1/(characters - 1)"


# ---- text


@pytest.mark.parametrize("text", ["text bytes", "text bpe"])
def test_distractors_of_a_text_come_from_its_own_document_first(text: str, tmp_path: Path) -> None:
    task = build_task(text, tmp_path)
    all_items = items(task, "test", options=4)
    batch = task.batch("test", np.arange(90))
    assert batch.loss[:, 1:].all(), "no window here is padded"
    endings: dict[int, set[tuple[int, ...]]] = {}
    for document, tokens in zip(batch.labels["document"][:, 0].tolist(), batch.tokens.tolist(), strict=True):
        endings.setdefault(document, set()).add(tuple(tokens[36:]))
    assert all_items.answers.shape == (90, 12)
    assert (all_items.lengths == 36).all()
    all_from_own_document = 0
    arrays = (all_items.prompts, all_items.answers, all_items.options)
    for prompt, answer, options in zip(*(array.tolist() for array in arrays), strict=True):
        document = batch.labels["document"][(batch.tokens == prompt[:36] + answer).all(axis=1), 0].item()
        from_own_document = sum(tuple(option) in endings[document] for option in options)
        assert from_own_document >= min(4, len(endings[document]))
        all_from_own_document += from_own_document == 4
    assert all_from_own_document > 60


def test_answers_have_the_requested_length_and_prompts_at_least_that_without_padding(tmp_path: Path) -> None:
    for number, tale in enumerate(invented_tales(60, sentences=3)):
        write_tales(tmp_path / f"{number}.txt", [tale[: 70 + 2 * number]])
    task = Text(TextConfig(corpus=str(tmp_path), length_tokens=128, test_samples=6, validation_samples=1))
    lengths = 1 + task.batch("test", np.arange(6)).loss.sum(axis=1)
    long_enough = lengths[lengths >= 2 * 55]
    window_items = items(task, "test", options=2, answer_tokens=55)
    assert 2 <= len(long_enough) < 6
    assert (long_enough < 128).any(), "some windows here are padded"
    assert window_items.answers.shape == (len(long_enough), 55)
    assert (window_items.lengths + 55 == long_enough).all()
    assert (window_items.sequences()[0] != task.padding).all()


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
    with pytest.raises(UserError, match=r"options = 4: only 0 samples of split 'test' .*; ask for fewer options"):
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
