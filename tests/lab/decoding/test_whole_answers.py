"""A whole answer counts as right exactly if free greedy decoding writes it: in evaluation, and in items."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from generators.foundation.randomness import Integers
from generators.material.items import Items, items
from generators.task import Mask
from lab.decoding.decoder import decode
from lab.decoding.item_scores import item_scores, score_items
from lab.decoding.prompts import prompts_of
from lab.run.assembly import RunParts, assemble
from lab.run.evaluation import Evaluator
from lab.run.spec import parse_spec
from lab.run.step import OptimiserStep
from lab.run.training_data import training_batches
from tests.conftest import logits_of, tiny_tree

TASKS: dict[str, dict[str, Any]] = {
    "polynomial": {"kind": "polynomial", "p": 3, "k": 3, "operations_maximum": 2, "test_operations": [2]},
    "star": {"kind": "star", "degree": 2, "length": 4, "nodes": 7, "reversed": True, "validation_samples": 64},
}
"""Tasks whose answers have three tokens."""
TEXT = {"kind": "text", "length_tokens": 32, "test_samples": 12, "validation_samples": 8}
ANSWER_TOKENS = 5


@cache
def trained(kind: str, steps: int = 80) -> RunParts:
    """Trains so little that some answers are right and some half right; in double precision, so that no logits tie."""
    task = {**TASKS[kind], "loss_on": "answer", "test_samples": 200}
    training = {"training__steps": steps, "training__batch_size": 32, "training__learning_rate": 0.02}
    spec = parse_spec(tiny_tree(task=task, model__width=32, objective__n=1, **training), "the test's spec")
    parts = assemble(spec)
    optimiser_step = OptimiserStep(parts.network, spec.training)
    for step, batch in enumerate(training_batches(parts.task, spec, parts.device, 0)):
        optimiser_step.take(batch, step)
    parts.network.double()
    return parts


@dataclass(frozen=True)
class FreeAnswers:
    """The true answers of a test split [B, A] and those that greedy decoding writes after the prompts alone [B, A]."""

    true: Integers
    decoded: Integers

    @property
    def whole(self) -> Mask:
        """The samples whose answer is right in every token [B]."""
        right: Mask = (self.true == self.decoded).all(axis=1)
        return right

    @property
    def partial(self) -> Mask:
        """The samples whose answer is right in some tokens and wrong in others [B]."""
        some: Mask = (self.true == self.decoded).any(axis=1) & ~self.whole
        return some


def free_answers(parts: RunParts) -> FreeAnswers:
    split = parts.task.test_split
    batch = parts.task.batch(split, np.arange(parts.task.splits[split] or 0))
    (size,) = set(batch.scored.sum(axis=1).tolist())
    prompts, lengths, _ = prompts_of(batch)
    assert all(row.argmax() == length for row, length in zip(batch.scored, lengths, strict=True))
    decoded = decode(parts.network, prompts, lengths, size).tokens
    return FreeAnswers(batch.tokens[batch.scored].reshape(-1, size), decoded)


@pytest.mark.parametrize("kind", TASKS)
def test_exact_is_the_share_of_whole_answers_of_free_greedy_decoding(kind: str) -> None:
    parts = trained(kind)
    answers = free_answers(parts)
    assert answers.true.shape == (200, 3)
    assert answers.whole.any()
    assert answers.partial.any()
    scores = Evaluator(parts.task, parts.task.test_split, parts.device)(parts.network)
    assert scores["exact"] == pytest.approx(answers.whole.mean(), abs=1e-12)
    assert scores["exact"] < scores["accuracy"]


# ---- items with answers of several tokens


@pytest.fixture(scope="module")
def text_parts() -> RunParts:
    """A network of random weights on bytes, in double precision."""
    parts = assemble(parse_spec(tiny_tree(task=TEXT), "the test's spec"))
    parts.network.double()
    return parts


def generate(parts: RunParts, posed: Items) -> Integers:
    """Continues every prompt by the most likely token, rereading everything before each token [B, A]."""
    answers = np.empty_like(posed.answers)
    for row, length in enumerate(posed.lengths):
        tokens = posed.prompts[row, :length].tolist()
        for _ in range(answers.shape[1]):
            tokens.append(int(logits_of(parts.network, torch.tensor([tokens]))[0, -1].argmax()))
        answers[row] = tokens[length:]
    return answers


def text_items(parts: RunParts) -> Items:
    """Poses items whose prompts have different lengths."""
    posed = items(parts.task, "test", answer_tokens=ANSWER_TOKENS)
    lengths = posed.lengths - np.arange(len(posed)) % 4
    kept = np.arange(posed.prompts.shape[1]) < lengths[:, None]
    return replace(posed, prompts=np.where(kept, posed.prompts, 0), lengths=lengths)


def with_answers(posed: Items, answers: Integers) -> Items:
    """Returns the items with other answers [B, A], which take the place of the old ones among the options."""
    options = posed.options.copy()
    options[np.arange(len(posed)), posed.right] = answers
    return replace(posed, answers=answers, options=options)


def test_an_item_matches_exactly_if_every_token_of_its_answer_is_generated(text_parts: RunParts) -> None:
    """Answers are what the network generates, of which items 1 to 5 have one token changed, and 6 and 7 all."""
    posed = text_items(text_parts)
    answers = generate(text_parts, posed)
    assert len(set(map(tuple, answers.tolist()))) > 5, "generated answers differ between prompts"
    changed = answers.copy()
    for token in range(ANSWER_TOKENS):
        changed[1 + token, token] = (answers[1 + token, token] + 1) % 256
    changed[6:8] = (answers[6:8] + 1) % 256
    posed = with_answers(posed, changed)
    expected = [1, *(7 * [0]), *((len(posed) - 8) * [1])]
    assert item_scores(text_parts, posed)["generation"]["exact_match"].tolist() == expected
    assert score_items(text_parts, posed)["generation"]["exact_match"] == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("at_once", [1, 5])
def test_items_match_what_generate_gives_however_many_are_decoded_at_once(
    text_parts: RunParts, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("lab.decoding.item_scores.SEQUENCES_AT_ONCE", at_once)
    posed = text_items(text_parts)
    own = generate(text_parts, posed)
    shifted = with_answers(posed, np.roll(own, 1, axis=0))
    expected = (own == shifted.answers).all(axis=1)
    assert not expected.all()
    assert item_scores(text_parts, with_answers(posed, own))["generation"]["exact_match"].all()
    assert (item_scores(text_parts, shifted)["generation"]["exact_match"] == expected).all()
