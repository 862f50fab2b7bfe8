"""Scores equal those computed by hand: what is right, what a shortcut explains, what greedy decoding would produce."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from generators.task import Batch, Task
from lab.loss.graph import Graph
from lab.model.batches import TensorBatch
from lab.run.assembly import RunParts, assemble
from lab.run.evaluation import Evaluator, selection_score, shared_evaluator
from tests.conftest import Spec, logits_of

CPU = torch.device("cpu")
SCORED = np.array(
    [
        [False, True, True, False],
        [False, False, True, True],
        [False, False, True, False],
        [False, False, False, False],
        [False, True, False, False],
    ]
)
"""Six scored tokens in five samples, of which the fourth has none."""
SHORTCUTS = {
    "poor": np.array([True, False, False, False, True, False]),
    "good": np.array([True, True, False, True, False, False]),
}
HITS = np.array([True, True, True, False, True, False])


def task_with(shortcuts: dict[str, Any]) -> Task:
    """Returns a task whose test split is SCORED, with shortcuts that are right at given scored tokens."""
    batch = Batch(tokens=np.zeros(SCORED.shape, dtype=np.int64), loss=SCORED, scored=SCORED)
    stub = SimpleNamespace(
        splits={"test": len(SCORED)}, batch=lambda split, indices: batch, shortcut_scores=lambda drawn: shortcuts
    )
    return cast(Task, stub)


def test_scores_of_chosen_hits_by_hand() -> None:
    assert Evaluator(task_with(SHORTCUTS), "test", CPU).scores(HITS) == pytest.approx(
        {
            "accuracy": 4 / 6,
            "exact": 2 / 4,  # the first and the third of the four samples that have scored tokens
            "accuracy_unexplained": 1 / 2,  # the third and the last token are explained by no shortcut
            "above_shortcuts": 4 / 6 - 3 / 6,
            "shortcut/poor": 2 / 6,
            "shortcut/good": 3 / 6,
            "shortcut_exact/poor": 1 / 4,  # the last sample alone
            "shortcut_exact/good": 1 / 4,  # the first sample alone: the second has one of its two tokens right
        }
    )


def test_scores_without_shortcuts_are_accuracy_and_exactness_alone() -> None:
    assert Evaluator(task_with({}), "test", CPU).scores(HITS) == pytest.approx({"accuracy": 4 / 6, "exact": 2 / 4})


def test_a_split_that_shortcuts_explain_whole_has_no_unexplained_accuracy() -> None:
    shortcuts = {"all": np.ones(6, dtype=bool)}
    scores = Evaluator(task_with(shortcuts), "test", CPU).scores(HITS)
    assert "accuracy_unexplained" not in scores
    assert scores["above_shortcuts"] == pytest.approx(4 / 6 - 1)


@given(right=st.lists(st.booleans(), min_size=6, max_size=6))
def test_a_shortcut_gets_the_whole_answers_of_which_it_misses_no_token(right: list[bool]) -> None:
    scores = Evaluator(task_with({"rule": np.array(right)}), "test", CPU).scores(HITS)
    answers = [all(right[:2]), all(right[2:4]), right[4], right[5]]
    assert scores["shortcut_exact/rule"] == sum(answers) / 4
    assert scores["shortcut_exact/rule"] * 4 <= scores["shortcut/rule"] * 6, "each needs at least one right token"
    assert scores["exact"] == 2 / 4


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


def test_a_model_that_equals_a_shortcut_scores_zero_above_it(tiny: Spec) -> None:
    parts = assemble(tiny())
    evaluator = Evaluator(parts.task, "test", parts.device)
    best = max(evaluator.shortcuts.values(), key=lambda right: right.mean())
    scores = evaluator.scores(best)
    assert scores["above_shortcuts"] == 0.0
    assert scores["accuracy_unexplained"] == 0.0


def test_the_best_checkpoint_is_selected_by_accuracy_or_else_by_the_next_token_loss() -> None:
    assert selection_score({"loss_1": 2.0, "loss_2": 0.1}) < selection_score({"loss_1": 1.5, "loss_2": 9.0})
    assert selection_score({"accuracy": 0.4, "loss_1": 9.0}) > selection_score({"accuracy": 0.3, "loss_1": 0.1})


def test_evaluating_in_pieces_changes_nothing(tiny: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = assemble(tiny())
    together = Evaluator(parts.task, "test", parts.device)(parts.network)
    monkeypatch.setattr("lab.run.evaluation.SAMPLES_AT_ONCE", 7)
    assert Evaluator(parts.task, "test", parts.device)(parts.network) == pytest.approx(together, rel=1e-5)


def test_columns_without_targets_are_trimmed_without_any_change(tiny: Spec) -> None:
    parts = assemble(tiny())
    batch = parts.task.batch("train", np.arange(8))
    loss = batch.loss.copy()
    loss[:, 20:] = False
    loss[:4, 15:] = False
    padded = Batch(tokens=batch.tokens, loss=loss, scored=batch.scored & loss, labels=batch.labels)
    trimmed = padded.trimmed()
    assert trimmed.tokens.shape == (8, 20)
    assert term_values(parts, trimmed) == pytest.approx(term_values(parts, padded), rel=1e-5)


def term_values(parts: RunParts, batch: Batch) -> list[float]:
    tensors = TensorBatch.from_batch(batch, parts.device, np.arange(len(batch)))
    with torch.no_grad():
        terms = parts.network.terms(parts.network.latent(tensors), tensors, Graph())
        return [float(term.value) for term in terms]


def test_all_runs_of_a_process_on_one_task_share_their_held_out_splits(tiny: Spec) -> None:
    first, other = assemble(tiny()), assemble(tiny(objective__n=3, seed=1))
    shared = shared_evaluator(first.task.config, "validation", first.device)
    assert shared_evaluator(other.task.config, "validation", other.device) is shared
    assert shared_evaluator(first.task.config, "test", first.device) is not shared
    alone = Evaluator(other.task, "validation", other.device)
    shared(first.network)  # leaves nothing behind that another network would read
    assert shared(other.network) == alone(other.network)
