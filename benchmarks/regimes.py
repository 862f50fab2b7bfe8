"""Looks for settings in which predicting two tokens helps a small model, as in figures 7 and 8 of the paper.

    python -m benchmarks.regimes induction [SETTING]...     every setting by default
    python -m benchmarks.regimes polynomial [SETTING]...

Trains each arm on seeds that no study uses, and prints one row for each run, with the step at which it solved its task
and its scores at the end. A run that is stored already is not trained again.
"""

import sys
from pathlib import Path

from generators.foundation.settings import Tree
from lab.run.spec import RunSpec, parse_spec
from lab.run.store import METRICS, RunFolder
from lab.run.training import train

HOME = Path("experiments/regimes")
SEEDS = (1000, 1001)
ARMS = {
    "next token": {"n": 1},
    "two linear heads": {"n": 2, "head": "linear"},
    "two heads": {"n": 2},
}
FAMILIES: dict[str, tuple[Tree, dict[str, Tree]]] = {
    "induction": (
        {
            "task.kind": "induction",
            "task.characters": 4,
            "task.name_parts": 12,
            "task.validation_samples": 100,
            "task.test_samples": 500,
            "model.size": "100k",
            "model.rotary_base": 100.0,
            "training.steps": 2000,
            "training.batch_size": 16,
            "training.warmup_steps": 100,
            "training.evaluate_every_steps": 100,
            "training.learning_rate": 0.006,
            "training.stop_when_solved": {"metric": "accuracy", "at": 0.95},
        },
        {
            "as in induction-heads": {},
            "80 name parts": {"task.name_parts": 80},
            "8 characters": {"task.name_parts": 24, "task.characters": 8},
            "8 characters, 6,000 steps": {"task.name_parts": 24, "task.characters": 8, "training.steps": 6000},
            "rotary base 10,000": {"model.rotary_base": 10000.0},
            "half other text": {"task.other_share": 0.5, "training.steps": 4000},
            "0.8 other text": {"task.other_share": 0.8, "training.steps": 4000},
            "2,000 stories": {"task.training_samples": 2000},
            "500 stories": {"task.training_samples": 500},
            "128 tokens": {"task.length_tokens": 128, "training.batch_size": 8},
            "300k": {"model.size": "300k", "training.learning_rate": 0.004},
            "1M": {"model.size": "1M", "training.learning_rate": 0.002},
            "300k, 2,000 stories, half other text": {
                "model.size": "300k",
                "training.learning_rate": 0.004,
                "task.training_samples": 2000,
                "task.other_share": 0.5,
                "training.steps": 3000,
            },
        },
    ),
    "polynomial": (
        {
            "task.kind": "polynomial",
            "task.p": 3,
            "task.k": 2,
            "task.operations_maximum": 3,
            "task.test_operations": [1, 2, 3, 4],
            "task.validation_samples": 500,
            "task.test_samples": 1000,
            "model.width": 48,
            "model.layers": 4,
            "model.attention_heads": 4,
            "model.rotary_base": 100.0,
            "training.steps": 1000,
            "training.batch_size": 32,
            "training.warmup_steps": 50,
            "training.evaluate_every_steps": 500,
            "training.learning_rate": 0.004,
        },
        {
            "four times the steps": {"training.steps": 4000},
            "width 96": {
                "model.width": 96,
                "training.steps": 2000,
                "training.learning_rate": 0.002,
            },
            "20,000 expressions": {"training.steps": 4000, "task.training_samples": 20000},
        },
    ),
}


def spec_of(base: Tree, changes: Tree, arm: Tree, seed: int) -> RunSpec:
    """Returns the spec of one run; the heads of every arm are added to the layers of the next-token model."""
    tree: Tree = {"objective": {"kind": "multi_token", "match": "none", **arm}, "seed": seed}
    for key, value in {**base, **changes}.items():
        table, name = key.split(".")
        tree.setdefault(table, {})[name] = value
    return parse_spec(tree, "benchmarks.regimes")


def row_of(spec: RunSpec) -> str:
    """Trains a run and returns its step to solve, if it has a threshold, and its last scores on the test splits."""
    result = train(spec, HOME)
    if result["status"] != "complete":
        return result["status"]
    solved, metric = spec.training.stop_when_solved, "exact"
    texts = []
    if solved is not None:
        metric = solved.metric
        step = solved.first_step(RunFolder(HOME, spec.identity).lines(METRICS))
        texts.append(f"solved at {step}" if step else "not solved")
    scores = result["scores"]["last"]
    texts += [f"{split} {scores[split][metric]:.3f}" for split in scores if split != "validation"]
    return ", ".join(texts)


def main(family: str, *names: str) -> None:
    """Trains the arms of some settings of a family, seed by seed."""
    base, settings = FAMILIES[family]
    for name in names or settings:
        for arm, objective in ARMS.items():
            for seed in SEEDS:
                print(f"{name} | {arm} | {seed} | {row_of(spec_of(base, settings[name], objective, seed))}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
