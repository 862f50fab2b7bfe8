"""The part `decoding`: self-speculation with the paper's draft lengths against plain greedy decoding.

Two runs are trained briefly on this device, so that drafts are accepted at a rate that is neither 0 nor 1.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.gpu.plan import Plan
from generators.foundation.settings import Tree
from lab.bench.decode import measure_speculation
from lab.decoding.prompts import prompts_of
from lab.run.spec import parse_spec
from lab.run.stored_run import StoredRun
from lab.run.training import train

MODEL: Tree = {"width": 512, "layers": 10, "attention_heads": 8}
QUICK_MODEL: Tree = {"width": 16, "layers": 10, "attention_heads": 1}
TASK: Tree = {"kind": "text", "length_tokens": 256, "validation_samples": 64, "test_samples": 64}
QUICK_TASK: Tree = {**TASK, "length_tokens": 64, "validation_samples": 4, "test_samples": 4}
OBJECTIVES: dict[str, tuple[Tree, tuple[int, ...]]] = {
    "n=4": ({"kind": "multi_token", "n": 4}, (2, 3, 4)),
    "n=8, replicated": ({"kind": "multi_token", "n": 8, "head": "none", "unembedding": "replicated"}, (2, 4, 8)),
}
"""Name -> objective and draft lengths, as in the paper."""
STEPS, TURNS, TOKENS = 300, 3, 48
BATCHES, QUICK_BATCHES = (1, 16), (1, 2)


def measure(plan: Plan) -> None:
    """Trains a run for each objective, then decodes with both, and writes a row per batch size and draft length."""
    with TemporaryDirectory() as home:
        runs = {name: trained_run(plan, objective, Path(home)) for name, (objective, _) in OBJECTIVES.items()}
        for samples in BATCHES if not plan.quick else QUICK_BATCHES:
            for name, (_, drafts) in OBJECTIVES.items():
                batch = runs[name].parts.task.batch("test", np.arange(samples))
                prompts, lengths, room = prompts_of(batch)
                count, turns = (min(room, TOKENS), TURNS) if not plan.quick else (8, 1)
                for row in measure_speculation(name, runs[name], [(prompts, lengths)], count, drafts, turns):
                    plan.write(**{key: value for key, value in row.items() if key != "acceptance"})


def trained_run(plan: Plan, objective: Tree, home: Path) -> StoredRun:
    """Trains a run and reads its last checkpoint."""
    steps = STEPS if not plan.quick else 4
    training: Tree = {"steps": steps, "evaluate_every_steps": steps, "warmup_steps": steps // 4, "learning_rate": 1e-3}
    training |= {"precision": "bf16" if plan.on_gpu else "fp32"}
    spec = parse_spec(
        {
            "seed": 0,
            "task": TASK if not plan.quick else QUICK_TASK,
            "model": MODEL if not plan.quick else QUICK_MODEL,
            "objective": objective,
            "training": {**training, "batch_size": 32 if not plan.quick else 2, "device": plan.device},
        },
        "benchmarks.gpu",
    )
    train(spec, home)
    return StoredRun(home, spec.identity, "last")
