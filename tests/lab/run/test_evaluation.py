"""Scores by hand: what counts as right, what a shortcut explains, and what greedy decoding would produce."""

import numpy as np
import pytest
import torch

from generators.task import Batch
from lab.loss.graph import Graph
from lab.model.batches import TensorBatch
from lab.run.assembly import RunParts, assemble
from lab.run.evaluation import Evaluator, selection_score
from tests.conftest import Spec, logits_of


@pytest.fixture
def evaluator(tiny: Spec) -> Evaluator:
    parts = assemble(tiny())
    return Evaluator(parts.task, "test", parts.device)


def test_scores_of_chosen_hits_by_hand(evaluator: Evaluator) -> None:
    evaluator.samples = np.array([0, 0, 1, 1, 2, 4])
    evaluator.shortcuts = {
        "one": np.array([True, False, False, False, True, False]),
        "two": np.array([True, True, False, False, False, False]),
    }
    scores = evaluator.scores(np.array([True, True, True, False, True, False]))
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["exact"] == pytest.approx(2 / 4), "samples 0 and 2 of the four that have scored tokens"
    assert scores["shortcut/one"] == pytest.approx(2 / 6)
    assert scores["above_shortcuts"] == pytest.approx(4 / 6 - 2 / 6)
    assert scores["accuracy_unexplained"] == pytest.approx(1 / 3), "tokens 2, 3 and 5 are explained by no shortcut"


def test_accuracy_and_loss_equal_a_naive_loop_over_samples(tiny: Spec) -> None:
    parts = assemble(tiny(objective__n=2))
    scores = Evaluator(parts.task, "test", parts.device)(parts.network)
    batch = parts.task.batch("test", np.arange(24))
    hits, losses = [], {1: [], 2: []}
    for tokens, scored in zip(batch.tokens, batch.scored, strict=True):
        row = torch.from_numpy(tokens)[None]
        for lag in (1, 2):
            log_p = logits_of(parts.network, row[:, :-1], lag)[0].log_softmax(-1)
            losses[lag] += [-float(log_p[t, tokens[t + lag]]) for t in range(len(tokens) - lag)]
            if lag == 1:
                hits += [int(log_p[t - 1].argmax()) == tokens[t] for t in np.flatnonzero(scored)]
    assert scores["accuracy"] == pytest.approx(np.mean(hits))
    assert [scores["loss_1"], scores["loss_2"]] == pytest.approx([np.mean(losses[1]), np.mean(losses[2])], rel=1e-5)


def test_a_perfect_matcher_scores_one_and_beats_every_shortcut(tiny: Spec) -> None:
    parts = assemble(tiny())
    evaluator = Evaluator(parts.task, "test", parts.device)
    scores = evaluator.scores(np.ones(len(evaluator.samples), dtype=bool))
    assert scores["accuracy"] == scores["exact"] == scores["accuracy_unexplained"] == 1.0
    assert scores["above_shortcuts"] > 0.3


def test_a_model_that_is_a_shortcut_scores_nothing_above_it(tiny: Spec) -> None:
    parts = assemble(tiny())
    evaluator = Evaluator(parts.task, "test", parts.device)
    best = max(evaluator.shortcuts.values(), key=lambda right: right.mean())
    scores = evaluator.scores(best)
    assert scores["above_shortcuts"] == 0.0
    assert scores["accuracy_unexplained"] == 0.0


def test_without_scored_tokens_selection_is_by_the_next_token_loss() -> None:
    assert selection_score({"loss_1": 2.0, "loss_2": 0.1}) < selection_score({"loss_1": 1.5, "loss_2": 9.0})
    assert selection_score({"accuracy": 0.4, "loss_1": 9.0}) > selection_score({"accuracy": 0.3, "loss_1": 0.1})


def test_evaluating_in_pieces_changes_nothing(tiny: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = assemble(tiny())
    whole = Evaluator(parts.task, "test", parts.device)(parts.network)
    monkeypatch.setattr("lab.run.evaluation.SAMPLES_AT_ONCE", 7)
    assert Evaluator(parts.task, "test", parts.device)(parts.network) == pytest.approx(whole, rel=1e-5)


def test_columns_in_which_nothing_is_asked_are_left_out_and_change_nothing(tiny: Spec) -> None:
    parts = assemble(tiny())
    batch = parts.task.batch("train", np.arange(8))
    loss = batch.loss.copy()
    loss[:, 20:] = False
    loss[:4, 15:] = False
    padded = Batch(tokens=batch.tokens, loss=loss, scored=batch.scored & loss, labels=batch.labels)
    trimmed = padded.trimmed()
    assert trimmed.tokens.shape == (8, 20)
    for one, other in zip(*(losses(parts, each) for each in (padded, trimmed)), strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def losses(parts: RunParts, batch: Batch) -> list[float]:
    tensors = TensorBatch.from_batch(batch, parts.device, np.arange(len(batch)))
    with torch.no_grad():
        terms = parts.network.terms(parts.network.latent(tensors), tensors, Graph())
        return [float(term.value) for term in terms]
