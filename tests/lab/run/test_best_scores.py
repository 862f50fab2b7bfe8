"""The scores in a result are those of the two stored checkpoints, in a run whose best checkpoint is not its last."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.torch import load_file

from generators.foundation.settings import Tree
from lab.run.assembly import assemble
from lab.run.checkpoints import select_prefix
from lab.run.evaluation import Evaluator
from lab.run.spec import RunSpec
from lab.run.store import BEST, LAST, METRICS, RunFolder
from lab.run.training import train
from tests.conftest import Spec
from tests.lab.killed_runs import train_until_killed

POLYNOMIAL = {
    "kind": "polynomial",
    "p": 3,
    "k": 2,
    "operations_maximum": 2,
    "test_operations": [1, 2, 3],
    "validation_samples": 40,
    "test_samples": 40,
}
"""A task of three test splits."""


@dataclass(frozen=True)
class StoppedRun:
    """A run that stopped early, so that its best checkpoint is older than its last."""

    spec: RunSpec
    folder: RunFolder
    result: Tree

    def scores_afresh(self, name: str, prefix: str = "") -> dict[str, dict[str, float]]:
        """Scores the weights in a file on every held-out split, with a new network and new evaluators."""
        parts = assemble(self.spec)
        parts.network.load_state_dict(select_prefix(load_file(self.folder.path / name), prefix))
        held_out = [split for split in parts.task.splits if split != "train"]
        return {split: Evaluator(parts.task, split, parts.device)(parts.network) for split in held_out}


@pytest.fixture(scope="module")
def spec(tiny: Spec) -> RunSpec:
    return tiny(
        task=POLYNOMIAL, training__steps=400, training__evaluate_every_steps=10, training__stop_after_evaluations=2
    )


@pytest.fixture(scope="module")
def run(spec: RunSpec, tmp_path_factory: pytest.TempPathFactory) -> StoppedRun:
    home = tmp_path_factory.mktemp("stopped")
    return StoppedRun(spec, RunFolder(home, spec.identity), train(spec, home))


def test_the_scores_of_the_result_equal_those_of_its_checkpoints_scored_afresh(run: StoppedRun) -> None:
    scores = run.result["scores"]
    assert run.result["best_step"] == run.result["steps"] - 20
    assert scores["best"] == run.scores_afresh(BEST)
    assert scores["last"] == run.scores_afresh(LAST, "model.")
    assert [split for split in scores["best"] if scores["best"][split] == scores["last"][split]] == []


def test_the_best_checkpoint_has_the_highest_validation_score(run: StoppedRun) -> None:
    logged = [line for line in run.folder.lines(METRICS) if line["split"] == "validation"]
    accuracies = {line["step"]: line["accuracy"] for line in logged}
    best_step = max(accuracies, key=lambda step: accuracies[step])
    assert run.result["best_step"] == best_step
    assert run.result["scores"]["best"]["validation"]["accuracy"] == accuracies[best_step]
    assert run.result["scores"]["last"]["validation"]["accuracy"] == accuracies[run.result["steps"]]


def test_a_run_killed_between_its_best_and_its_last_checkpoint_has_the_same_scores(
    run: StoppedRun, tmp_path: Path
) -> None:
    train_until_killed(run.spec, tmp_path, "take_step", run.result["best_step"] + 15)
    assert train(run.spec, tmp_path) == run.result
