"""Joint distributions of two tokens: the model's is exact, and the source's agrees with what its task declares."""

from typing import Any

import numpy as np
import pytest
import torch

from generators.task import Task
from generators.tasks.choice import Choice, ChoiceConfig
from generators.tasks.markov import Markov, MarkovConfig
from lab.analysis.estimators.pair_distributions import draw_places, has_second_head, model_log_pairs, source_pairs
from lab.run.assembly import assemble
from tests.conftest import Spec, logits_of
from tests.lab.analysis.markov_source import random_places

OBJECTIVES: list[dict[str, Any]] = [
    {"kind": "multi_token", "n": 1},
    {"kind": "multi_token", "n": 2},
    {"kind": "multi_token", "n": 2, "topology": "causal"},
    {"kind": "multi_token", "n": 2, "topology": "anticausal"},
    {"kind": "multi_token", "n": 2, "head": "linear"},
    {"kind": "multi_token", "n": 2, "stride": 3},
    {"kind": "sequential_modules", "n": 2},
    {"kind": "token_order"},
    {"kind": "registers"},
    {"kind": "next_latent"},
    {"kind": "joint", "n": 2},
]
HAVE_SECOND_HEAD = [False, True, True, True, True, False, False, False, False, False, False]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: "-".join(map(str, objective.values())))
def test_the_joint_of_a_model_is_its_next_token_path_run_on_every_continuation(
    tiny: Spec, objective: dict[str, Any]
) -> None:
    parts = assemble(tiny(objective=objective))
    network, size = parts.network.double().eval(), len(parts.task.vocabulary)
    tokens = parts.task.batch("test", np.arange(3)).tokens
    places = np.array([[1, 17, 30], [5, 5, 2], [29, 12, 3]])
    log_q = model_log_pairs(network, tokens, places)
    assert log_q.shape == (3, 3, size, size)
    for row, slot in np.ndindex(3, 3):
        place = places[row, slot]
        context = torch.from_numpy(tokens[row, :place]).repeat(size, 1)
        continued = torch.cat((context, torch.arange(size)[:, None]), dim=1)
        logs = logits_of(network, continued).log_softmax(dim=-1)
        expected = logs[:, -2].diagonal()[:, None] + logs[:, -1]
        np.testing.assert_allclose(log_q[row, slot], expected.numpy(), atol=1e-9)
    np.testing.assert_allclose(np.exp(log_q).sum(axis=(2, 3)), 1)


def test_a_second_head_is_one_that_reads_the_context_alone(tiny: Spec) -> None:
    for objective, expected in zip(OBJECTIVES, HAVE_SECOND_HEAD, strict=True):
        parts = assemble(tiny(objective=objective))
        assert has_second_head(parts.network, parts.task.batch("test", np.arange(2)).tokens) is expected, objective


SOURCES: list[Task] = [
    Markov(MarkovConfig(memory=0.5)),
    Markov(MarkovConfig(lag_tokens=2)),
    Markov(MarkovConfig(lag_tokens=3, hidden_states=4)),
    Markov(MarkovConfig(blur=0.3, hidden_states=8)),
    Choice(ChoiceConfig(noise=0.3, branching=4)),
    Choice(ChoiceConfig(decides_tokens=1)),
]


@pytest.mark.parametrize("task", SOURCES, ids=lambda task: task.name[:12])
def test_source_pairs_have_the_marginals_of_the_task_one_and_two_ahead(task: Any) -> None:
    batch = task.batch("test", np.arange(12))
    rows, places = random_places(batch, 60)
    later = places > 1  # at place 1, two ahead of the start, `distribution` knows nothing yet and the joint does
    p = source_pairs(task, batch, rows, places)
    np.testing.assert_allclose(p.sum(axis=2), task.distribution(batch)[rows, places], atol=1e-12)
    expected = task.distribution(batch, 2)[rows, places + 1]
    np.testing.assert_allclose(p.sum(axis=1)[later], expected[later], atol=1e-12)
    known = p[np.arange(60), batch.tokens[rows, places], batch.tokens[rows, places + 1]]
    next_two = [task.distribution(batch)[rows, place, batch.tokens[rows, place]] for place in (places, places + 1)]
    np.testing.assert_allclose(known, next_two[0] * next_two[1], atol=1e-12)


def test_pairs_in_closed_form_equal_those_from_the_distribution_after_every_token() -> None:
    for task in (source for source in SOURCES if isinstance(source, Markov)):

        class WithoutPairs:
            distribution = task.distribution

        batch = task.batch("test", np.arange(3))
        rows, places = random_places(batch, 12)
        np.testing.assert_allclose(
            source_pairs(WithoutPairs(), batch, rows, places), task.pairs(batch, rows, places), atol=1e-12
        )


def test_places_are_drawn_without_replacement_among_the_eligible() -> None:
    eligible = np.random.default_rng(3).random((200, 10)) < 0.4
    places, exists = draw_places(eligible, 5, np.random.default_rng(0))
    assert (exists.sum(axis=1) == np.minimum(5, eligible.sum(axis=1))).all()
    for row in range(200):
        drawn = places[row, exists[row]]
        assert eligible[row, drawn].all()
        assert len(set(drawn)) == len(drawn)
