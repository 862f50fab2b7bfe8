"""One run, or several as one stack, in the process that trains them."""

import time
from collections.abc import Sequence
from pathlib import Path

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.outside import BREAKAGE, failure_of
from generators.foundation.settings import Tree
from lab.analysis.measure_store import measures_of
from lab.analysis.table import ANALYSES, SAMPLES
from lab.run.files import FolderInUse
from lab.run.spec import parse_spec
from studies.running.executors.executor import Analyses, Outcome, RunRequest

IN_USE_SECONDS = 0.5
"""Wait between two attempts at a run that another process is training."""


def attempt(request: RunRequest, home: Path) -> Outcome:
    """Trains a run and analyses it. An exception in training fails only that run; an exception in an analysis fails
    only that analysis.

    If another process is training the run, waits for it: that process may work for another study, or it may be a worker
    that has not yet noticed that its coordinator was killed.
    """
    from lab.run.training import train

    while True:
        try:
            spec = parse_spec(request.tree, "the study's run")
            return outcome_of(request, home, spec.identity, train(spec, home, other_code="keep"))
        except FolderInUse:
            time.sleep(IN_USE_SECONDS)
        except (UserError, WorkFailed) as error:
            return Outcome(None, str(error))
        except BREAKAGE as error:
            return Outcome(None, f"{type(error).__name__}: {error}")


def attempt_stack(requests: Sequence[RunRequest], home: Path) -> list[Outcome]:
    """Does what `attempt` does for runs that are trained as one stack; those that are in use follow the others."""
    from lab.run.training import train_together

    parsed = [parse_spec(request.tree, "the study's run") for request in requests]
    outcomes: list[Outcome | None] = [None] * len(requests)
    while missing := [place for place, outcome in enumerate(outcomes) if outcome is None]:
        try:
            ended = train_together([parsed[place] for place in missing], home, "keep")
        except (UserError, WorkFailed) as error:
            ended = [error] * len(missing)
        except BREAKAGE as error:
            ended = [WorkFailed(f"{type(error).__name__}: {error}")] * len(missing)
        for place, result in zip(missing, ended, strict=True):
            if not isinstance(result, Exception):
                outcomes[place] = outcome_of(requests[place], home, parsed[place].identity, result)
            elif not isinstance(result, FolderInUse):
                outcomes[place] = Outcome(None, str(result))
        if any(isinstance(result, FolderInUse) for result in ended):
            time.sleep(IN_USE_SECONDS)
    return [outcome for outcome in outcomes if outcome is not None]


def outcome_of(request: RunRequest, home: Path, run: str, result: Tree) -> Outcome:
    """Returns the outcome of a run with a result; its analyses are taken if it is complete."""
    failures = take_analyses(request.analyses, home, run) if result["status"] == "complete" else {}
    return Outcome(result, analysis_failures=failures)


def take_analyses(analyses: Analyses, home: Path, run: str) -> dict[str, str]:
    """Computes analyses of a complete run, whose score counts whether or not they succeed.

    Returns:
        analysis -> the reason why it could not be computed. The analysis `samples` is only for display: if it fails, it
        is left out here, and `lab analyse` shows why.
    """
    failures = {}
    for name, checkpoint in analyses:
        if reason := failure_of_analysis(home, run, checkpoint, name):
            failures[name] = reason
    failures.pop(SAMPLES, None)
    return failures


def failure_of_analysis(home: Path, run: str, checkpoint: str, name: str) -> str:
    """Computes an analysis of a complete run unless it is stored; returns why it could not be computed, or an empty
    text.
    """
    try:
        measures_of(home, run, checkpoint, name)
    except (UserError, WorkFailed) as error:
        return str(error)
    except BREAKAGE as error:
        return str(failure_of(ANALYSES.subject(name), error))
    return ""
