"""Scores beside shortcuts: hits of a network and hits of a shortcut refer to the same token of the same sample."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.foundation.randomness import Integers
from generators.table import build_task
from generators.task import Batch, Mask, Task, whole_answers
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from lab.run.assembly import assemble
from lab.run.evaluation import Evaluator
from lab.run.store import METRICS, RunFolder
from lab.run.training import train
from tests.conftest import Spec, logits_of

TASKS: dict[str, dict[str, Any]] = {
    "induction": {"characters": 3, "name_parts": 6, "length_tokens": 32},
    "polynomial": {"p": 3, "k": 2, "operations_maximum": 2, "test_operations": [2]},
    "star": {"degree": 3, "length": 4, "nodes": 20},
    "suffix": {"p": 5, "k": 5},
    "plan": {"depth": 2, "width": 2, "others": 1, "edges": 6, "names": 12},
}
CPU = torch.device("cpu")
SAMPLES = 40


class Predictor:
    """Stands for a network that predicts given tokens.

    Args:
        predictions: the prediction of the token at each position of each sample of the split [N, T].
    """

    def __init__(self, predictions: Integers, vocabulary: int) -> None:
        self.predictions, self.vocabulary = torch.from_numpy(predictions), vocabulary

    def latent(self, batch: TensorBatch) -> Tensor:
        return self.predictions[batch.indices, 1 : batch.tokens_BxT.shape[1], None]

    def terms(self, *_: object) -> Iterator[Any]:
        return iter(())

    def hidden(self, latent_BxPx1: Tensor, lag: int, tokens_BxP: Tensor) -> Tensor:
        return latent_BxPx1

    def unembed(self, hidden_Nx1: Tensor, lag: int) -> Tensor:
        return torch.nn.functional.one_hot(hidden_Nx1[:, 0], self.vocabulary).float()


class RecordingEvaluator(Evaluator):
    """An evaluator of the test split in small pieces, which keeps the hits of the network that it scored last."""

    hits: Mask

    def scores(self, hits: Mask) -> dict[str, float]:
        self.hits = hits
        return super().scores(hits)


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest, tiny: Spec, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setattr("lab.run.evaluation.SAMPLES_AT_ONCE", 7)
    sizes = {"validation_samples": SAMPLES, "test_samples": SAMPLES}
    return build_task(tiny(task={"kind": request.param, **TASKS[request.param], **sizes}).task)


def evaluator_of(task: Task) -> RecordingEvaluator:
    return RecordingEvaluator(task, task.test_split, CPU)


def whole_split(task: Task) -> Batch:
    return task.batch(task.test_split, np.arange(SAMPLES))


def scores_of(evaluator: Evaluator, task: Task, predictions: Integers) -> dict[str, float]:
    return evaluator(cast(Objective, Predictor(predictions, len(task.vocabulary))))


def shortcut_predictions(task: Task, name: str) -> Integers:
    """Returns the prediction of a shortcut for each token [N, T], and a wrong token where it has no answer."""
    batch = whole_split(task)
    predictions = task.shortcuts[name](batch)
    return np.where(predictions < 0, (batch.tokens + 1) % len(task.vocabulary), predictions)


def hits_by_loop(batch: Batch, predictions: Integers) -> list[bool]:
    """Returns whether each scored token is predicted, sample by sample and in reading order."""
    return [
        bool(predictions[sample, place] == batch.tokens[sample, place])
        for sample in range(len(batch))
        for place in range(batch.tokens.shape[1])
        if batch.scored[sample, place]
    ]


def test_hits_of_a_network_and_of_every_shortcut_align_token_by_token(task: Task) -> None:
    batch, evaluator = whole_split(task), evaluator_of(task)
    assert evaluator.shortcuts.keys() == task.shortcuts.keys()
    for name, hits in evaluator.shortcuts.items():
        predictions = shortcut_predictions(task, name)
        expected = hits_by_loop(batch, predictions)
        scores_of(evaluator, task, predictions)
        assert hits.tolist() == evaluator.hits.tolist() == expected
    assert 0 < max(hits.mean() for hits in evaluator.shortcuts.values()) < 1


def test_a_whole_answer_of_a_shortcut_is_right_where_all_its_tokens_are(task: Task) -> None:
    batch, evaluator = whole_split(task), evaluator_of(task)
    for name, hits in evaluator.shortcuts.items():
        predictions = shortcut_predictions(task, name)
        answers = [
            all(predictions[sample, batch.scored[sample]] == batch.tokens[sample, batch.scored[sample]])
            for sample in range(SAMPLES)
            if batch.scored[sample].any()
        ]
        assert whole_answers(batch, hits).tolist() == answers
        assert evaluator.exact_of_shortcuts[f"shortcut_exact/{name}"] == pytest.approx(np.mean(answers))


def test_hits_of_a_trained_network_align_with_those_of_the_shortcuts(task: Task, tiny: Spec) -> None:
    network = assemble(tiny(task=task.config.model_dump(mode="json"), objective__n=1)).network
    batch, evaluator = whole_split(task), evaluator_of(task)
    evaluator(network)
    predictions = np.full_like(batch.tokens, -1)
    for sample, tokens in enumerate(torch.from_numpy(batch.tokens)):
        predictions[sample, 1:] = logits_of(network, tokens[None, :-1])[0].argmax(dim=-1).numpy()
    assert evaluator.hits.tolist() == hits_by_loop(batch, predictions)


def test_a_network_equal_to_a_shortcut_has_nothing_unexplained(task: Task) -> None:
    evaluator, above = evaluator_of(task), {}
    for name in task.shortcuts:
        scores = scores_of(evaluator, task, shortcut_predictions(task, name))
        assert scores["accuracy"] == scores[f"shortcut/{name}"]
        assert scores["exact"] == scores[f"shortcut_exact/{name}"]
        assert scores["accuracy_unexplained"] == 0
        above[name] = scores["above_shortcuts"]
    best = max(task.shortcuts, key=lambda name: scores[f"shortcut/{name}"])
    assert above[best] == 0
    assert all(difference < 0 for name, difference in above.items() if name != best)


def test_a_run_stores_the_shortcuts_whole_answers_beside_its_own(tiny: Spec, tmp_path: Path) -> None:
    star = {"kind": "star", **TASKS["star"], "validation_samples": SAMPLES, "test_samples": SAMPLES}
    spec = tiny(task=star)
    result = train(spec, tmp_path)
    logged = [line for line in RunFolder(tmp_path, spec.identity).lines(METRICS) if line["split"] == "validation"]
    task = build_task(spec.task)
    for split, lines in (("test", [result["scores"]["best"]["test"]]), ("validation", logged)):
        batch = task.batch(split, np.arange(SAMPLES))
        for name, right in task.shortcut_scores(batch).items():
            share = pytest.approx(whole_answers(batch, right).mean())
            assert lines
            assert all(line[f"shortcut_exact/{name}"] == share for line in lines)


def test_tokens_that_no_shortcut_predicts_are_counted_as_unexplained(task: Task) -> None:
    """The network is right about every second of these tokens, and about no other."""
    batch = whole_split(task)
    guesses = [shortcut_predictions(task, name) for name in task.shortcuts]
    predictions = (batch.tokens + 1) % len(task.vocabulary)
    unexplained = [
        (sample, place)
        for sample, place in np.argwhere(batch.scored)
        if all(guess[sample, place] != batch.tokens[sample, place] for guess in guesses)
    ]
    for sample, place in unexplained[::2]:
        predictions[sample, place] = batch.tokens[sample, place]
    scores = scores_of(evaluator_of(task), task, predictions)
    right = len(unexplained[::2])
    assert 0 < right < len(unexplained)
    assert scores["accuracy_unexplained"] == pytest.approx(right / len(unexplained))
    assert scores["accuracy"] == pytest.approx(right / batch.scored.sum())
    assert scores["exact"] < scores["accuracy_unexplained"]
