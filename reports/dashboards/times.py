"""Reads the start and end of a trial from the files of its runs."""

from collections.abc import Sequence
from datetime import datetime

from optuna.trial import FrozenTrial

from lab.run.store import ENVIRONMENT, RESULT, RunFolder


def set_times(trial: FrozenTrial, folders: Sequence[RunFolder]) -> FrozenTrial:
    """Sets when the runs of a trial last started and ended, as far as their folders show, and returns the trial."""
    starts = [path.stat().st_mtime for folder in folders if (path := folder.path / ENVIRONMENT).exists()]
    ends = [path.stat().st_mtime for folder in folders if (path := folder.path / RESULT).exists()]
    if starts:
        trial.datetime_start = datetime.fromtimestamp(min(starts))
    if starts and ends and trial.state.is_finished():
        trial.datetime_complete = datetime.fromtimestamp(max(ends))
    return trial
