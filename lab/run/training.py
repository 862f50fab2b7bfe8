"""The training loop: equal specs on one machine give equal bytes, even if a run is killed at any moment and resumed.

The data of a step depends on the step alone, the weights are drawn from the seed, and nothing else is random. The
progress of a run is therefore its weights, its optimiser and a step number, which are written together after each
evaluation. A finetuning run begins with the weights of the run it starts from, which is trained first if necessary.
"""

import math
import time
from pathlib import Path

import torch
from torch import Tensor

from generators.foundation.errors import WorkFailed
from generators.foundation.settings import Tree
from lab.model.batches import TensorBatch
from lab.run.assembly import RunParts, assemble
from lab.run.callbacks.metrics import LineReport, OnMetrics
from lab.run.callbacks.progress import Progress, no_progress
from lab.run.checkpoints import select_prefix
from lab.run.evaluation import Evaluator, selection_score, shared_evaluator
from lab.run.files import FolderInUse
from lab.run.finetuning import load_start_weights
from lab.run.other_code.replacing import put_in_place, training_folder
from lab.run.other_code.standing import OtherCode, check_code, standing_result
from lab.run.schedule import learning_rate
from lab.run.spec import RunSpec, Start
from lab.run.step import OptimiserStep, deterministic, shortage_reported
from lab.run.store import BEST, LAST, METRICS, TIMING, RunFolder
from lab.run.stored_run import kept_weights_file, load_weights
from lab.run.training_data import seed_digests, training_batches

WAIT_SECONDS = 0.5
"""Time between attempts to train a start that another process is training."""


class Diverged(WorkFailed):
    """Raised when a loss or metric is not finite."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss was not a finite number by step {step}; a smaller learning rate may do")
        self.step = step


class TrainingRun:
    """A run while it is trained.

    Attributes:
        step: optimiser steps taken.
        best_step, best_score: the evaluation with the best validation score so far.
    """

    def __init__(self, spec: RunSpec, folder: RunFolder, parts: RunParts, on_metrics: OnMetrics | None = None) -> None:
        self.spec, self.folder, self.parts = spec, folder, parts
        self.report = LineReport(on_metrics)
        self.network = parts.network
        self.optimiser_step = OptimiserStep(self.network, spec.training)
        self.step = 0
        self.best_step, self.best_score = 0, -math.inf
        self.validation = shared_evaluator(spec.task, "validation", parts.device)
        self.loss_sums: dict[str, tuple[Tensor, int]] = {}
        self.logged_lines = {METRICS: 0, TIMING: 0}
        self.clock = time.perf_counter()

    def train(self, progress: Progress) -> Tree:
        """Resumes from the last checkpoint, trains to the end and returns the result."""
        self.resume()
        self.clock += self.report.pass_on(self.folder.lines(METRICS))
        config = self.spec.training
        for batch in training_batches(self.parts.task, self.spec, self.parts.device, self.step):
            if self.should_stop():
                break
            self.take_step(batch)
            self.step += 1
            if self.step % config.evaluate_every_steps == 0 or self.step == config.steps:
                self.evaluate()
                progress(self.step)
        return self.finish()

    def should_stop(self) -> bool:
        """Returns whether early stopping ends the run here, which depends on nothing that a kill would lose."""
        config = self.spec.training
        solved = config.stop_when_solved
        if solved and self.step % config.evaluate_every_steps == 0 and solved.first_step(self.folder.lines(METRICS)):
            return True
        patience = config.stop_after_evaluations
        return patience is not None and self.step - self.best_step >= patience * config.evaluate_every_steps

    def take_step(self, batch: TensorBatch) -> None:
        """Takes one optimiser step and adds its losses to the running sums."""
        for name, value in self.optimiser_step.take(batch, self.step).items():
            if name in self.loss_sums:
                total, steps = self.loss_sums[name]
                self.loss_sums[name] = total + value, steps + 1
            else:
                self.loss_sums[name] = value, 1

    def evaluate(self) -> None:
        """Logs the mean training losses since the last evaluation and the validation metrics; writes a checkpoint.

        Raises:
            Diverged: one of them is not a finite number.
        """
        training = {name: float(total) / steps for name, (total, steps) in self.loss_sums.items()}
        self.loss_sums.clear()
        train_seconds = self.lap()
        self.optimiser_step.release_outputs()
        metrics = self.validation(self.network)
        self.require_finite(training, metrics)
        rate = learning_rate(self.spec.training, self.step - 1)
        losses: Tree = {"step": self.step, "split": "train", **training, "learning_rate": rate}
        scores: Tree = {"step": self.step, "split": "validation", **metrics}
        self.log(METRICS, losses)
        self.log(METRICS, scores)
        score = selection_score(metrics)
        if score > self.best_score:
            self.best_step, self.best_score = self.step, score
            self.folder.write_tensors(BEST, self.network.state_dict(), {"step": self.step})
        every = self.spec.training.keep_every_steps
        if every is not None and self.step % every == 0:
            self.folder.write_tensors(kept_weights_file(self.step), self.network.state_dict(), {"step": self.step})
        seconds = {"train_seconds": round(train_seconds, 4), "evaluate_seconds": round(self.lap(), 4)}
        self.log(TIMING, {"step": self.step, **seconds})
        self.write_checkpoint()
        self.clock += self.report.pass_on((losses, scores))  # the time of a callback is no training

    def require_finite(self, *metrics: dict[str, float]) -> None:
        """Raises Diverged on a non-finite value."""
        if not all(math.isfinite(value) for values in metrics for value in values.values()):
            raise Diverged(self.step)

    def log(self, log: str, line: Tree) -> None:
        """Appends a line to a log and counts it. (Bytes are not counted, because those of the timing differ between
        runs.)
        """
        self.folder.append(log, line)
        self.logged_lines[log] += 1

    def lap(self) -> float:
        """Returns the seconds since the last lap."""
        before, self.clock = self.clock, time.perf_counter()
        return self.clock - before

    def write_checkpoint(self) -> None:
        """Writes everything that the run needs to resume, in one file."""
        tensors = {f"model.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= self.optimiser_step.optimiser.checkpoint_tensors()
        progress = {"step": self.step, "best_step": self.best_step, "best_score": self.best_score}
        progress |= self.logged_lines
        self.folder.write_tensors(LAST, tensors, progress)

    def resume(self) -> None:
        """Restores the last checkpoint, if there is one, and truncates the logs to its step."""
        stored = self.folder.read_tensors(LAST)
        tensors, progress = stored or ({}, self.logged_lines)
        for log in self.logged_lines:
            self.logged_lines[log] = progress[log]
            self.folder.truncate(log, progress[log])
        if not stored:
            return
        self.step, self.best_step, self.best_score = (progress[key] for key in ("step", "best_step", "best_score"))
        self.read_best_weights()
        try:
            self.network.load_state_dict(select_prefix(tensors, "model."))
        except RuntimeError:  # torch's message lists every name
            kind = self.spec.objective.kind
            raise self.folder.damaged(LAST, f"the weights do not fit objective {kind} as it is now") from None
        self.optimiser_step.optimiser.load(tensors)

    def read_best_weights(self) -> dict[str, Tensor]:
        """Reads the weights of the best checkpoint.

        If the run was killed, the stored best checkpoint may be of a later step than the one the run resumes from; the
        run will write that checkpoint again.
        """
        stored = self.folder.read_tensors(BEST)
        assert stored is not None, "every last checkpoint is written after a best one"
        tensors, progress = stored
        if progress["step"] != self.best_step and progress["step"] <= self.step:
            raise self.folder.damaged(BEST, f"is of step {progress['step']}, but {LAST} has it at {self.best_step}")
        return tensors

    def finish(self) -> Tree:
        """Scores the last and the best checkpoint on the test splits and returns the result of the run.

        Raises:
            Diverged: a metric is not a finite number.
        """
        tests = {
            split: shared_evaluator(self.spec.task, split, self.parts.device)
            for split, size in self.parts.task.splits.items()
            if size is not None and split not in ("train", "validation")
        }
        self.optimiser_step.release_outputs()
        last = best = self.all_scores(self.step, tests)
        if self.best_step < self.step:
            self.network.load_state_dict(self.read_best_weights())
            self.optimiser_step.release_outputs()
            best = self.all_scores(self.best_step, tests)
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

    def all_scores(self, step: int, tests: dict[str, Evaluator]) -> dict[str, dict[str, float]]:
        """Returns the logged validation metrics of a step and the test metrics of the current weights, by split."""
        return self.folder.validation_scores(step) | {split: test(self.network) for split, test in tests.items()}


def train(
    spec: RunSpec,
    home: Path | str,
    progress: Progress = no_progress,
    start_progress: Progress = no_progress,
    source: str = "",
    other_code: OtherCode = "refuse",
    on_metrics: OnMetrics | None = None,
) -> Tree:
    """Trains a run, resumes it, or returns its result if it is complete.

    Args:
        home: the folder that holds `runs`.
        progress: called with the step after each evaluation.
        start_progress: the same for the run that a finetuning run starts from.
        source: the file that the spec comes from, named first in errors about it.
        other_code: what to do with a stored run that was made by code other than the installed code.
        on_metrics: called with each line of the run's log; those that are stored already come first.

    Returns:
        The result of the run; if it diverges, {"status": "diverged", ...}.

    Raises:
        OtherCodeError: different code made the stored run, and `other_code` is "refuse"; or it made the run to start
            from.
        UserError: the spec cannot be built, or another process is training the run.
        WorkFailed: disk or memory is full, the run to start from diverged, or `on_metrics` raised an error.
    """
    torch.set_num_threads(1)
    run = RunFolder(Path(home), spec.identity)
    if (result := standing_result(run, other_code)) is not None:
        if on_metrics is not None:
            LineReport(on_metrics).pass_on(run.lines(METRICS))
        return result
    with shortage_reported(run.path):
        parts = assemble(spec, source)
    with shortage_reported(run.path), run.locked(spec), deterministic(parts.device):
        folder = training_folder(run, other_code)
        folder.write_environment(spec)
        digests = seed_digests(parts.network, next(training_batches(parts.task, spec, parts.device, 0)))
        if spec.start is not None and not (folder.path / LAST).exists():
            kept = folder is run and other_code in ("refuse", "keep")
            start_weights = train_start(spec.start, Path(home), start_progress, other_code if kept else "renew")
            load_start_weights(spec, parts.network, start_weights)
        try:
            result = TrainingRun(spec, folder, parts, on_metrics).train(progress)
        except Diverged as error:
            result = {"status": "diverged", "steps": error.step, "reason": str(error)}
        result["seed_digests"] = digests
        if spec.start is not None:
            result["start"] = spec.start.run.identity
        folder.write_result(result)
        put_in_place(run)
    return result


def train_start(start: Start, home: Path, progress: Progress, other_code: OtherCode) -> dict[str, Tensor]:
    """Returns the weights that a finetuning run starts from.

    Their run is trained if it is not complete; if another process is training it, this one waits.

    Raises:
        OtherCodeError: different code made the run, and `other_code` is "refuse" or "keep".
        WorkFailed: the run diverged.
    """
    while True:
        try:
            result = train(start.run, home, progress, other_code=other_code)
            break
        except FolderInUse:
            time.sleep(WAIT_SECONDS)
    folder = RunFolder(home, start.run.identity)
    check_code(folder)
    if result["status"] != "complete":
        raise WorkFailed(f"{folder.path}: the run to start from {result['status']}: {result['reason']}")
    return load_weights(folder, start.checkpoint)[0]
