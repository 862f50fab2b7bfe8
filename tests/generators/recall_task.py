"""A small sound task, recall of a value by its key, whose parts a test can replace by defective ones."""

from typing import Literal

import numpy as np

from generators.foundation.randomness import Integers, Stream
from generators.task import Batch, Task, TaskConfig

KEYS = VALUES = 16
PAIRS = 4
QUESTION = KEYS + VALUES


class RecallConfig(TaskConfig):
    kind: Literal["recall"] = "recall"
    training_samples: int | None = None


class Recall(Task):
    """Four pairs of a key and a value, and the key of one of them again; its value is scored.

    k3 v5 k1 v9 k7 v2 k4 v4 ? k1 v9

    Labels: `pair`, the number of the pair in question, at the answer; 0 elsewhere.
    """

    config: RecallConfig

    def __init__(self, config: RecallConfig) -> None:
        super().__init__(config)
        self.vocabulary = (*(f"k{key}" for key in range(KEYS)), *(f"v{value}" for value in range(VALUES)), "?")
        self.length = 2 * PAIRS + 3
        self.splits = {"train": config.training_samples, "validation": 400, "test": 400}
        self.shortcuts = {"last_value": self.last_value}

    def values(self, stream: Stream, keys: Integers) -> Integers:
        """Draws the values [B, 4] of the pairs with these keys [B, 4]."""
        return stream.choose("values", VALUES, PAIRS)

    def asked(self, stream: Stream) -> Integers:
        """Draws the number [B] of the pair in question."""
        return stream.integers("asked", PAIRS, 1)[:, 0]

    def draw(self, stream: Stream, split: str) -> Batch:
        keys, asked = stream.choose("keys", KEYS, PAIRS), self.asked(stream)
        values = KEYS + self.values(stream, keys)
        pairs = np.stack((keys, values), axis=2).reshape(len(stream), -1)
        rows = np.arange(len(stream))
        question = np.stack((np.full(len(rows), QUESTION), keys[rows, asked], values[rows, asked]), axis=1)
        tokens = np.concatenate((pairs, question), axis=1)
        answer = np.broadcast_to(np.arange(self.length) == self.length - 1, tokens.shape)
        labels = {"pair": np.where(answer, asked[:, None], 0)}
        return Batch(tokens=tokens, loss=answer, scored=answer, labels=labels)

    def oracle(self, batch: Batch) -> Integers:
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            answers[row, -1] = tokens[2 * tokens[: 2 * PAIRS : 2].index(tokens[-2]) + 1]
        return answers

    def last_value(self, batch: Batch) -> Integers:
        return np.broadcast_to(batch.tokens[:, [2 * PAIRS - 1]], batch.tokens.shape)


class RecallWithCeiling(Recall):
    """Recall that says how often a simple rule is right: the pairs and values are drawn anew for every sample."""

    def __init__(self, config: RecallConfig) -> None:
        super().__init__(config)
        self.ceilings = {"accuracy": {"question_ignored": 1 / PAIRS}}
