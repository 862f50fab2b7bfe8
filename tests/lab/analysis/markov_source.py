"""A small Markov task whose joint of two tokens is known, and random places in its samples."""

from typing import Any

import numpy as np

from generators.foundation.randomness import Integers
from generators.task import Batch

MARKOV: dict[str, Any] = {
    "kind": "markov",
    "memory": 0.6,
    "vocabulary_tokens": 8,
    "length_tokens": 24,
    "test_samples": 40,
    "validation_samples": 16,
}


def random_places(batch: Batch, count: int) -> tuple[Integers, Integers]:
    """Draws rows and places [count] of a batch at which a next token and the one after it exist."""
    generator = np.random.default_rng(1)
    rows = generator.integers(len(batch), size=count)
    return rows, generator.integers(1, batch.tokens.shape[1] - 1, size=count)
