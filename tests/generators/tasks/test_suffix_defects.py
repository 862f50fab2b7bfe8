"""`lab data check` passes suffix sums with every kind of domain, and names the defects that are planted in them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from generators.check import check_task
from generators.foundation.randomness import Integers, Stream
from generators.task import Batch, Mask
from generators.tasks.suffix import Suffix, SuffixConfig
from tests.conftest import Lab

SIZES = {"validation_samples": 100, "test_samples": 100}
CONFIG = SuffixConfig(validation_samples=100, test_samples=100)


@pytest.mark.parametrize(("p", "k"), [(7, 5), (2, 14), (10, 5), (97, 2), (11, 16)])
def test_suffix_sums_pass(p: int, k: int) -> None:
    result = check_task(Suffix(SuffixConfig(p=p, k=k, **SIZES)), 500)
    assert result.problems == []
    assert result.repeated_within_held_out == 0
    assert result.scored_share == 1


def test_the_check_gives_shortcuts_ceilings_and_optimal_losses_by_default(lab: Lab) -> None:
    done = lab("data", "check", "suffix", "--count", "500", "--json")
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert result["shortcuts"] == {
        "subtract": pytest.approx(29 / 35, abs=0.01),
        "copy": pytest.approx(11 / 35, abs=0.03),
    }
    assert result["shortcuts_exact"] == {
        "subtract": pytest.approx(1 / 7, abs=0.05),
        "copy": pytest.approx(7**-4, abs=0.005),
    }
    assert result["ceilings"] == {
        "accuracy": {"first_sum_guessed": pytest.approx(29 / 35)},
        "exact": {"first_sum_guessed": pytest.approx(1 / 7)},
    }
    shares = (0, 0, 1 / 5, 2 / 5)
    expected = {f"loss_{head}": pytest.approx(share * np.log(7)) for head, share in enumerate(shares, 1)}
    assert result["optimal_losses"] == expected


class PrefixSums(Suffix):
    """Adds up the terms from the first one on."""

    def draw(self, stream: Stream, split: str) -> Batch:
        batch = super().draw(stream, split)
        tokens: Integers = batch.tokens.copy()
        tokens[:, self.config.k + 1 :] = tokens[:, : self.config.k].cumsum(axis=1) % self.config.p
        return replace(batch, tokens=tokens)


class TermsThatCancel(Suffix):
    """In four samples of ten, all terms but the first sum to 0."""

    def draw(self, stream: Stream, split: str) -> Batch:
        terms = super().draw(stream, split).tokens[:, : self.config.k]
        cancels = stream.uniform("cancels", 1)[:, 0] < 0.4
        terms[:, -1] = np.where(cancels, -terms[:, 1:-1].sum(axis=1) % self.config.p, terms[:, -1])
        return self._complete(terms)


class PairsThatCancel(Suffix):
    """Gives every second term the negative of the one before, so that every sum is 0 or a term."""

    def draw(self, stream: Stream, split: str) -> Batch:
        terms = super().draw(stream, split).tokens[:, : self.config.k]
        terms[:, 1::2] = -terms[:, ::2] % self.config.p
        return self._complete(terms)


class OneGroup(Suffix):
    """Gives every sample to every split."""

    def belongs(self, batch: Batch, split: str) -> Mask:
        return np.ones(len(batch), bool)


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (PrefixSums(CONFIG), "is scored, but the oracle gives"),
        (TermsThatCancel(CONFIG), "the shortcut 'subtract' is right at"),
        (PairsThatCancel(SuffixConfig(k=12, **SIZES)), "with a place for each further token, is right at 100 of 100"),
        (
            OneGroup(SuffixConfig(k=3, **SIZES)),
            "occur in two splits (train and validation, train and test, validation and test)",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Suffix) else "",
)
def test_a_planted_defect_is_named(task: Suffix, sentence: str) -> None:
    assert [problem for problem in check_task(task, 500).problems if sentence in problem]
