"""The progress of one run: what it logs, which checkpoint is the best, and how it resumes and ends.

The progress is the weights of the run, its optimiser and a step number, which are written together after each
evaluation. Whatever takes the steps and computes the metrics, be it one network or a stack of several, hands both over.
"""

import math
import time
from typing import Protocol

from torch import Tensor

from generators.foundation.errors import WorkFailed
from generators.foundation.settings import Tree
from lab.run.assembly import RunParts
from lab.run.callbacks.metrics import LineReport, OnMetrics
from lab.run.checkpoints import select_prefix
from lab.run.evaluation import Evaluator, selection_score, shared_evaluator
from lab.run.schedule import learning_rate
from lab.run.spec import RunSpec
from lab.run.store import BEST, LAST, METRICS, TIMING, RunFolder
from lab.run.stored_run import kept_weights_file

Scores = dict[str, dict[str, float]]
"""Split -> metric -> value."""


class Diverged(WorkFailed):
    """Raised when a loss or metric is not finite."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss was not a finite number by step {step}; a smaller learning rate may do")
        self.step = step


class OptimiserState(Protocol):
    """The state of an optimiser, as checkpoints keep it."""

    def checkpoint_tensors(self) -> dict[str, Tensor]:
        """Returns the state by its name in a checkpoint."""

    def load(self, tensors: dict[str, Tensor], /) -> None:
        """Replaces the state by that of a checkpoint, which may hold other tensors too."""


class RunProgress:
    """The progress of a run.

    Attributes:
        step: optimiser steps taken.
        best_step, best_score: the evaluation with the best validation score so far.
    """

    def __init__(
        self,
        spec: RunSpec,
        folder: RunFolder,
        parts: RunParts,
        optimiser: OptimiserState,
        on_metrics: OnMetrics | None = None,
    ) -> None:
        self.spec, self.folder, self.parts, self.optimiser = spec, folder, parts, optimiser
        self.report = LineReport(on_metrics)
        self.network = parts.network
        self.step = 0
        self.best_step, self.best_score = 0, -math.inf
        self.validation = shared_evaluator(spec.task, "validation", parts.device)
        self.logged_lines = {METRICS: 0, TIMING: 0}
        self.clock = time.perf_counter()

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
        self.optimiser.load(tensors)

    def should_stop(self) -> bool:
        """Returns whether early stopping ends the run here, which depends on nothing that a kill would lose."""
        config = self.spec.training
        solved = config.stop_when_solved
        if solved and self.step % config.evaluate_every_steps == 0 and solved.first_step(self.folder.lines(METRICS)):
            return True
        patience = config.stop_after_evaluations
        return patience is not None and self.step - self.best_step >= patience * config.evaluate_every_steps

    def is_evaluated_at(self, step: int) -> bool:
        """Returns whether the run is evaluated after its first `step` steps."""
        config = self.spec.training
        return step % config.evaluate_every_steps == 0 or step == config.steps

    def record(self, training: dict[str, float], metrics: dict[str, float], train_seconds: float) -> None:
        """Logs the results of an evaluation and writes a checkpoint.

        Args:
            training: the mean training losses since the last evaluation.
            metrics: the metrics on validation.

        Raises:
            Diverged: one of them is not a finite number.
        """
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
        tensors |= self.optimiser.checkpoint_tensors()
        progress = {"step": self.step, "best_step": self.best_step, "best_score": self.best_score}
        progress |= self.logged_lines
        self.folder.write_tensors(LAST, tensors, progress)

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

    def tests(self) -> dict[str, Evaluator]:
        """Returns the evaluators of the held-out splits that training does not use, by split."""
        return {
            split: shared_evaluator(self.spec.task, split, self.parts.device)
            for split, size in self.parts.task.splits.items()
            if size is not None and split not in ("train", "validation")
        }

    def conclude(self, last: Scores, best: Scores) -> Tree:
        """Returns the result of the run.

        Args:
            last, best: the metrics of the last and of the best checkpoint on `tests`.

        Raises:
            Diverged: a metric is not a finite number.
        """
        last = self.folder.validation_scores(self.step) | last
        best = self.folder.validation_scores(self.best_step) | best
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
