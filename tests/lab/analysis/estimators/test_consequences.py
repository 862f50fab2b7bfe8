"""The measured consequences of tokens equal those of the source, which are known, and stay within a budget of tokens."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.task import Batch
from generators.tasks.choice import CONSEQUENTIAL, DECIDED, INCONSEQUENTIAL, Choice, ChoiceConfig
from lab.analysis.estimators import consequences
from lab.analysis.estimators.consequences import measure_consequences, positions


class SourceNetwork(torch.nn.Module):
    """The source itself as a network: its exact distribution, mixed with 1% of a uniform one."""

    def __init__(self, task: Choice) -> None:
        super().__init__()
        self.task = task
        self.trunk = self.read

    def read(self, tokens: Tensor) -> Tensor:
        padded = np.zeros((len(tokens), self.task.length), np.int64)
        padded[:, : tokens.shape[1]] = tokens.numpy()
        no_mask = np.zeros(padded.shape, bool)
        batch = Batch(tokens=padded, loss=no_mask, scored=no_mask)
        likely = self.task.distribution(batch)[:, 1 : tokens.shape[1] + 1]
        return torch.from_numpy(0.99 * likely + 0.01 / likely.shape[2])

    def hidden(self, latent: Tensor, lag: int, tokens: Tensor) -> Tensor:
        return latent

    def unembed(self, hidden: Tensor, lag: int) -> Tensor:
        return hidden.log()


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_consequence_of_a_choice_is_that_of_the_source(noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the source, the true tokens are (1 - q + q/A) / (q/A) times less likely after another choice, at each offset
    that noise left unchanged; 7 of 8 draws of the next-token head are another choice."""
    monkeypatch.setattr(consequences, "TOKENS_READ", 10**7)
    task = Choice(ChoiceConfig(noise=noise, length_tokens=32))
    batch = task.batch("test", np.arange(100))
    network: Any = SourceNetwork(task)
    result = measure_consequences(network, batch, torch.device("cpu"), 0)
    classes = batch.labels["class"][result.sample, result.place]
    size = len(task.vocabulary)
    right = 0.99 * (1 - noise + noise / 8) + 0.01 / size
    wrong = 0.99 * noise / 8 + 0.01 / size
    expected = 4 * (1 - noise) * np.log(right / wrong) * 7 / 8
    whole = result.nats[(classes == CONSEQUENTIAL) & (result.place < 32 - 4)]
    assert whole.mean() == pytest.approx(expected, rel=0.05)
    assert np.abs(result.nats[(classes == INCONSEQUENTIAL) | (classes == DECIDED)]).max() < 1e-9
    assert abs((whole.mean() - expected) / (whole.std() / np.sqrt(len(whole)))) < 4


def test_positions_are_targets_with_another_target_in_the_window_after_them() -> None:
    loss = np.zeros((3, 40), bool)
    loss[:, [5, 6, 20, 39]] = True
    sample, place = positions(loss, np.random.default_rng(0))
    assert list(zip(sample, place, strict=True)) == [(0, 5), (1, 5), (2, 5)]


def test_long_samples_have_fewer_positions_within_the_budget() -> None:
    sample, place = positions(np.ones((32, 1000), bool), np.random.default_rng(0))
    cost = consequences.ALTERNATIVES * (place + consequences.WINDOW).sum()
    assert 0.9 * consequences.TOKENS_READ < cost < 1.1 * consequences.TOKENS_READ
    assert len(set(zip(sample.tolist(), place.tolist(), strict=True))) == len(place)
