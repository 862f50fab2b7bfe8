"""The spec of a run of a few steps, as a user writes it."""

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
