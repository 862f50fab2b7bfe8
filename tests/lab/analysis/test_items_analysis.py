"""The items analysis agrees with `lab score --items`, and a perfect induction circuit answers every item."""

import pytest

from generators.foundation.errors import UserError
from generators.material.items import items
from lab.analysis.items import ItemsAnalysis
from lab.decoding.item_scores import score_items
from tests.conftest import Spec
from tests.lab.analysis.induction_circuit import circuit, circuit_spec
from tests.lab.analysis.unstored_run import unstored_run

TEXT = {"kind": "text", "length_tokens": 32, "test_samples": 16, "validation_samples": 16}


def test_a_model_that_does_induction_generates_and_chooses_every_answer(tiny: Spec) -> None:
    spec = circuit_spec(tiny, task__characters=5, task__length_tokens=64)
    run = unstored_run(spec)
    run.parts.network.load_state_dict(circuit(spec).state_dict())
    result = ItemsAnalysis().analyse(run)
    assert result.measures["choice_accuracy"] == result.measures["generation_exact_match"] == 1.0
    assert result.measures["choice_above_chance"] == 0.75
    (choice,) = [row for row in result.rows if row["part"] == "choice"]
    assert choice["chance"] == 0.25


def test_measures_are_the_scores_of_lab_score(tiny: Spec) -> None:
    run = unstored_run(tiny(task=TEXT))
    result = ItemsAnalysis().analyse(run)
    scores = score_items(run.parts, items(run.parts.task, "test"))
    for kind, means in scores.items():
        for name, score in means.items():
            if name not in ("chance", "items"):
                assert result.measures[f"{kind}_{name}"] == pytest.approx(score)
    assert all(row["low"] <= row["value"] <= row["high"] for row in result.rows)


def test_a_task_without_items_is_refused(tiny: Spec) -> None:
    with pytest.raises(UserError, match="cannot be posed as items"):
        ItemsAnalysis().analyse(unstored_run(tiny(task={"kind": "choice"})))
