"""What heads are worth as drafters, what items say twice, and what a step costs, where the truth is known."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from generators.material.items import items
from lab.analysis import decoding, step
from lab.analysis.analysis import AnalysisResult, Row
from lab.analysis.decoding import DecodingAnalysis, equal_pairs
from lab.analysis.items import ItemsAnalysis
from lab.analysis.step import StepAnalysis, megabytes
from lab.decoding.item_scores import score_items
from lab.run.assembly import assemble
from lab.run.spec import RunSpec
from lab.run.stored_run import StoredRun
from tests.conftest import Spec
from tests.lab.analysis.induction_circuit import circuit, circuit_spec

CPU = torch.device("cpu")
TEXT = {"kind": "text", "length_tokens": 32, "test_samples": 16, "validation_samples": 16}


def unstored(spec: RunSpec) -> Any:
    return SimpleNamespace(spec=spec, parts=assemble(spec))


def row_of(found: AnalysisResult, **wanted: object) -> Row:
    (row,) = (row for row in found.rows if wanted.items() <= row.items())
    return row


@pytest.fixture
def saying(tiny: Spec, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, int]], AnalysisResult]:
    """saying({2: 1}): how a model of four heads fares as its own drafter, all of which say token 0 but head 2, 1."""
    monkeypatch.setattr(decoding, "TIMED", 1)

    def analyse(otherwise: dict[int, int]) -> AnalysisResult:
        run = unstored(tiny(objective__n=4, model__layers=6))

        def unembed(hidden_NxD: Tensor, lag: int) -> Tensor:
            said = torch.full(hidden_NxD.shape[:-1], otherwise.get(lag, 0))
            return torch.nn.functional.one_hot(said, len(run.parts.task.vocabulary)).float()

        run.parts.network.unembed = unembed
        return DecodingAnalysis().analyse(run)

    return analyse


@pytest.mark.parametrize(
    ("otherwise", "tokens", "acceptance"),
    [
        ({}, [2, 3, 4], [1, 1, 1]),
        ({2: 1}, [1, 1, 1], [0]),
        ({3: 1}, [2, 2, 2], [1, 0]),
        ({4: 1}, [2, 3, 3], [1, 1, 0]),
    ],
    ids=["all right", "second wrong", "third wrong", "fourth wrong"],
)
def test_tokens_a_forward_are_the_certain_one_and_the_drafts_before_the_first_wrong_head(
    saying: Callable[[dict[int, int]], AnalysisResult],
    otherwise: dict[int, int],
    tokens: list[float],
    acceptance: list[float],
) -> None:
    found = saying(otherwise)
    assert [found.measures[f"tokens_per_forward_{k}"] for k in (2, 3, 4)] == tokens
    assert found.measures["tokens_per_forward"] == tokens[-1]
    assert [
        found.measures[name] for name in found.measures if name[-1].isdigit() and "acceptance" in name
    ] == acceptance
    assert found.measures["acceptance_by_chance"] == 1.0, "every decoded token is token 0"
    assert found.measures["times_faster"] == found.measures["times_faster_4"] > 0
    assert row_of(found, quantity="tokens a forward", draft=4)["paper"] == 3.50


def test_a_single_head_gives_a_token_a_forward(tiny: Spec) -> None:
    found = DecodingAnalysis().analyse(unstored(tiny(objective__n=1)))
    assert found.measures == {"tokens_per_forward": 1.0, "times_faster": 1.0}


def test_an_interval_over_one_prompt_is_refused(tiny: Spec) -> None:
    with pytest.raises(UserError, match="takes two prompts"):
        DecodingAnalysis().analyse(unstored(tiny(task__test_samples=1)))


def test_equal_pairs_are_those_counted_one_by_one() -> None:
    tokens = np.random.default_rng(0).integers(3, size=(4, 5))
    pairs = [
        tokens[one, i] == tokens[other, j]
        for one in range(4)
        for other in range(4)
        for i in range(5)
        for j in range(5)
        if one != other
    ]
    assert equal_pairs(tokens) == pytest.approx(np.mean(pairs))


def test_a_model_that_does_induction_generates_and_chooses_every_item(tiny: Spec) -> None:
    spec = circuit_spec(tiny, task__characters=5, task__length_tokens=64)
    parts = assemble(spec)
    parts.network.load_state_dict(circuit(spec).state_dict())
    found = ItemsAnalysis().analyse(cast(StoredRun, SimpleNamespace(spec=spec, parts=parts)))
    assert found.measures["choice_accuracy"] == found.measures["generation_exact_match"] == 1.0
    assert found.measures["choice_above_chance"] == 0.75
    assert row_of(found, part="choice")["chance"] == 0.25


def test_items_are_scored_as_lab_score_does(tiny: Spec) -> None:
    run = unstored(tiny(task=TEXT))
    found = ItemsAnalysis().analyse(run)
    expected = score_items(run.parts, items(run.parts.task, "test"))
    for posing, scores in expected.items():
        for name, score in scores.items():
            if name not in ("chance", "items"):
                assert found.measures[f"{posing}_{name}"] == pytest.approx(score)
    assert all(row["low"] <= row["value"] <= row["high"] for row in found.rows)


def test_a_task_without_items_is_refused(tiny: Spec) -> None:
    with pytest.raises(UserError, match="cannot be posed as items"):
        ItemsAnalysis().analyse(unstored(tiny(task={"kind": "choice"})))


def test_the_peak_is_what_is_held_at_once_and_not_what_is_held_in_all() -> None:
    def together() -> None:
        one, other = torch.empty(250_000), torch.empty(500_000)
        del one, other

    def in_turns() -> None:
        for size in (250_000, 500_000):
            held = torch.empty(size)
            del held

    assert megabytes(together, CPU) == pytest.approx(3.0, abs=1e-3)
    assert megabytes(in_turns, CPU) == pytest.approx(2.0, abs=1e-3)


def test_logits_of_all_heads_are_held_by_the_joint_loss_alone(tiny: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "TURNS", 1)
    objective = {"kind": "multi_token", "head": "linear", "match": "none"}
    one, four = (StepAnalysis().analyse(unstored(tiny(task=TEXT, objective={**objective, "n": n}))) for n in (1, 4))
    run = unstored(tiny(task=TEXT))
    logits = 4 * 31 * len(run.parts.task.vocabulary) * 4 / 1e6

    def grown(loss: str) -> float:
        return four.measures[f"peak_megabytes_{loss}"] - one.measures[f"peak_megabytes_{loss}"]

    assert grown("joint") > 0.9 * 3 * logits  # heads that look further have fewer targets
    assert grown("sequential") < 0.5 * logits
    assert grown("chunked") < 0.5 * logits
    assert four.measures["peak_megabytes"] == four.measures["peak_megabytes_joint"], "it is the run's own loss"


def test_a_step_of_one_head_costs_what_it_costs(tiny: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "TURNS", 1)
    found = StepAnalysis().analyse(unstored(tiny(objective__n=1)))
    assert {value for name, value in found.measures.items() if name.startswith("memory_ratio")} == {1.0}
    again = StepAnalysis().analyse(unstored(tiny(objective__n=1, seed=1)))
    same = [name for name in found.measures if name.startswith("peak")]
    assert [found.measures[name] for name in same] == [again.measures[name] for name in same]
