"""Prompts as a user writes them, in the tokens of a task."""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from tokenizers import pre_tokenizers

from generators.foundation.errors import UserError
from generators.foundation.outside import quoted
from generators.foundation.randomness import Integers
from generators.protocols import LearntVocabulary
from generators.task import Task

Prompts = str | Sequence[str] | Integers
"""A text, several texts, or tokens int64 [B, P] such as those of a batch."""
TOKENS_LISTED = 12


def prompt_tokens(task: Task, prompts: Prompts) -> list[NDArray[np.int64]]:
    """Returns the tokens of every prompt.

    The tokens of a text are its words, as `task.text` joins them, or its bytes or BPE tokens if the vocabulary of the
    task is learnt from a corpus.

    Args:
        prompts: a text, several texts, or tokens int64 [B, P].

    Raises:
        UserError: a word is not a token of the task (the message gives the nearest), or a prompt has no token or none
            left of a sample to predict.
    """
    if isinstance(prompts, np.ndarray):
        if prompts.ndim != 2 or prompts.dtype.kind not in "iu":
            raise UserError(f"prompts of shape {list(prompts.shape)}: should be whole numbers [prompts, tokens]")
        size = len(task.vocabulary)
        if prompts.size and not (prompts.min() >= 0 and prompts.max() < size):
            span = f"from {prompts.min()} to {prompts.max()}"
            raise UserError(f"prompts with tokens {span}: should be from 0 to {size - 1}")
        tokens = list(prompts.astype(np.int64))
    else:
        if not isinstance(prompts, str | Sequence):
            raise UserError(f"prompts {quoted(prompts)}: should be a text, several texts, or an array of tokens")
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        encode = byte_tokens if isinstance(task, LearntVocabulary) else word_tokens
        tokens = [np.array(encode(task, text), dtype=np.int64) for text in texts]
    for number, prompt in enumerate(tokens, start=1):
        if not 0 < len(prompt) < task.length:
            raise UserError(
                f"prompt {number} of {len(tokens)}: has {len(prompt)} tokens; should have from 1 to {task.length - 1}, "
                f"because samples of task {task.config.kind} have {task.length}"
            )
    return tokens


def word_tokens(task: Task, text: str) -> list[int]:
    """Returns the tokens of a text whose words are tokens of the task."""
    if not isinstance(text, str):
        raise UserError(f"prompt {quoted(text)}: should be a text")
    tokens = {word: token for token, word in enumerate(task.vocabulary)}
    for word in text.split():
        if word not in tokens:
            near = get_close_matches(word, tokens, n=1, cutoff=0.3)
            listed = ", ".join(task.vocabulary[:TOKENS_LISTED]) + (", ..." if len(tokens) > TOKENS_LISTED else "")
            raise UserError(
                f"prompt {quoted(text)}: {word!r} is not a token of task {task.config.kind}; "
                + (f"the nearest is {near[0]!r} (there are: {listed})" if near else f"there are: {listed}")
            )
    return [tokens[word] for word in text.split()]


def byte_tokens(task: Task, text: str) -> list[int]:
    """Returns the tokens of a text in a vocabulary in GPT-2's byte alphabet: its bytes, with merges if it has any.

    Byte pair encoding numbers its tokens in the order in which it learnt to merge them, so merging the pair with the
    smallest token, until no pair is a token, encodes a text as its encoder does.
    """
    if not isinstance(text, str):
        raise UserError(f"prompt {quoted(text)}: should be a text")
    number = {letters: token for token, letters in enumerate(task.vocabulary[:-1])}  # the last one is padding
    tokens: list[int] = []
    for letters, _ in pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text):
        parts = list(letters)
        while pairs := [
            (number[first + second], place)
            for place, (first, second) in enumerate(pairwise(parts))
            if first + second in number
        ]:
            _, place = min(pairs)
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        tokens += [number[part] for part in parts]
    return tokens
