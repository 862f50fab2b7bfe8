"""Runs without training, for tests of what surrounds it: folders as the lab writes them, with a score for each spec.

monkeypatch.setattr("studies.running.executors.here.attempt", stub_attempt)
"""

from pathlib import Path

from generators.foundation.settings import Tree
from lab.run.other_code.replacing import put_in_place, training_folder
from lab.run.other_code.standing import standing_result
from lab.run.spec import RunSpec, parse_spec
from lab.run.store import METRICS, TIMING, RunFolder
from studies.running.executors.executor import Outcome, RunRequest

SPLITS = ("validation", "test")


def stub_score(spec: RunSpec) -> float:
    """Returns a score between 0 and 1 that no other spec is likely to have."""
    return int(spec.identity, 16) % 9973 / 9973


def stub_attempt(request: RunRequest, home: Path) -> Outcome:
    """Stores a run at once, and returns its result."""
    spec = parse_spec(request.tree, "the study's run")
    run, step = RunFolder(home, spec.identity), spec.training.steps
    with run.locked(spec):
        stored = standing_result(run, "keep")
        if stored is not None:
            return Outcome(stored)
        folder = training_folder(run, "keep")
        folder.write_environment(spec)
        score = stub_score(spec)
        metrics = {"loss_1": 1 + score, "accuracy": score, "exact": score / 2, "shortcut/name_before": 0.25}
        folder.append(METRICS, {"step": step, "split": "validation", **metrics})
        folder.append(TIMING, {"step": step, "train_seconds": 1.0, "evaluate_seconds": 0.0})
        scores = {checkpoint: dict.fromkeys(SPLITS, metrics) for checkpoint in ("last", "best")}
        result: Tree = {"status": "complete", "steps": step, "best_step": step, "stopped_early": False}
        result |= {"scores": scores, "parameters": {"trunk": 8}}
        folder.write_result(result)
        put_in_place(run)
    return Outcome(result)
