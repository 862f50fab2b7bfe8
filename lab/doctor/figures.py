"""Tiny runs whose losses are known.

The expected losses were measured on x86-64 with torch 2.13. They were the same to 1 part in 10 million with one thread
and with two, with AVX-512, AVX2 and neither, with oneDNN restricted to SSE4.1, with weights in float64, and with torch
2.6. Without weight decay they change by 2 parts in 10,000, and without gradient clipping by 8 parts. The tolerance of 1
part in 10,000 lies between.
"""

import tempfile
from pathlib import Path

from generators.foundation.settings import Tree
from lab.run.spec import RunSpec, parse_spec
from lab.run.training import train

TINY_RUN: Tree = {
    "task": {"kind": "induction", "characters": 2, "length_tokens": 32, "validation_samples": 8, "test_samples": 8},
    "model": {"width": 8, "layers": 3, "attention_heads": 1},
    "training": {
        "steps": 12,
        "batch_size": 4,
        "learning_rate": 1e-2,
        "warmup_steps": 2,
        "evaluate_every_steps": 4,
    },
    "seed": 0,
}
MULTI_TOKEN: Tree = {"kind": "multi_token", "n": 2}
EXPECTED: list[tuple[Tree, dict[str, float]]] = [
    (MULTI_TOKEN, {"loss_1": 4.671300, "loss_2": 4.531879}),
    ({"kind": "registers"}, {"loss_1": 4.709371, "loss_registers": 4.880285}),
]
"""Objective -> validation losses in nats after the last step."""
TOLERANCE = 1e-4


def tiny_spec(objective: Tree) -> RunSpec:
    """Returns the spec of the tiny run with an objective."""
    return parse_spec({**TINY_RUN, "objective": objective}, "the doctor's run")


def train_twice() -> str:
    """Trains a tiny run twice and compares the results.

    Raises:
        AssertionError: the results differ.
    """
    spec = tiny_spec(MULTI_TOKEN)
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        if train(spec, Path(first)) != train(spec, Path(second)):
            raise AssertionError("two runs of one spec gave different results on this machine")
    return "two runs of one tiny spec gave the same results"


def compare_figures() -> str:
    """Trains a tiny run with each of two objectives and compares its losses with the expected ones.

    Raises:
        AssertionError: a loss is wrong; the message names every wrong loss.
    """
    off = []
    for objective, expected in EXPECTED:
        with tempfile.TemporaryDirectory() as home:
            result = train(tiny_spec(objective), Path(home))
        losses = result["scores"]["last"]["validation"] if result["status"] == "complete" else {}
        for name, value in expected.items():
            loss = losses.get(name, float("nan"))
            if not abs(loss - value) <= TOLERANCE * value:
                steps = TINY_RUN["training"]["steps"]
                off.append(f"{name} of {objective['kind']} after {steps} steps is {loss:z.6f} instead of {value:z.6f}")
    if off:
        raise AssertionError("; ".join(off))
    count = sum(len(expected) for _, expected in EXPECTED)
    return f"{count} losses of tiny runs agree with the reference values to within {TOLERANCE:z.2%}"
