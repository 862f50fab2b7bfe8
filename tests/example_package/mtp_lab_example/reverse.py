"""A random string, then the same string backward.

c a h | h a c
"""

from typing import Literal

import numpy as np
from pydantic import Field

from generators import Batch, Integers, Stream, Task, TaskConfig

BAR = "|"


class ReverseConfig(TaskConfig):
    """Settings of `reverse`."""

    kind: Literal["reverse"] = "reverse"
    symbols: int = Field(default=8, ge=2, le=26, description="size of the alphabet")
    length: int = Field(default=6, ge=4, le=100, description="length of a string")
    validation_samples: int = Field(default=200, ge=1)
    test_samples: int = Field(default=500, ge=1)


class Reverse(Task):
    """Uniform random strings. The whole answer is scored; only its first letter is predictable without tracking positions."""

    config: ReverseConfig

    def __init__(self, config: ReverseConfig) -> None:
        super().__init__(config)
        self.vocabulary = (BAR, *(chr(ord("a") + index) for index in range(config.symbols)))
        self.length = 2 * config.length + 1
        self.splits = {"train": None, "validation": config.validation_samples, "test": config.test_samples}
        self.shortcuts = {"last_letter": self.last_letter}

    def draw(self, stream: Stream, split: str) -> Batch:
        string = 1 + stream.integers("letters", self.config.symbols, self.config.length)
        bar = np.zeros((len(stream), 1), dtype=np.int64)
        tokens = np.concatenate((string, bar, string[:, ::-1]), axis=1)
        answer = np.broadcast_to(np.arange(self.length) > self.config.length, tokens.shape)
        return Batch(tokens=tokens, loss=answer, scored=answer)

    def oracle(self, batch: Batch) -> Integers:
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens):
            string, _, _ = self.text(tokens).replace(" ", "").partition(BAR)
            answers[row, len(string) + 1 :] = [self.vocabulary.index(letter) for letter in reversed(string)]
        return answers

    def last_letter(self, batch: Batch) -> Integers:
        """Repeats the letter before the bar: right at the first position of the answer, elsewhere by luck."""
        return np.broadcast_to(batch.tokens[:, [self.config.length - 1]], batch.tokens.shape)
