"""A network that is not a Llama is refused by whatever would compute another one from its weights, in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generators.foundation.errors import UserError
from lab.bench.decode import compare_with_transformers
from lab.decoding.decoder import decode
from lab.decoding.prompts import prompts_of
from lab.objectives.check import check_objective
from lab.objectives.checks.llama_path import next_token_logits, require_layer_by_layer, require_llama
from lab.objectives.table import OBJECTIVES
from lab.run.assembly import assemble
from lab.run.finetuning import load_start_weights
from lab.run.spec import parse_spec
from tests.conftest import Lab, tiny_tree
from tests.lab.exported_runs import OBJECTIVE_SETTINGS, stored_run
from tests.lab.replaced_trunks import KINDS, register

TASK = {"kind": "text", "length_tokens": 32, "test_samples": 8, "validation_samples": 8}


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


@pytest.mark.parametrize("kind", KINDS)
def test_the_objective_check_passes(kind: str) -> None:
    assert [check for check in check_objective(OBJECTIVES.configured(kind, None, "the test")) if check.problem] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("folder_exists", [True, False])
def test_export_compares_logits_and_leaves_nothing_behind(
    lab: Lab, tmp_path: Path, kind: str, folder_exists: bool
) -> None:
    stored = stored_run(tmp_path, {"kind": kind}, TASK)
    if folder_exists:
        (tmp_path / "out").mkdir()
    refused = lab("export", stored.folder.identity, tmp_path / "out", "--home", tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"lab: run {stored.folder.identity}: the exported Llama is not the network of the run")
    assert (tmp_path / "out").exists() == folder_exists
    assert not folder_exists or list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_chooses_the_tokens_of_the_plain_forward_pass(tmp_path: Path, kind: str) -> None:
    stored = stored_run(tmp_path, {"kind": kind}, TASK)
    network, tokens = stored.network, stored.task.batch("test", np.arange(3)).tokens[:, :9]
    lengths = np.array([9, 1, 5])
    decoded = decode(network, tokens, lengths, 6).tokens
    for row, length in enumerate(lengths):
        known = torch.from_numpy(np.concatenate((tokens[row, :length], decoded[row])))[None]
        chosen = next_token_logits(network, known)[0].argmax(dim=-1)
        assert decoded[row].tolist() == chosen[length - 1 : -1].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_benchmark_of_the_exported_llama_refuses(tmp_path: Path, kind: str) -> None:
    stored = stored_run(tmp_path, {"kind": kind}, TASK)
    prompts, lengths, room = prompts_of(stored.task.batch("test", np.arange(2)))
    with pytest.raises(UserError, match="the exported Llama is not the network"):
        compare_with_transformers(stored, prompts, lengths, room)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("analysis", ["information", "lookahead", "induction-heads"])
def test_analyses_that_read_layers_refuse(lab: Lab, tmp_path: Path, kind: str, analysis: str) -> None:
    stored = stored_run(tmp_path, {"kind": kind}, None if analysis == "information" else TASK)
    refused = lab("analyse", stored.folder.identity, analysis, "--home", tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert (
        f"reads a network layer by layer, but objective {kind} with a model of kind llama computes something else"
        in line
    )


def test_samples_of_an_objective_that_does_not_draft_show_the_losses_of_the_plain_forward_pass(
    lab: Lab, tmp_path: Path
) -> None:
    stored = stored_run(tmp_path, {"kind": "recurrent"}, TASK)
    assert lab("analyse", stored.folder.identity, "samples", "--home", tmp_path).returncode == 0


@pytest.mark.parametrize("prompt_tokens", [1, 2, 9])
def test_an_objective_that_proposes_what_it_does_not_predict_cannot_be_decoded(prompt_tokens: int) -> None:
    parts = assemble(parse_spec(tiny_tree(), "a spec"))
    network, propose = parts.network, parts.network.proposals
    network.proposals = lambda *arguments: 2 * propose(*arguments)  # type: ignore[method-assign]
    prompts = parts.task.batch("test", np.arange(3)).tokens[:, :prompt_tokens]
    with pytest.raises(UserError, match="with a model of kind llama: decoding does not give the predictions"):
        decode(network, prompts, np.full(3, prompt_tokens), 1)


def test_modules_that_no_llama_has_are_named(tmp_path: Path) -> None:
    stored = stored_run(tmp_path, {"kind": "registers"})
    network, tokens = stored.network, stored.task.batch("test", np.arange(3)).tokens[:, :9]
    network.trunk.layers[0] = torch.nn.Linear(16, 16)
    with pytest.raises(
        UserError, match=r'a reader: reads the attention of .* "llama", but its trunk contains a Linear'
    ):
        require_llama(network, tokens, "a reader")


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@pytest.mark.parametrize("objective", OBJECTIVE_SETTINGS, ids=lambda settings: " ".join(map(str, settings.values())))
def test_every_shipped_objective_agrees_with_its_cache_far_below_the_tolerance(
    monkeypatch: pytest.MonkeyPatch, objective: dict[str, Any], precision: torch.dtype
) -> None:
    parts = assemble(parse_spec(tiny_tree() | {"objective": objective}, "a spec"))
    network, tokens = parts.network.to(precision), parts.task.batch("test", np.arange(3)).tokens[:, :9]
    monkeypatch.setattr("lab.objectives.checks.llama_path.TOLERANCES", {torch.float64: 1e-12, torch.float32: 1e-5})
    decode(network, tokens, np.array([9, 2, 5]), 4, network.drafts)
    require_layer_by_layer(network, tokens, "the test")


def finetuned_tree(start: str, objective: str, **changes: Any) -> dict[str, Any]:
    settings = {"objective": {"kind": start}, "heads": "drop", **changes}
    return tiny_tree() | {"objective": {"kind": objective}, "start": settings}


def test_finetuning_keeps_the_whole_trunk_of_its_start() -> None:
    spec = parse_spec(finetuned_tree("learned_positions", "learned_positions"), "a spec")
    weights = {name: value + 1 for name, value in assemble(spec).network.state_dict().items()}
    network = assemble(spec).network
    load_start_weights(spec, network, weights)
    assert {name for name, value in network.state_dict().items() if not torch.equal(value, weights[name])} == set()


@pytest.mark.parametrize(("start", "objective"), [("learned_positions", "registers"), ("registers", "recurrent")])
def test_finetuning_refuses_a_start_with_another_trunk(start: str, objective: str) -> None:
    with pytest.raises(
        UserError, match=f"objective {start}: its trunk is a .*, and that of objective {objective} is a"
    ):
        assemble(parse_spec(finetuned_tree(start, objective), "a spec"))


def test_finetuning_refuses_positions_for_another_length() -> None:
    shorter = {**tiny_tree()["task"], "length_tokens": 24}
    with pytest.raises(UserError, match=r"trunk\.positions\.weight \[24, 16\], and that of .* \[32, 16\]"):
        assemble(parse_spec(finetuned_tree("learned_positions", "learned_positions", task=shorter), "a spec"))
