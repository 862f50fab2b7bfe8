"""A seed decides training data and initial weights: no two seeds share a sample or a weight matrix."""

from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.run.assembly import assemble
from lab.run.spec import RunSpec
from lab.run.training_data import training_batches
from tests.conftest import Spec

SEEDS = (0, 1, 2, 3, 255, 256, 257, 65536, 2**30, 2**31 - 1)
"""Neighbours, and seeds that would be equal if some of their bits were dropped."""
STEPS, BATCH = 6, 32
LARGE_DOMAINS: dict[str, dict[str, Any]] = {
    "induction": {"characters": 4, "name_parts": 12, "length_tokens": 48},
    "polynomial": {"operators": ["addition", "multiplication"], "operations_minimum": 2},
    "choice": {"length_tokens": 64},
    "markov": {"length_tokens": 64},
    "star": {"degree": 4, "length": 5, "nodes": 50},
    "suffix": {"p": 11, "k": 20},
    "plan": {},
}
"""Settings with so many possible samples that two seeds practically never draw an equal one by chance."""


@pytest.fixture(scope="module")
def specs(tiny: Spec) -> dict[int, RunSpec]:
    return {seed: tiny(seed=seed, training__steps=STEPS) for seed in SEEDS}


def training_samples(spec: RunSpec) -> list[bytes]:
    """Returns the tokens of every training sample of a run up to its last target, so without padding."""
    parts = assemble(spec)
    samples = []
    for batch in training_batches(parts.task, spec, parts.device, 0):
        ends = batch.loss.shape[1] - batch.loss[:, ::-1].argmax(axis=1)
        samples += [row[:end].numpy().tobytes() for row, end in zip(batch.tokens_BxT, ends, strict=True)]
    return samples


@pytest.mark.parametrize("training_set", [None, STEPS * BATCH], ids=["endless", "fixed training set"])
@pytest.mark.parametrize("kind", LARGE_DOMAINS)
def test_no_training_sample_of_a_seed_occurs_in_those_of_another(
    tiny: Spec, kind: str, training_set: int | None
) -> None:
    task = {"kind": kind, "training_samples": training_set, **LARGE_DOMAINS[kind]}
    settings = {"task": task, "objective__n": 1, "training__steps": STEPS, "training__batch_size": BATCH}
    samples = {seed: set(training_samples(tiny(seed=seed, **settings))) for seed in SEEDS}
    assert {len(rows) for rows in samples.values()} == {STEPS * BATCH}
    assert [pair for pair in combinations(SEEDS, 2) if samples[pair[0]] & samples[pair[1]]] == []


def test_every_matrix_is_drawn_anew_for_every_seed(specs: dict[int, RunSpec]) -> None:
    weights = {seed: assemble(spec).network.state_dict() for seed, spec in specs.items()}
    for first, second in combinations(SEEDS, 2):
        equal = [name for name, value in weights[first].items() if torch.equal(value, weights[second][name])]
        assert all(weights[first][name].dim() < 2 for name in equal), f"seeds {first} and {second} share {equal}"
    rows = {seed: row_set(values) for seed, values in weights.items()}
    assert [pair for pair in combinations(SEEDS, 2) if rows[pair[0]] & rows[pair[1]]] == []


def row_set(weights: dict[str, Tensor]) -> set[bytes]:
    """Returns the rows of all matrices; a generator that merely starts elsewhere would repeat those of another seed."""
    return {row.numpy().tobytes() for value in weights.values() if value.dim() == 2 for row in value}
