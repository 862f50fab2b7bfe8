"""A vocabulary of two tokens, the smallest of any task, trains with finite losses; drafts change no decoded token."""

import json
import math
from pathlib import Path

import pytest

from tests.conftest import Lab

SPEC = """
[task]
kind = "markov"
vocabulary_tokens = 2
length_tokens = 128
validation_samples = 4
test_samples = 4
[model]
width = 8
layers = 3
attention_heads = 1
[objective]
{objective}
[training]
steps = 2
batch_size = 2
learning_rate = 0.01
evaluate_every_steps = 2
loss = "{loss}"
"""


@pytest.mark.parametrize(
    ("objective", "loss", "draft"),
    [('kind = "multi_token"\nn = 2', "chunked", 2), ('kind = "token_order"', "sequential", 1)],
)
def test_a_vocabulary_of_two_tokens_trains_and_decodes(
    objective: str, loss: str, draft: int, tmp_path: Path, lab: Lab
) -> None:
    spec = tmp_path / "two.toml"
    spec.write_text(SPEC.format(objective=objective, loss=loss))
    trained = lab("train", spec, "--home", tmp_path, "--json")
    assert trained.returncode == 0, trained.stderr
    run = json.loads(trained.stdout)["run"]
    scores = json.loads(lab("score", run, "--home", tmp_path, "--json").stdout)
    losses = [value for key, value in scores["scores"].items() if key.startswith("loss_")]
    assert losses
    assert all(math.isfinite(value) and value > 0 for value in losses)
    decoded = json.loads(lab("decode", run, "--draft", draft, "--home", tmp_path, "--json").stdout)
    assert decoded["same_as_plain"] is True
    assert set(decoded["continuation"].split()) <= {"0", "1"}
