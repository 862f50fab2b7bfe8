"""A matrix of two tasks and three objectives, whose runs take a few steps."""

from pathlib import Path

MINI = """
title = "A small matrix"
question = "Which?"
text = "Each row meets each column."
caveat = "It is small."
metric = "exact"
solved_at = 0.9
seeds = 8
baseline = "next-token"

[training]
batch_size = 2
learning_rate = 0.01

[tuning]
trials = 1
search."training.learning_rate" = { low = 0.001, high = 0.1 }

[tasks.sums]
title = "sums"
paper = "far better"
solved_at = 0.01
shortcut = "subtract"
task = { kind = "suffix", p = 7, k = 3, validation_samples = 8, test_samples = 8 }
model = { width = 8, layers = 2, attention_heads = 1 }
training = { steps = 40, warmup_steps = 8, evaluate_every_steps = 20 }

[tasks.graphs]
title = "graphs"
paper = "nothing"
task = { kind = "star", degree = 2, length = 3, nodes = 6, validation_samples = 8, test_samples = 8 }
model = { width = 16, layers = 2, attention_heads = 2 }
training = { steps = 20, evaluate_every_steps = 10 }
scales.smoke = { "task.nodes" = 7 }

[objectives.next-token]
title = "next token"
objective = { kind = "multi_token", n = 1 }

[objectives.heads]
title = "heads"
objective = { kind = "multi_token", n = 2, head = "transformer", match = "none" }

[objectives.token-order]
title = "token order"
objective = { kind = "token_order" }

[scales.smoke]
summary = "seconds"
seeds = 2
trials = 0
set = { "training.steps" = 4, "training.warmup_steps" = 2, "training.evaluate_every_steps" = 2 }

[scales.cpu]
summary = "minutes"
"""


def write_mini_matrix(folder: Path) -> Path:
    """Writes the matrix as a collection of a catalog; returns the folder of the catalog."""
    (folder / "collections").mkdir()
    (folder / "collections" / "mini.toml").write_text(MINI)
    return folder
