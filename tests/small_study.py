"""One small study file for all tests: two factors, two claims, runs of three steps.

text = small_study(("seeds = 5", "seeds = 8"))                     the file with some of its text replaced
path = write_small_study(tmp_path, ("seeds = 5", "seeds = 8"))     the same, written as small.toml
"""

import tomllib
from pathlib import Path

SMALL = """
title = "A small study"
question = "Does it?"
paper = "figure 0"
seeds = 5
metric = "accuracy"
shortcut = "name_before"

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

[base.training]
steps = 3
batch_size = 2
learning_rate = 0.01
evaluate_every_steps = 3

[factors]
"model.width" = [8, 16]
"objective.n" = [1, 2]

[tuning]
trials = 2
search."training.learning_rate" = { low = 0.001, high = 0.1 }

[[claims]]
name = "helps"
text = "Two are better than one."
paper = "far better"
kind = "difference"
factor = "objective.n"
treatment = 2
control = 1
where = { "model.width" = "first" }

[[claims]]
name = "same"
text = "Two are no different from one."
paper = "no advantage"
kind = "equivalence"
margin = 0.1
factor = "objective.n"
treatment = 2
control = 1
where = { "model.width" = 16 }

[scales.cpu]
summary = "a few seconds"

[scales.smoke]
summary = "fewer"
seeds = 2
trials = 1
"""

Replacement = tuple[str, str]


def small_study(*replacements: Replacement) -> str:
    """Returns the study file with pieces of its text replaced, each of which must be there."""
    text = SMALL
    for old, new in replacements:
        assert old in text, f"the small study has no {old!r}"
        text = text.replace(old, new)
    tomllib.loads(text)
    return text


def write_small_study(folder: Path, *replacements: Replacement, name: str = "small") -> Path:
    """Writes the small study's file with the given text replacements and returns its path."""
    path = folder / f"{name}.toml"
    path.write_text(small_study(*replacements))
    return path
