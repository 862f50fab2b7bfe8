"""One small search file for all tests: five settings, six trials in batches of three, runs of two steps.

path = write_small_search(tmp_path, ("trials = 6", "trials = 3"))     the file with some of its text replaced
"""

from pathlib import Path

SMALL_SEARCH = """
title = "Small"
question = "Which?"
cost = "parameters"
trials = 6
batch = 3
confirm_seeds = 2

[base.task]
kind = "induction"
characters = 3
name_parts = 4
length_tokens = 24
validation_samples = 8
test_samples = 8

[base.model]
attention_heads = 1
layers = 3

[base.objective]
kind = "multi_token"
match = "none"

[base.training]
steps = 2
batch_size = 2
evaluate_every_steps = 2

[space]
"objective.n" = [2, 1]
"model.width" = [8, 16]
"objective.head" = ["none", "linear"]
"objective.unembedding" = ["shared", "replicated"]
"training.learning_rate" = { low = 0.001, high = 0.1 }

[scales.cpu]
summary = "a few seconds"
"""


def write_small_search(folder: Path, *replacements: tuple[str, str]) -> Path:
    """Writes the search file as small.toml, with the given text replacements, and returns its path."""
    text = SMALL_SEARCH
    for old, new in replacements:
        assert old in text, f"the small search has no {old!r}"
        text = text.replace(old, new)
    path = folder / "small.toml"
    path.write_text(text)
    return path
