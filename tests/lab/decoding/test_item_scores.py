"""Scores of items: answers and likelihoods as computed token by token, and chance for a random network."""

import json

import numpy as np
import pytest
import torch

from generators.material.items import items
from lab.decoding.item_scores import generate_answers, option_log_likelihoods, score_items
from lab.run.assembly import RunParts, assemble
from lab.run.spec import parse_spec
from tests.conftest import Lab, Spec, logits_of


@pytest.fixture
def parts(tiny: Spec) -> RunParts:
    return assemble(tiny(task__characters=4, task__name_parts=8, task__length_tokens=40))


def test_generated_answers_are_greedy_token_by_token() -> None:
    text = bytes_parts()
    posed = items(text.task, "test", np.arange(6), answer_tokens=5)
    generated = generate_answers(text, posed)
    for row in range(6):
        sequence = posed.prompts[row, : posed.lengths[row]].tolist()
        for _ in range(5):
            sequence.append(int(logits_of(text.network, torch.tensor([sequence]))[0, -1].argmax()))
        assert sequence[-5:] == generated[row].tolist()


def bytes_parts() -> RunParts:
    """Returns the task and network of an untrained byte-level run, whose answers have several tokens."""
    tree = {
        "task": {"kind": "text", "length_tokens": 32, "test_samples": 8, "validation_samples": 8},
        "model": {"width": 16, "layers": 3, "attention_heads": 2},
        "objective": {"kind": "multi_token", "n": 2},
        "training": {"steps": 1, "batch_size": 1, "learning_rate": 0.1, "evaluate_every_steps": 1},
    }
    return assemble(parse_spec(tree, "the test's spec"))


def test_log_likelihoods_are_sums_over_the_tokens_of_an_option() -> None:
    text = bytes_parts()
    posed = items(text.task, "test", np.arange(3), answer_tokens=4)
    log_p_options = option_log_likelihoods(text, posed)
    for row in range(3):
        for option in range(4):
            sequence = [*posed.prompts[row, : posed.lengths[row]], *posed.options[row, option]]
            log_p = logits_of(text.network, torch.tensor([sequence[:-1]]))[0, -4:].log_softmax(-1)
            expected = sum(float(log_p[k, token]) for k, token in enumerate(posed.options[row, option]))
            assert log_p_options[row, option] == pytest.approx(expected, rel=1e-4)


def test_a_random_network_is_at_chance_and_chooses_what_it_generates_if_that_is_an_option(parts: RunParts) -> None:
    posed = items(parts.task, "test", options=3)
    scores = score_items(parts, posed)
    error = np.sqrt((1 / 3) * (2 / 3) / len(posed))
    assert abs(scores["choice"]["accuracy"] - 1 / 3) < 4 * error
    assert scores["choice"]["chance"] == pytest.approx(1 / 3)
    generated = generate_answers(parts, posed)[:, 0]
    chosen = posed.options[np.arange(len(posed)), option_log_likelihoods(parts, posed).argmax(axis=1), 0]
    among = (posed.options[:, :, 0] == generated[:, None]).any(axis=1)
    assert (generated[among] == chosen[among]).all(), "the likeliest token of all is the likeliest option"


def test_lab_score_scores_items(lab: Lab, spec_file: str, tmp_path: str) -> None:
    trained = json.loads(lab("train", spec_file, "--home", tmp_path, "--set", "task.length_tokens=64", "--json").stdout)
    value = json.loads(lab("score", trained["run"], "--items", "--home", tmp_path, "--json").stdout)
    assert value["scores"].keys() == {
        "generation/exact_match",
        "generation/rouge_l",
        "choice/accuracy",
        "choice/chance",
        "choice/items",
    }
    assert value["scores"]["choice/chance"] == 0.25
