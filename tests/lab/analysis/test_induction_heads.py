"""Scores of attention heads: a circuit made by hand has them all, a random network has chance; and formation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from generators.foundation.errors import UserError
from lab.analysis.analysis import AnalysisResult, Row
from lab.analysis.estimators import attention
from lab.analysis.estimators.attention import attend, attended, blocks_of
from lab.analysis.estimators.formation import formation
from lab.analysis.induction_heads import InductionHeadsAnalysis, attention_to, behind_earlier, heads_of, repeated
from lab.run.assembly import assemble
from tests.conftest import Lab, Spec
from tests.lab.analysis.induction_circuit import circuit, circuit_spec, stored

PREVIOUS, INDUCTION, IRRELEVANT = (1, 1), (2, 1), [(1, 2), (2, 2)]
"""Layer and head of the circuit."""


def of_head(found: AnalysisResult, measure: str, head: tuple[int, int]) -> Row:
    (row,) = [row for row in found.rows if row["measure"] == measure and (row["layer"], row["attention_head"]) == head]
    return row


@pytest.fixture(scope="module")
def by_hand(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> AnalysisResult:
    spec = circuit_spec(tiny, task__validation_samples=64)
    return InductionHeadsAnalysis().analyse(
        stored(spec, circuit(spec).state_dict(), tmp_path_factory.mktemp("circuit"))
    )


def test_the_pattern_times_the_values_is_the_output_of_the_models_own_attention(tiny: Spec) -> None:
    network = assemble(tiny(model__attention_heads=4)).network
    x_BxTxD = torch.randn(3, 20, 16, generator=torch.Generator().manual_seed(0))
    block, rotary = blocks_of(network)[0], network.trunk.rotary(20)
    pattern_BxAxTxT, values_BxAxTxK = attend(block, x_BxTxD, rotary)
    assert pattern_BxAxTxT.shape == (3, 4, 20, 20)
    torch.testing.assert_close(pattern_BxAxTxT.sum(dim=3), torch.ones(3, 4, 20))
    heads_BxTxD = (pattern_BxAxTxT @ values_BxAxTxK).transpose(1, 2).reshape(3, 20, 16)
    expected = block.self_attn(block.input_layernorm(x_BxTxD), rotary)
    torch.testing.assert_close(block.self_attn.o_proj(heads_BxTxD), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("objective", [
    {"kind": "multi_token", "n": 3, "topology": "anticausal"},
    {"kind": "multi_token", "n": 2, "head": "linear"},
    {"kind": "registers"},
])  # fmt: skip
def test_every_layer_on_the_way_to_the_next_token_is_seen_in_its_order(objective: dict[str, Any], tiny: Spec) -> None:
    network = assemble(tiny(objective=objective)).network
    tokens = torch.arange(20).view(2, 10)
    inputs: dict[nn.Module, Tensor] = {}

    def note(block: nn.Module, read: tuple[Tensor, ...]) -> None:
        inputs[block] = read[0]

    for block in blocks_of(network):
        block.register_forward_pre_hook(note)
    network.hidden(network.trunk(tokens), 1, tokens)
    assert list(inputs) == blocks_of(network)
    made = attended(network, tokens)
    for block, (pattern, _) in zip(blocks_of(network), made, strict=True):
        torch.testing.assert_close(attend(block, inputs[block], network.trunk.rotary(10))[0], pattern)


def test_the_induction_head_made_by_hand_matches_prefixes_and_copies(by_hand: AnalysisResult) -> None:
    assert by_hand.measures["prefix_matching"] == of_head(by_hand, "prefix_matching", INDUCTION)["value"] > 0.99
    assert by_hand.measures["copying"] == of_head(by_hand, "copying", INDUCTION)["value"] == 1
    assert of_head(by_hand, "task_attention", INDUCTION)["value"] > 0.99
    assert by_hand.measures["task_copying"] == 1
    assert of_head(by_hand, "previous_token", PREVIOUS)["value"] > 0.99
    assert of_head(by_hand, "task_previous_token", PREVIOUS)["value"] > 0.99
    assert of_head(by_hand, "previous_token", INDUCTION)["value"] < 0.01
    assert of_head(by_hand, "prefix_matching", PREVIOUS)["value"] < 0.01
    assert of_head(by_hand, "copying", PREVIOUS)["value"] == 0


def test_without_the_induction_head_made_by_hand_accuracy_is_chance(by_hand: AnalysisResult, tiny: Spec) -> None:
    (accuracy,) = [row["value"] for row in by_hand.rows if row["measure"] == "accuracy"]
    assert accuracy == 1
    loss = of_head(by_hand, "accuracy_loss", INDUCTION)
    chance = 1 / tiny().task.name_parts  # type: ignore[attr-defined]
    assert loss["low"] < 1 - chance < loss["high"]
    others = [of_head(by_hand, "accuracy_loss", head)["value"] for head in (PREVIOUS, *IRRELEVANT)]
    assert by_hand.measures["induction_drop"] == pytest.approx(loss["value"] - np.mean(others))


@pytest.mark.parametrize("head", IRRELEVANT)
def test_without_an_irrelevant_head_nothing_changes(head: tuple[int, int], by_hand: AnalysisResult) -> None:
    row = of_head(by_hand, "accuracy_loss", head)
    assert (row["value"], row["low"], row["high"]) == (0, 0, 0)


def test_a_head_that_attends_uniformly_has_exactly_the_level_called_chance(tiny: Spec) -> None:
    network = assemble(tiny()).network
    for block in blocks_of(network):
        nn.init.zeros_(block.self_attn.q_proj.weight)
    tokens = torch.from_numpy(repeated(40, 16))
    second = (torch.arange(32) >= 16).expand_as(tokens)
    by_hand = np.mean([1 / (position + 1) for position in range(16, 32)])
    with torch.no_grad():
        rows = attention_to("prefix_matching", heads_of(network), network, tokens, second, behind_earlier)
    for row in rows:
        assert row["chance"] == pytest.approx(by_hand)
        assert row["value"] == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_every_head_of_a_random_network_is_within_a_hundredth_of_chance(seed: int, tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(seed=seed, model={"width": 64, "layers": 3, "attention_heads": 2})
    found = InductionHeadsAnalysis().analyse(stored(spec, assemble(spec).network.state_dict(), tmp_path))
    rows = [row for row in found.rows if row["measure"] == "prefix_matching"]
    assert len(rows) == 4
    for row in rows:
        assert row["chance"] == pytest.approx(np.mean([1 / (position + 1) for position in range(16, 32)]))
        assert abs(row["value"] - row["chance"]) < 0.01
    assert abs(found.measures["induction_drop"]) < 0.1


def test_scores_are_those_of_each_sequence_whatever_is_read_with_it(
    tiny: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = assemble(tiny()).network
    tokens = torch.from_numpy(repeated(40, 16))

    def scores(tokens: Tensor) -> list[float]:
        second = (torch.arange(32) >= 16).expand_as(tokens)
        with torch.no_grad():
            rows = attention_to("prefix_matching", heads_of(network), network, tokens, second, behind_earlier)
        return [row[name] for row in rows for name in ("value", "low", "high", "chance")]

    together = scores(tokens)
    assert scores(tokens.flip(0)) == pytest.approx(together, abs=1e-6)
    monkeypatch.setattr(attention, "NUMBERS_AT_ONCE", 5 * 2 * 32**2)
    assert scores(tokens) == pytest.approx(together, abs=1e-6)
    halves = np.mean([scores(half) for half in tokens.chunk(2)], axis=0)
    assert halves[::4] == pytest.approx(together[::4], abs=1e-6)


def test_the_score_of_the_circuit_does_not_hang_on_which_random_tokens_are_told(tiny: Spec) -> None:
    spec = circuit_spec(tiny)
    network, vocabulary = circuit(spec), len(assemble(spec).task.vocabulary)
    for seed in (1, 2):
        tokens = torch.from_numpy(repeated(vocabulary, 16, seed)[:32])
        second = (torch.arange(32) >= 16).expand_as(tokens)
        with torch.no_grad():
            rows = attention_to("prefix_matching", heads_of(network), network, tokens, second, behind_earlier)
        assert rows[2]["value"] > 0.99


def test_behind_earlier_occurrences_is_behind_all_of_them_and_never_ahead() -> None:
    tokens = torch.tensor([[5, 6, 5, 7, 5, 5]])
    looks = torch.tensor([[True, True, True, True, False, True]])
    where = [tuple(place) for place in behind_earlier(tokens, looks)[0].nonzero().tolist()]
    assert where == [(2, 1), (5, 1), (5, 3), (5, 5)]


def line(step: int, accuracy: float, loss: float, blind: float = 0.3) -> dict[str, Any]:
    return {
        "step": step, "split": "validation", "loss_1": loss, "accuracy": accuracy,
        "shortcut/name_before": blind, "shortcut/latest_name": 0.0,
    }  # fmt: skip


LOG = [
    {"step": 10, "split": "train", "loss_1": 9.0},
    line(10, 0.1, 4.0),
    line(20, 0.3, 2.0),
    line(30, 0.4, 1.9),
    line(40, 0.7, 1.6),
    line(50, 0.6, 1.5),
    line(60, 0.9, 1.1),
]


def test_formation_is_where_accuracy_first_passes_half_way_from_blind_to_final() -> None:
    found = formation(LOG)
    assert found is not None
    assert (found.step, found.after) == (40, 30)
    assert found.half == pytest.approx(0.6)
    assert found.jump == pytest.approx(0.3)  # 1.9 to 1.6; 4 to 2 is long before, 1.5 to 1.1 two evaluations later


def test_nothing_forms_where_accuracy_ends_near_the_blind_level_or_nothing_is_scored() -> None:
    assert formation([line(10, 0.3, 2.0), line(20, 0.39, 1.9)]) is None
    assert formation([{"step": 10, "split": "validation", "loss_1": 2.0}]) is None
    assert formation([]) is None


def test_what_formed_before_the_only_evaluation_has_a_step_and_no_jump() -> None:
    found = formation([line(10, 0.9, 2.0)])
    assert found is not None
    assert (found.step, found.after, found.jump) == (10, 0, None)


def test_formation_stands_in_rows_and_measures_only_where_there_was_one(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny()
    weights = assemble(spec).network.state_dict()
    found = InductionHeadsAnalysis().analyse(stored(spec, weights, tmp_path, LOG))
    assert found.measures["formation_step"] == 40
    assert found.measures["formation_jump"] == pytest.approx(0.3)
    assert [row["value"] for row in found.rows if row["measure"] == "validation_loss_1"] == [4, 2, 1.9, 1.6, 1.5, 1.1]
    assert set(found.measures) <= set(found.units)
    never = InductionHeadsAnalysis().analyse(stored(tiny(seed=1), weights, tmp_path, LOG[:3]))
    assert set(never.measures) == {"prefix_matching", "copying", "task_attention", "task_copying", "induction_drop"}


def test_where_nothing_is_scored_heads_have_scores_all_the_same(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(task={"kind": "markov", "validation_samples": 16})
    found = InductionHeadsAnalysis().analyse(stored(spec, assemble(spec).network.state_dict(), tmp_path))
    assert set(found.measures) == {"prefix_matching", "copying"}
    assert found.lines[-1].startswith("No token of the task is scored")


def test_a_task_too_small_to_tell_tokens_twice_is_refused(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(task={"kind": "markov", "vocabulary_tokens": 3, "validation_samples": 16})
    with pytest.raises(UserError, match=r"at least 4 different tokens; .*its vocabulary 3$"):
        InductionHeadsAnalysis().analyse(stored(spec, assemble(spec).network.state_dict(), tmp_path))


def test_lab_analyse_says_which_head_and_gives_the_numbers_as_json(lab: Lab, complete_folder: Path) -> None:
    home = complete_folder.parent.parent
    answer = lab("analyse", complete_folder.name, "induction-heads", "--home", home)
    assert answer.returncode == 0
    assert answer.stdout.startswith("Of 6 attention heads, head ")
    assert lab("analyse", complete_folder.name, "induction-heads", "--json", "--home", home).stdout.startswith("{")
