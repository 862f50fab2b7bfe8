"""A spec file of a few steps."""

from pathlib import Path

import pytest

SPEC = """
[task]
kind = "induction"
test_samples = 20
validation_samples = 20
[model]
width = 16
layers = 3
attention_heads = 2
[objective]
kind = "multi_token"
n = 2
[training]
steps = 4
batch_size = 4
learning_rate = 1e-3
evaluate_every_steps = 2
"""


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    return path
