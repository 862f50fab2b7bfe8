"""Prompts that a user writes become the tokens that the task itself gives to that text."""

import re
from pathlib import Path

import numpy as np
import pytest

from generators import TASKS, Task, UserError, build_task
from lab.reading.prompts import prompt_tokens
from tests.generators.corpora import TALES, build_text, write_text_folder


def task_of(kind: str, *assignments: str) -> Task:
    return build_task(TASKS.configured(kind, list(assignments), "the test"))


STAR = task_of("star")
CORPUS = f'corpus="{TALES}"'


@pytest.mark.parametrize("task", [STAR, task_of("induction"), task_of("markov")], ids=lambda task: task.config.kind)
def test_words_become_the_tokens_that_the_task_writes_as_them(task: Task) -> None:
    sample = task.batch("test", [0]).tokens[0, :-1]
    assert (prompt_tokens(task, task.text(sample))[0] == sample).all()


@pytest.mark.parametrize("tokens", ["bytes", "bpe"])
def test_a_text_becomes_bytes_or_the_tokens_of_its_corpus(tmp_path: Path, tokens: str) -> None:
    task = build_text(write_text_folder(tmp_path), tokens)
    text = "Once there was a hen; \u00e9!"
    (encoded,) = prompt_tokens(task, text)
    assert task.text(encoded) == text
    assert (len(encoded) == len(text.encode())) == (tokens == "bytes")


def test_merges_follow_the_order_in_which_the_encoder_learnt_them() -> None:
    task = task_of("induction_corpus", CORPUS, "vocabulary_tokens=400", "length_tokens=64")
    encoder = task.prepared.encoder  # type: ignore[attr-defined]
    for line in TALES.read_text().splitlines()[:20]:
        words = line[:40]
        if words:
            assert prompt_tokens(task, words)[0].tolist() == encoder.encode(words).ids


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ("10 | 111", "prompt '10 | 111': '111' is not a token of task star; the nearest is '11' (there are: |, /, ="),
        ("", "prompt 1 of 1: has 0 tokens; should have from 1 to 17, because samples of task star have 18"),
        (["1", "1 " * 18], "prompt 2 of 2: has 18 tokens; should have from 1 to 17"),
        ([3], "prompt 3: should be a text"),
        (3, "prompts 3: should be a text, several texts, or an array of tokens"),
        (np.zeros(3, dtype=np.int64), "prompts of shape [3]: should be whole numbers [prompts, tokens]"),
        (np.full((1, 2), 99), "prompts with tokens from 99 to 99: should be from 0 to 14"),
    ],
)
def test_a_wrong_prompt_is_answered_with_one_sentence(prompts: object, sentence: str) -> None:
    task = task_of("star", "degree=2", "length=3", "nodes=12")
    with pytest.raises(UserError, match=re.escape(sentence)):
        prompt_tokens(task, prompts)  # type: ignore[arg-type]
