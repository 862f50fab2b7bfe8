"""Training of runs: equal specs on one machine give equal bytes, even if a run is killed at any moment and resumed.

The data of a step depends on the step alone, the weights are drawn from the seed, and nothing else is random. A
finetuning run begins with the weights of the run it starts from, which is trained first if necessary.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import Tensor

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.settings import Tree
from lab.run.assembly import assemble
from lab.run.callbacks.metrics import LineReport, OnMetrics
from lab.run.callbacks.progress import Progress, no_progress
from lab.run.files import FolderInUse
from lab.run.loop.opened_run import OpenedRun, opened_run
from lab.run.loop.progress import Diverged
from lab.run.loop.training_run import TrainingRun
from lab.run.other_code.standing import OtherCode, check_code, standing_result
from lab.run.spec import RunSpec, Start
from lab.run.stacking.problem import is_stacked
from lab.run.stacking.training_stack import Ended, TrainingStack, with_rows_of_their_own
from lab.run.step import deterministic, shortage_reported
from lab.run.store import LAST, METRICS, RunFolder
from lab.run.stored_run import load_weights

WAIT_SECONDS = 0.5
"""Time between attempts to train a start that another process is training."""


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

    def start_weights(start: Start, start_code: OtherCode) -> dict[str, Tensor]:
        return train_start(start, Path(home), start_progress, start_code)

    with shortage_reported(run.path):
        parts = assemble(spec, source)
    with (
        shortage_reported(run.path),
        opened_run(spec, run, parts, other_code, start_weights) as opened,
        deterministic(parts.device),
    ):
        if is_stacked(spec):
            (outcome,) = TrainingStack([opened], on_metrics).train(progress)
            return result_of(outcome)
        try:
            result = TrainingRun(spec, opened.folder, parts, on_metrics).train(progress)
        except Diverged as error:
            result = {"status": "diverged", "steps": error.step, "reason": str(error)}
        return opened.close(result)


def train_together(specs: Sequence[RunSpec], home: Path | str, other_code: OtherCode) -> list[Ended]:
    """Trains runs as one stack, or as several if two runs need the same row of it: each has the same bytes and files as
    if `train` had trained it.

    Args:
        specs: specs that differ in seed and learning rate alone, each of which `is_stacked`.
        other_code: as in `train`.

    Returns:
        The result of each run, or the error that `train` would raise about it.

    Raises:
        WorkFailed: memory is full.
    """
    torch.set_num_threads(1)
    home = Path(home)
    folders = {spec.identity: RunFolder(home, spec.identity) for spec in specs}
    outcomes: dict[str, Ended] = {}
    for name, run in folders.items():
        with outcome_kept(outcomes, name):
            if (result := standing_result(run, other_code)) is not None:
                outcomes[name] = result
    missing = [spec for spec in specs if spec.identity not in outcomes]
    train_starts_together(missing, home, other_code)

    def start_weights(start: Start, start_code: OtherCode) -> dict[str, Tensor]:
        return train_start(start, home, no_progress, start_code)

    with ExitStack() as locks:
        opened: list[OpenedRun] = []
        for spec in missing:
            run = folders[spec.identity]
            with outcome_kept(outcomes, spec.identity), shortage_reported(run.path):
                context = opened_run(spec, run, assemble(spec), other_code, start_weights)
                opened.append(locks.enter_context(context))
        for runs in with_rows_of_their_own(opened):
            with shortage_reported(runs[0].run.path), deterministic(runs[0].parts.device):
                ended = TrainingStack(runs).train(no_progress)
            outcomes |= {run.spec.identity: outcome for run, outcome in zip(runs, ended, strict=True)}
    return [outcomes[spec.identity] for spec in specs]


@contextmanager
def outcome_kept(outcomes: dict[str, Ended], run: str) -> Iterator[None]:
    """Keeps an error about a run as its outcome."""
    try:
        yield
    except (UserError, WorkFailed) as error:
        outcomes[run] = error


def train_starts_together(specs: Sequence[RunSpec], home: Path, other_code: OtherCode) -> None:
    """Trains the runs that finetuning runs start from as one stack. A run whose start fails says so itself later."""
    starts = {
        spec.start.run.identity: spec.start.run
        for spec in specs
        if spec.start is not None and not (RunFolder(home, spec.identity).path / LAST).exists()
    }
    if len(starts) > 1 and all(is_stacked(start) for start in starts.values()):
        train_together(list(starts.values()), home, other_code)


def result_of(outcome: Ended) -> Tree:
    """Returns the result of a run that was trained in a stack, or raises the reason why there is none."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


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
