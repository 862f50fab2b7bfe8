"""Compares runs that are trained as one stack with the same runs trained alone, on a CPU in double precision.

    python -m benchmarks.stacked [--steps 12] [--device cpu]

Three runs, which differ in seed and learning rate, are three rows of a stack of four. The table shows, for every
shipped objective, the largest difference of a loss at any step and of a weight after the last step, or the reason why
runs of that objective are trained alone.
"""

import argparse
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.verdicts import print_table
from generators.foundation.settings import Tree
from lab.loss.compiler import Compiler
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from lab.run.assembly import assemble
from lab.run.spec import RunSpec, parse_spec
from lab.run.stacking.batch_stack import BatchStack
from lab.run.stacking.network_stack import NetworkStack
from lab.run.stacking.problem import stacking_problem
from lab.run.stacking.stacked_step import StackedStep
from lab.run.step import OptimiserStep
from lab.run.training_data import drawn_batches

ROWS, RUNS = 4, 3
STAR: Tree = {"kind": "star", "degree": 2, "length": 3, "nodes": 12, "validation_samples": 8, "test_samples": 8}
LLAMA: Tree = {"width": 16, "layers": 5, "attention_heads": 2}
GPT, GRU = LLAMA | {"kind": "gpt"}, {"kind": "gru", "width": 16, "layers": 5}
TRAINING: Tree = {"batch_size": 8, "learning_rate": 0.01, "warmup_steps": 3, "stack": ROWS}
HEADS: Tree = {"kind": "multi_token", "n": 3}
CASES: dict[str, Tree] = {
    "multi_token, n = 1": {"objective": {"kind": "multi_token", "n": 1}},
    "multi_token, parallel heads": {"objective": HEADS},
    "multi_token, causal heads": {"objective": HEADS | {"topology": "causal"}},
    "multi_token, anticausal heads": {"objective": HEADS | {"topology": "anticausal"}},
    "multi_token, linear heads": {"objective": HEADS | {"head": "linear"}},
    "multi_token, replicated unembeddings": {"objective": HEADS | {"head": "none", "unembedding": "replicated"}},
    "multi_token, stride 2": {"objective": HEADS | {"stride": 2}},
    "multi_token, curriculum": {"objective": HEADS | {"curriculum": "forward", "stage_steps": 3}},
    "multi_token, entropy_at_most": {"objective": HEADS | {"entropy_at_most": 2.5}},
    "sequential_modules": {"objective": {"kind": "sequential_modules", "n": 3}},
    "token_order": {"objective": {"kind": "token_order"}},
    "token_order, hinge": {"objective": {"kind": "token_order", "ranking": "hinge"}},
    "registers": {"objective": {"kind": "registers"}},
    "next_latent": {"objective": {"kind": "next_latent"}},
    "future_summary": {"objective": {"kind": "future_summary"}},
    "joint": {"objective": {"kind": "joint"}},
    "teacherless": {"objective": {"kind": "teacherless"}},
    "masked_teacher": {"objective": {"kind": "masked_teacher"}},
    "belief_state": {"objective": {"kind": "belief_state"}},
    "multi_token on a GPT": {"objective": HEADS, "model": GPT},
    "multi_token on a GRU": {"objective": HEADS, "model": GRU},
    "multi_token with SGD": {"objective": HEADS, "training": {"optimiser": "sgd", "beta2": 0.95}},
    "multi_token with Muon": {"objective": HEADS, "training": {"optimiser": "muon"}},
    "multi_token on polynomials": {"objective": HEADS, "task": {"kind": "polynomial"}},
}
"""Name -> the tables that differ from those of the other cases; every shipped objective is among them."""


@dataclass(frozen=True)
class Difference:
    """The largest differences between runs of a stack and the same runs alone, or why there is no stack."""

    loss: float = 0.0
    weight: float = 0.0
    problem: str = ""


def spec_of(case: Tree, steps: int, seed: int, device: str = "cpu") -> RunSpec:
    """Returns the spec of one of the runs of a case."""
    training = {**TRAINING, "steps": steps, "evaluate_every_steps": steps, "device": device, **case.get("training", {})}
    training["learning_rate"] = TRAINING["learning_rate"] * (1 + seed)
    task, model = case.get("task", STAR), case.get("model", LLAMA)
    return parse_spec(
        {"task": task, "model": model, "objective": case["objective"], "training": training, "seed": seed}, "a case"
    )


def difference_of(case: Tree, steps: int, device: str = "cpu", compiler: Compiler | None = None) -> Difference:
    """Trains the runs of a case in a stack, compiled or not, and alone, in double precision; compares every step."""
    specs = [spec_of(case, steps, seed, device) for seed in range(RUNS)]
    if problem := stacking_problem(specs[0]):
        return Difference(problem=problem)
    parts = [assemble(spec) for spec in specs]
    networks: list[Objective] = [part.network.double() for part in parts]
    sources = [row if row < RUNS else 0 for row in range(ROWS)]
    stack = NetworkStack(networks[0], ROWS, compiler)
    stack.fill([networks[source] for source in sources])
    together = StackedStep(stack, specs[0].training)
    together.trainings = [specs[source].training for source in sources]
    alone = [OptimiserStep(assemble(spec).network.double(), spec.training) for spec in specs]
    data = [drawn_batches(part.task, spec, 0) for part, spec in zip(parts, specs, strict=True)]
    largest = 0.0
    for step in range(steps):
        drawn = [next(batches) for batches in data]
        indices = drawn[0][1]
        batches = [batch for _, _, batch in drawn]
        stacked_batch = BatchStack.of([batches[source] for source in sources], parts[0].device, indices, step)
        values = together.take(stacked_batch, step)
        for row, (own, batch) in enumerate(zip(alone, batches, strict=True)):
            losses = own.take(TensorBatch.from_batch(batch, own.device, indices, step), step)
            largest = max(largest, *(float((values[name][row] - loss).abs()) for name, loss in losses.items()))
    weights = [
        float((stacked.detach()[row] - own.network.get_parameter(name).detach()).abs().max())
        for name, stacked in stack.named.items()
        for row, own in enumerate(alone)
    ]
    return Difference(largest, max(weights))


def main(arguments: Any = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = []
    for name, case in CASES.items():
        difference = difference_of(case, options.steps, options.device)
        numbers = [f"{difference.loss:.1e}", f"{difference.weight:.1e}"]
        rows.append([name, *(numbers if not difference.problem else [f"trained alone: {difference.problem}", ""])])
    title = f"Largest differences between stacked and solo runs in {options.steps} steps, in double precision"
    print_table(title, ["runs", "of a loss", "of a weight"], rows)


if __name__ == "__main__":
    main()
