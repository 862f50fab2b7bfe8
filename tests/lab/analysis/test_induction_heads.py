"""Scores of attention heads: a circuit built by hand has all of them, and a random network is at chance."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from generators.foundation.errors import UserError
from lab.analysis.analysis import AnalysisResult, Row
from lab.analysis.estimators import attention
from lab.analysis.estimators.attention import attention_blocks
from lab.analysis.induction_heads import (
    InductionHeadsAnalysis,
    after_earlier_occurrences,
    attention_heads,
    attention_rows,
    repeated_blocks,
)
from lab.objectives.objective import Objective
from lab.run.assembly import assemble
from tests.conftest import Lab, Spec
from tests.lab.analysis.induction_circuit import circuit, circuit_spec, store_run
from tests.lab.analysis.validation_log import LOG

PREVIOUS, INDUCTION, IRRELEVANT = (1, 1), (2, 1), [(1, 2), (2, 2)]
"""Layer and head of the circuit."""


def row_of(result: AnalysisResult, measure: str, head: tuple[int, int]) -> Row:
    rows = [row for row in result.rows if row["measure"] == measure]
    (row,) = [row for row in rows if (row["layer"], row["attention_head"]) == head]
    return row


@torch.no_grad()
def prefix_matching(network: Objective, tokens: Tensor) -> list[Row]:
    """Returns the prefix matching of each head on blocks of 16 tokens that occur twice."""
    second = (torch.arange(32) >= 16).expand_as(tokens)
    heads = attention_heads(network)
    return attention_rows("prefix_matching", heads, network, tokens, second, after_earlier_occurrences)


@pytest.fixture(scope="module")
def circuit_result(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> AnalysisResult:
    spec = circuit_spec(tiny, task__validation_samples=64)
    run = store_run(spec, circuit(spec).state_dict(), tmp_path_factory.mktemp("circuit"))
    return InductionHeadsAnalysis().analyse(run)


def test_the_induction_head_of_the_circuit_matches_prefixes_and_copies(circuit_result: AnalysisResult) -> None:
    measures = circuit_result.measures
    assert measures["prefix_matching"] == row_of(circuit_result, "prefix_matching", INDUCTION)["value"] > 0.99
    assert measures["copying"] == row_of(circuit_result, "copying", INDUCTION)["value"] == 1
    assert row_of(circuit_result, "task_attention", INDUCTION)["value"] > 0.99
    assert measures["task_copying"] == 1
    assert row_of(circuit_result, "previous_token", INDUCTION)["value"] < 0.01


def test_the_previous_token_head_of_the_circuit_does_nothing_else(circuit_result: AnalysisResult) -> None:
    assert row_of(circuit_result, "previous_token", PREVIOUS)["value"] > 0.99
    assert row_of(circuit_result, "task_previous_token", PREVIOUS)["value"] > 0.99
    assert row_of(circuit_result, "prefix_matching", PREVIOUS)["value"] < 0.01
    assert row_of(circuit_result, "copying", PREVIOUS)["value"] == 0


def test_without_the_induction_head_of_the_circuit_accuracy_is_chance(
    circuit_result: AnalysisResult, tiny: Spec
) -> None:
    (accuracy,) = [row["value"] for row in circuit_result.rows if row["measure"] == "accuracy"]
    assert accuracy == 1
    loss = row_of(circuit_result, "accuracy_loss", INDUCTION)
    chance = 1 / tiny().task.name_parts  # type: ignore[attr-defined]
    assert loss["low"] < 1 - chance < loss["high"]
    others = [row_of(circuit_result, "accuracy_loss", head)["value"] for head in (PREVIOUS, *IRRELEVANT)]
    assert circuit_result.measures["induction_drop"] == pytest.approx(loss["value"] - np.mean(others))


@pytest.mark.parametrize("head", IRRELEVANT)
def test_without_an_irrelevant_head_nothing_changes(head: tuple[int, int], circuit_result: AnalysisResult) -> None:
    row = row_of(circuit_result, "accuracy_loss", head)
    assert (row["value"], row["low"], row["high"]) == (0, 0, 0)


def test_a_head_that_attends_uniformly_is_exactly_at_chance(tiny: Spec) -> None:
    network = assemble(tiny()).network
    for block in attention_blocks(network):
        nn.init.zeros_(block.self_attn.q_proj.weight)
    expected = np.mean([1 / (position + 1) for position in range(16, 32)])
    for row in prefix_matching(network, torch.from_numpy(repeated_blocks(40, 16))):
        assert row["chance"] == pytest.approx(expected)
        assert row["value"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_every_head_of_a_random_network_is_within_a_hundredth_of_chance(seed: int, tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(seed=seed, model={"width": 64, "layers": 3, "attention_heads": 2})
    result = InductionHeadsAnalysis().analyse(store_run(spec, assemble(spec).network.state_dict(), tmp_path))
    rows = [row for row in result.rows if row["measure"] == "prefix_matching"]
    assert len(rows) == 4
    for row in rows:
        assert row["chance"] == pytest.approx(np.mean([1 / (position + 1) for position in range(16, 32)]))
        assert abs(row["value"] - row["chance"]) < 0.01
    assert abs(result.measures["induction_drop"]) < 0.1


def test_scores_do_not_depend_on_how_sequences_are_batched(tiny: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    network = assemble(tiny()).network
    tokens = torch.from_numpy(repeated_blocks(40, 16))

    def scores(tokens: Tensor) -> list[float]:
        rows = prefix_matching(network, tokens)
        return [row[name] for row in rows for name in ("value", "low", "high", "chance")]

    together = scores(tokens)
    assert scores(tokens.flip(0)) == pytest.approx(together, abs=1e-6)
    monkeypatch.setattr(attention, "PATTERN_NUMBERS_AT_ONCE", 5 * 2 * 32**2)
    assert scores(tokens) == pytest.approx(together, abs=1e-6)
    halves = np.mean([scores(half) for half in tokens.chunk(2)], axis=0)
    assert halves[::4] == pytest.approx(together[::4], abs=1e-6)


def test_the_score_of_the_circuit_does_not_depend_on_which_random_tokens_are_repeated(tiny: Spec) -> None:
    spec = circuit_spec(tiny)
    network, vocabulary = circuit(spec), len(assemble(spec).task.vocabulary)
    for seed in (1, 2):
        tokens = torch.from_numpy(repeated_blocks(vocabulary, 16, seed)[:32])
        assert prefix_matching(network, tokens)[2]["value"] > 0.99


def test_positions_after_earlier_occurrences_include_all_of_them_and_none_ahead() -> None:
    tokens = torch.tensor([[5, 6, 5, 7, 5, 5]])
    looks = torch.tensor([[True, True, True, True, False, True]])
    where = [tuple(place) for place in after_earlier_occurrences(tokens, looks)[0].nonzero().tolist()]
    assert where == [(2, 1), (5, 1), (5, 3), (5, 5)]


def test_formation_has_rows_and_measures_only_if_the_skill_formed(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny()
    weights = assemble(spec).network.state_dict()
    formed = InductionHeadsAnalysis().analyse(store_run(spec, weights, tmp_path, LOG))
    assert formed.measures["formation_step"] == 40
    assert formed.measures["formation_jump"] == pytest.approx(0.3)
    assert [row["value"] for row in formed.rows if row["measure"] == "validation_loss_1"] == [4, 2, 1.9, 1.6, 1.5, 1.1]
    assert set(formed.measures) <= set(formed.units)
    never = InductionHeadsAnalysis().analyse(store_run(tiny(seed=1), weights, tmp_path, LOG[:3]))
    assert set(never.measures) == {"prefix_matching", "copying", "task_attention", "task_copying", "induction_drop"}


def test_heads_have_scores_even_if_the_task_scores_nothing(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(task={"kind": "markov", "validation_samples": 16})
    result = InductionHeadsAnalysis().analyse(store_run(spec, assemble(spec).network.state_dict(), tmp_path))
    assert set(result.measures) == {"prefix_matching", "copying"}
    assert result.lines[-1].startswith("The task scores no token")


def test_a_vocabulary_too_small_to_repeat_a_block_is_refused(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(task={"kind": "markov", "vocabulary_tokens": 3, "validation_samples": 16})
    with pytest.raises(UserError, match=r"at least 4 different tokens; .*its vocabulary 3$"):
        InductionHeadsAnalysis().analyse(store_run(spec, assemble(spec).network.state_dict(), tmp_path))


def test_lab_analyse_names_the_best_head_and_gives_the_numbers_as_json(lab: Lab, complete_folder: Path) -> None:
    command = ("analyse", complete_folder.name, "induction-heads", "--home", complete_folder.parent.parent)
    done = lab(*command)
    assert done.returncode == 0
    assert done.stdout.startswith("Of 6 attention heads, head ")
    assert lab(*command, "--json").stdout.startswith("{")
