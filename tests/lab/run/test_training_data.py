"""The training data of a step depends on the task, the seed and the step, and on nothing else."""

from typing import Any

import pytest
import torch

from lab.run.assembly import assemble
from lab.run.training_data import training_batches
from tests.conftest import Spec


def test_the_data_of_a_step_does_not_depend_on_where_a_run_resumed(tiny: Spec) -> None:
    spec = tiny(training__steps=70)
    parts = assemble(spec)
    from_start = [batch.tokens_BxT for batch in training_batches(parts.task, spec, parts.device, 0)]
    resumed = [batch.tokens_BxT for batch in training_batches(parts.task, spec, parts.device, 45)]
    assert len(from_start) == 70
    assert all(torch.equal(a, b) for a, b in zip(from_start[45:], resumed, strict=True))


def test_arms_that_differ_only_in_n_see_the_same_data(tiny: Spec) -> None:
    tokens = []
    for n in (1, 3):
        spec = tiny(objective__n=n)
        parts = assemble(spec)
        tokens.append(torch.cat([batch.tokens_BxT for batch in training_batches(parts.task, spec, parts.device, 0)]))
    assert torch.equal(tokens[0], tokens[1])


FIXED_SETS: dict[str, dict[str, Any]] = {
    "induction": {"characters": 3, "name_parts": 6, "length_tokens": 32},
    "choice": {"length_tokens": 16},
    "markov": {"length_tokens": 32},
    "star": {"degree": 2, "length": 3, "nodes": 10},
    "suffix": {"p": 7, "k": 5},
    "satisfiability": {},
    "countdown": {},
    "group": {"group": "A4"},
    "plan": {},
}


@pytest.mark.parametrize("kind", FIXED_SETS)
def test_epochs_over_a_fixed_set_read_the_same_samples_in_another_order(tiny: Spec, kind: str) -> None:
    task = {"kind": kind, "training_samples": 8, **FIXED_SETS[kind]}
    spec = tiny(task=task, objective__n=1, training__steps=6, training__batch_size=4)
    parts = assemble(spec)
    steps = [batch.tokens_BxT.tolist() for batch in training_batches(parts.task, spec, parts.device, 0)]
    samples = [tuple(row) for rows in steps for row in rows]
    epochs = [samples[start : start + 8] for start in (0, 8, 16)]
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2])
    assert epochs[0] != epochs[1]
    resumed = [batch.tokens_BxT.tolist() for batch in training_batches(parts.task, spec, parts.device, 3)]
    assert resumed == steps[3:]
