"""One run, in the process that trains it."""

import time
from contextlib import nullcontext, suppress
from pathlib import Path

from generators.foundation.errors import UserError, WorkFailed
from lab.analysis.measure_store import measures_of
from lab.analysis.table import SAMPLES
from lab.run.files import FolderInUse
from lab.run.spec import parse_spec
from studies.running.executors.executor import Analyses, Outcome, RunRequest

IN_USE_SECONDS = 0.5
"""Wait between two attempts at a run that another process is training."""


def attempt(request: RunRequest, home: Path) -> Outcome:
    """Trains a run and analyses it. An exception fails that run, not the study.

    If another process is training the run, waits for it: that process may work for another study, or it may be a worker
    that has not yet noticed that its coordinator was killed.
    """
    from lab.run.training import train

    while True:
        try:
            spec = parse_spec(request.tree, "the study's run")
            result = train(spec, home, other_code="keep")
            if result["status"] == "complete":
                take_analyses(request.analyses, home, spec.identity)
            return Outcome(result)
        except FolderInUse:
            time.sleep(IN_USE_SECONDS)
        except (UserError, WorkFailed) as error:
            return Outcome(None, str(error))
        except Exception as error:
            return Outcome(None, f"{type(error).__name__}: {error}")


def take_analyses(analyses: Analyses, home: Path, run: str) -> None:
    """Takes analyses of a complete run.

    The analysis `samples` is only for display. If it fails, the run does not fail, and `lab analyse` shows why.
    """
    for name, checkpoint in analyses:
        with suppress(Exception) if name == SAMPLES else nullcontext():
            measures_of(home, run, checkpoint, name)
