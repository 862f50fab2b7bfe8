"""Suffix sums: print, for each of k terms, the sum of it and all later terms, modulo p.

A sample is x_1 .. x_k, drawn uniformly from 0 .. p - 1, then "=" and y_1 .. y_k with y_i = x_i + .. + x_k. With p = 7
and k = 5:

    3 6 0 5 2 = 2 6 0 0 2

The loss and the score are on the answer alone. Only its first token is hard. Given the true tokens before it, every
later token is a subtraction, y_i+1 = y_i - x_i, but y_1 needs all k terms, and any k - 1 of them say nothing about it.
So a next-token model that has learned to subtract still loses log p at y_1 and gains nothing from a sum of some terms.
Until it finds the whole sum, it guesses and solves 1/p of the samples (`ceilings`). Bachmann & Nagarajan 2024 (arXiv
2403.06963) describe this failure of training with the true tokens before each target; their example is the task `star`.

Heads that look ahead provide the intermediate steps. From "=", head i predicts y_i: head k copies x_k, head k - 1 adds
one term to it, and so on up to y_1, the target of head 1. Wies, Levine & Shashua 2022 (arXiv 2204.02892) show that with
partial sums as targets a model learns parities that it does not learn from end to end. So k is a dial of depth: it is
the number of terms that y_1 combines, and the number of steps that lead to it.

The optimum of every head is known. Heads 1 and 2 see all terms before they predict a sum, so they lose 0. Head i has to
predict y_1 .. y_i-2 before it sees x_k, and loses log p on each of them (`optimal_losses`).

There are p^k samples. The hash of a sample assigns it to training (14 in 16), validation or test (1 in 16 each). A run
of 3,000 steps of 64 samples draws 192,000 training samples. With p = 7 it sees this part of all samples
(`domain_seen`):

    k    samples    for training    seen in training    share of all samples seen
    4      2,401           2,097               2,097                          87%
    5     16,807          14,722              14,722                          88%
    6    117,649         102,914              86,983                          74%
    7    823,543        about 720,600        168,550                          20%

No held-out sample is among them, so remembering whole training samples is of no use there. Held-out splits up to k = 6
contain no sample twice, because they are read from a list of all samples; held-out splits of larger domains repeat a
few.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream, epochs
from generators.material.entropy import exactly
from generators.protocols import EntropyEstimate
from generators.task import GROUPS, SHARES, Batch, HeldOutSamples, Task, TaskConfig, TrainingSamples, usual_splits

EQUALS = "="
LISTED_MAXIMUM = 2**17
"""Samples of a domain up to which all of them are listed, so that held-out splits do not repeat one."""
DRAWN_SHARE_MAXIMUM = 1 / 8
"""The largest held-out split of a larger domain, as a share of the samples that it may have; 1 in 16 is a repeat."""


class SuffixConfig(TaskConfig):
    """Settings of `suffix`."""

    kind: Literal["suffix"] = "suffix"
    p: int = Field(default=7, ge=2, le=97, description="terms and sums are 0 to p - 1")
    k: int = Field(default=5, ge=2, le=32, description="terms, and sums in the answer")
    training_samples: TrainingSamples = None
    test_samples: HeldOutSamples = 1000
    validation_samples: HeldOutSamples = 500


class Suffix(Task):
    """Samples of 2 k + 1 tokens.

    Labels: `sum` numbers the tokens of the answer from 1 to k; 0 elsewhere.

    Attributes:
        domain: p^k, the number of different samples.
        listed: held-out split -> the terms [n, k] of all samples that it may have; empty if the domain is too large.
    """

    config: SuffixConfig

    def __init__(self, config: SuffixConfig) -> None:
        super().__init__(config)
        p, k = config.p, config.k
        self.vocabulary = (*map(str, range(p)), EQUALS)
        self.length = 2 * k + 1
        self.domain = p**k
        self.listed = self._list() if self.domain <= LISTED_MAXIMUM else {}
        self.splits = usual_splits(config)
        for split, size in (("validation", config.validation_samples), ("test", config.test_samples)):
            self._check_size(split, size)
        self.shortcuts = {"subtract": self.subtract, "copy": self.copy}
        self.ceilings = {
            "accuracy": {"first_sum_guessed": (k - 1 + 1 / p) / k},
            "exact": {"first_sum_guessed": 1 / p},
        }

    def _list(self) -> dict[str, Integers]:
        """Returns the terms [n, k] of all samples that each held-out split may have."""
        terms = np.indices(self.config.k * (self.config.p,)).reshape(self.config.k, -1).T
        samples = self._complete(terms)
        return {split: terms[self.belongs(samples, split)] for split in ("validation", "test")}

    def _check_size(self, split: str, size: int) -> None:
        """Raises a UserError if a held-out split is larger than the number of samples that may belong to it."""
        share = len(GROUPS[split]) / SHARES * DRAWN_SHARE_MAXIMUM
        room = len(self.listed[split]) if self.listed else int(self.domain * share)
        if size > room:
            raise UserError(
                f"task.{split}_samples = {size}: there are {self.domain} samples with task.p = {self.config.p} and "
                f"task.k = {self.config.k}, and the {split} split, which shares none with training, has room for "
                f"{room}; give {f'at most {room}, or ' if room else ''}a larger task.k"
            )

    def domain_seen(self, samples: int) -> float:
        """Returns the expected share of the domain that occurs among this many fresh training samples."""
        held_out = sum(map(len, self.listed.values()))
        share = 1 - held_out / self.domain if self.listed else len(GROUPS["train"]) / SHARES
        return -share * math.expm1(samples * math.log1p(-1 / (share * self.domain)))

    def batch(self, split: str, indices: ArrayLike, seed: int = 0) -> Batch:
        """Draws samples `indices` [B] of a split.

        A held-out split of a listed domain is read from its list in epochs, as a fixed training set is: no sample
        occurs twice before all have occurred. All other samples are drawn independently.
        """
        if split not in self.listed:
            return super().batch(split, indices, seed)
        terms = self.listed[split]
        return self._complete(terms[epochs(f"{self.name}:{split}:{seed}", indices, len(terms))])

    def draw(self, stream: Stream, split: str) -> Batch:
        return self._complete(stream.integers("terms", self.config.p, self.config.k))

    def _complete(self, terms: Integers) -> Batch:
        """Returns the samples with terms [B, k]."""
        rows, k = terms.shape
        sums = terms[:, ::-1].cumsum(axis=1)[:, ::-1] % self.config.p
        equals = np.full((rows, 1), self.vocabulary.index(EQUALS))
        number = np.maximum(np.arange(self.length) - k, 0)[None].repeat(rows, axis=0)
        return Batch(
            tokens=np.concatenate((terms, equals, sums), axis=1),
            loss=number > 0,
            scored=number > 0,
            labels={"sum": number},
        )

    def oracle(self, batch: Batch) -> Integers:
        """Adds up the printed terms anew for every sum."""
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            words = [self.vocabulary[token] for token in tokens]
            end = words.index(EQUALS)
            terms = [int(word) for word in words[:end]]
            for place in range(end):
                answers[row, end + 1 + place] = self.vocabulary.index(str(sum(terms[place:]) % self.config.p))
        return answers

    def optimal_losses(self, lags: Sequence[int]) -> EntropyEstimate:
        """Returns the mean loss in nats of head i of a perfect model over its targets, the sums at i..T-1.

        (The hash that assigns samples to splits is ignored, because no model can learn it.)
        """
        assert max(lags) < self.length, "a head that looks past the end of its sample has no targets"
        number = np.arange(1, self.config.k + 1)
        unseen = [float((number + 1 < lag)[self.config.k + number >= lag].mean()) for lag in lags]
        return exactly([share * math.log(self.config.p) for share in unseen])

    # ---- shortcuts

    def subtract(self, batch: Batch) -> Integers:
        """Predicts y_i+1 = y_i - x_i from the true y_i, and y_1 = x_1, as if the other terms summed to 0.

        It is right at 1/p of the first sums and at all later ones.
        """
        k = self.config.k
        guesses = self.copy(batch)
        guesses[:, k + 2 :] = (batch.tokens[:, k + 1 : -1] - batch.tokens[:, : k - 1]) % self.config.p
        return guesses

    def copy(self, batch: Batch) -> Integers:
        """Predicts y_i = x_i: right at the last sum, and at 1/p of the others."""
        guesses = np.full(batch.tokens.shape, -1)
        guesses[:, self.config.k + 1 :] = batch.tokens[:, : self.config.k]
        return guesses
