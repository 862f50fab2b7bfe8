"""The time of a whole run: the share of its steps, of its evaluations, and of everything else."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from generators.foundation.settings import Tree
from lab.run.spec import parse_spec
from lab.run.store import TIMING, RunFolder
from lab.run.training import train

SPEC: Tree = {
    "task": {
        "kind": "induction",
        "characters": 4,
        "name_parts": 12,
        "length_tokens": 64,
        "validation_samples": 150,
        "test_samples": 500,
    },
    "model": {"size": "30k", "rotary_base": 100.0},
    "objective": {"kind": "multi_token", "n": 2},
    "training": {
        "steps": 900,
        "batch_size": 16,
        "learning_rate": 0.007,
        "warmup_steps": 50,
        "evaluate_every_steps": 150,
    },
}
"""The smaller model of the study `induction-quick`, trained on two tokens."""


def measure_run(spec_tree: Tree = SPEC) -> Tree:
    """Trains a run on one CPU core; returns its seconds, and the shares that are steps, evaluation and neither."""
    torch.set_num_threads(1)
    spec = parse_spec(spec_tree, "lab bench train")
    with TemporaryDirectory() as home:
        before = time.perf_counter()
        train(spec, Path(home))
        seconds = time.perf_counter() - before
        lines = RunFolder(Path(home), spec.identity).lines(TIMING)
    steps, evaluations = (sum(line[f"{part}_seconds"] for line in lines) for part in ("train", "evaluate"))
    shares = {"steps": steps / seconds, "evaluation": evaluations / seconds}
    return {"seconds": seconds, **shares, "other": 1 - sum(shares.values())}
