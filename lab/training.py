"""The training loop: same spec, same machine, same bytes, also when it is killed at any moment and run again.

Data at a step is a function of the step, weights are drawn from the seed, nothing else is random; so the
progress of a run is its weights, its optimiser and a step number, written together after each evaluation. A run
that has a start begins with weights of that run, which is trained first where it is not complete.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from generators.errors import WorkFailed
from generators.settings import Tree
from generators.task import Task
from lab.assembly import Parts, assemble
from lab.batches import TensorBatch
from lab.checkpoints import part
from lab.evaluation import Evaluator, selection_score
from lab.loss import descend
from lab.model.network import compile_blocks
from lab.objectives.objective import Objective
from lab.spec import RunSpec, Start, TrainingConfig
from lab.starting import take_over
from lab.store import BEST, LAST, METRICS, TIMING, Held, RunFolder
from lab.stored import kept_weights, stored_weights

DRAWN_AT_ONCE = 32
"""Steps whose data is drawn in one call: numpy's cost per call is then small beside the step's."""
WAIT_SECONDS = 0.5
"""Between two looks at a start that another process is training."""
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may add in another order each time

Progress = Callable[[int], None]


def silent(step: int) -> None:
    """Progress that nobody asked for."""


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Rate of optimiser step 0, 1, ...: linear warm-up to the peak, then a cosine that ends at its last step."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps + 1) / max(1, config.steps - config.warmup_steps)
    low = config.final_learning_rate_fraction
    return config.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def optimiser(network: Objective, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW on what is not frozen; weight decay on matrices only."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.dim() >= 2]
    vectors = [parameter for parameter in trained if parameter.dim() < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)


def batches(task: Task, spec: RunSpec, device: torch.device, start: int) -> Iterator[TensorBatch]:
    """The training batches of steps start, start + 1, ...: step s reads samples s B .. s B + B - 1."""
    size, steps = spec.training.batch_size, spec.training.steps
    for first in range(start, steps, DRAWN_AT_ONCE):
        count = min(DRAWN_AT_ONCE, steps - first)
        drawn = task.batch("train", np.arange(first * size, (first + count) * size), spec.seed)
        for step in range(first, first + count):
            indices = np.arange(step * size, (step + 1) * size)
            yield TensorBatch.of(drawn.take(indices - first * size).trimmed(), device, indices, step)


class Run:
    """A run in progress."""

    def __init__(self, spec: RunSpec, folder: RunFolder, parts: Parts) -> None:
        self.spec, self.folder, self.parts = spec, folder, parts
        self.network = parts.network
        if spec.training.compile:
            compile_blocks(self.network, spec.training.cuda_graphs)
        self.adam = optimiser(self.network, spec.training)
        self.step = 0
        self.best_step, self.best_score = 0, -math.inf
        self.validation = Evaluator(parts.task, "validation", parts.device)
        self.trained: dict[str, tuple[Tensor, int]] = {}
        self.logged = {METRICS: 0, TIMING: 0}
        self.clock = time.perf_counter()

    def train(self, progress: Progress) -> Tree:
        """From where the run stands to its result."""
        self.resume()
        config = self.spec.training
        for batch in batches(self.parts.task, self.spec, self.parts.device, self.step):
            if self.stalled():
                break
            self.descend(batch)
            self.step += 1
            if self.step % config.evaluate_every_steps == 0 or self.step == config.steps:
                self.evaluate()
                progress(self.step)
        return self.finish()

    def stalled(self) -> bool:
        """Whether early stopping ends the run here; from what a checkpoint holds, so that kills change nothing."""
        patience = self.spec.training.stop_after_evaluations
        return patience is not None and self.step - self.best_step >= patience * self.spec.training.evaluate_every_steps

    def begin(self) -> None:
        """What recorded kernels have written until now may be written over."""
        if self.spec.training.cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

    def descend(self, batch: TensorBatch) -> None:
        """One optimiser step."""
        config = self.spec.training
        self.begin()
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(config, self.step)
        with torch.autocast(self.parts.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            terms = descend(self.network, batch, config.loss, config.micro_batches, config.compile)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        self.adam.step()
        self.adam.zero_grad()
        for name, value in terms.items():
            if name in self.trained:
                total, steps = self.trained[name]
                self.trained[name] = total + value, steps + 1
            else:
                self.trained[name] = value, 1

    def evaluate(self) -> None:
        """Log the mean training losses since the last time and the validation metrics; write a checkpoint."""
        training = {name: float(total) / steps for name, (total, steps) in self.trained.items()}
        self.trained.clear()
        trained_seconds = self.lap()
        self.begin()
        metrics = self.validation(self.network)
        self.require_finite(training, metrics)
        rate = learning_rate(self.spec.training, self.step - 1)
        self.log(METRICS, {"step": self.step, "split": "train", **training, "learning_rate": rate})
        self.log(METRICS, {"step": self.step, "split": "validation", **metrics})
        score = selection_score(metrics)
        if score > self.best_score:
            self.best_step, self.best_score = self.step, score
            self.folder.write_tensors(BEST, self.network.state_dict(), {"step": self.step})
        every = self.spec.training.keep_every_steps
        if every is not None and self.step % every == 0:
            self.folder.write_tensors(kept_weights(self.step), self.network.state_dict(), {"step": self.step})
        seconds = {"train_seconds": round(trained_seconds, 4), "evaluate_seconds": round(self.lap(), 4)}
        self.log(TIMING, {"step": self.step, **seconds})
        self.checkpoint()

    def require_finite(self, *measured: dict[str, float]) -> None:
        """A number that is none is no measurement: the run has diverged."""
        if not all(math.isfinite(value) for values in measured for value in values.values()):
            raise Diverged(self.step)

    def log(self, log: str, line: Tree) -> None:
        """One line behind a log. Lines are counted: bytes of the timing would differ between equal runs."""
        self.folder.append(log, line)
        self.logged[log] += 1

    def lap(self) -> float:
        """Seconds since the last lap."""
        before, self.clock = self.clock, time.perf_counter()
        return self.clock - before

    def checkpoint(self) -> None:
        """Everything the run needs to go on, in one file."""
        tensors = {f"model.{name}": value for name, value in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            tensors |= {f"adam.{slot}.{name}": value for slot, value in self.adam.state.get(parameter, {}).items()}
        progress = {"step": self.step, "best_step": self.best_step, "best_score": self.best_score}
        progress |= self.logged
        self.folder.write_tensors(LAST, tensors, progress)

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is one; cut off what was logged after it."""
        stored = self.folder.read_tensors(LAST)
        tensors, progress = stored or ({}, self.logged)
        for log in self.logged:
            self.logged[log] = progress[log]
            self.folder.cut(log, progress[log])
        if not stored:
            return
        self.step, self.best_step, self.best_score = (progress[key] for key in ("step", "best_step", "best_score"))
        self.best_weights()
        try:
            self.network.load_state_dict(part(tensors, "model."))
        except RuntimeError:  # torch's message lists every name
            kind = self.spec.objective.kind
            raise self.folder.damaged(LAST, f"the weights are not those of objective {kind} as it is now") from None
        slots = {slot: part(tensors, f"adam.{slot}.") for slot in ("step", "exp_avg", "exp_avg_sq")}
        for name, parameter in self.network.named_parameters():
            if name in slots["step"]:  # a head that has not been trained yet has no state
                self.adam.state[parameter] = {slot: values[name].to(parameter.device) for slot, values in slots.items()}

    def best_weights(self) -> dict[str, Tensor]:
        """Those of the best checkpoint. A kill may have left one ahead of the run, which will write it again."""
        stored = self.folder.read_tensors(BEST)
        assert stored is not None, "it was written before the checkpoint this run stands at"
        tensors, progress = stored
        if progress["step"] != self.best_step and progress["step"] <= self.step:
            raise self.folder.damaged(BEST, f"is of step {progress['step']}, and {LAST} has it of {self.best_step}")
        return tensors

    def finish(self) -> Tree:
        """Score the last and the best checkpoint on the test splits; with their validation this is the run's result."""
        tests = {
            split: Evaluator(self.parts.task, split, self.parts.device)
            for split, size in self.parts.task.splits.items()
            if size is not None and split not in ("train", "validation")
        }
        self.begin()
        last = best = self.logged_validation(self.step) | {split: test(self.network) for split, test in tests.items()}
        if self.best_step < self.step:
            self.network.load_state_dict(self.best_weights())
            self.begin()
            best = self.logged_validation(self.best_step) | {split: test(self.network) for split, test in tests.items()}
        self.require_finite(*last.values(), *best.values())
        result = {
            "status": "complete",
            "steps": self.step,
            "best_step": self.best_step,
            "stopped_early": self.step < self.spec.training.steps,
            "scores": {"last": last, "best": best},
            "parameters": self.network.parameters_by_part(),
        }
        self.log(TIMING, {"step": self.step, "train_seconds": 0.0, "evaluate_seconds": round(self.lap(), 4)})
        return result

    def logged_validation(self, step: int) -> dict[str, dict[str, float]]:
        """The validation metrics of a step that was evaluated, under the name of the split."""
        lines = self.folder.lines(METRICS)
        (found,) = (line for line in lines if line["step"] == step and line["split"] == "validation")
        return {found["split"]: {name: value for name, value in found.items() if name not in ("step", "split")}}


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """A GPU computes the same bytes each time in here; by default its attention adds gradients in any order."""
    if device.type == "cpu":
        yield
        return
    memory: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False  # nothing here reads memory before it is written
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        memory.fill_uninitialized_memory = before[1]


class Diverged(WorkFailed):
    """A loss that is not a number."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss was not a finite number by step {step}; a smaller learning rate may do")
        self.step = step


def train(spec: RunSpec, home: Path, progress: Progress = silent, start_progress: Progress = silent) -> Tree:
    """Train a run, or take it up where it stands, or return its result where it is complete.

    Args:
        progress: called with the step after each evaluation; start_progress the same for the run it starts from.

    Raises:
        UserError: the spec cannot be built, or the folder is held by another process.
        WorkFailed: the disk gave out, or the run it starts from diverged.
            A run that itself diverges is a result: {"status": "diverged", ...}.
    """
    torch.set_num_threads(1)
    folder = RunFolder(home, spec.identity)
    if (result := folder.result()) is not None:
        return result
    parts = assemble(spec)
    with folder.locked(spec), repeatable(parts.device):
        folder.write_environment(spec)
        if spec.start is not None and not (folder.path / LAST).exists():
            take_over(spec, parts.network, start_weights(spec.start, home, start_progress))
        try:
            result = Run(spec, folder, parts).train(progress)
        except Diverged as error:
            result = {"status": "diverged", "steps": error.step, "reason": str(error)}
        if spec.start is not None:
            result["start"] = spec.start.run.identity
        folder.write_result(result)
    return result


def start_weights(start: Start, home: Path, progress: Progress) -> dict[str, Tensor]:
    """The weights a run starts from; their run is trained where it is not complete, or waited for where another
    process is at it."""
    while True:
        try:
            result = train(start.run, home, progress)
            break
        except Held:
            time.sleep(WAIT_SECONDS)
    folder = RunFolder(home, start.run.identity)
    if result["status"] != "complete":
        raise WorkFailed(f"{folder.path}: the run to start from {result['status']}: {result['reason']}")
    return stored_weights(folder, start.checkpoint)[0]
