"""An exported run is a Llama: transformers and a Llama written by hand both give the logits of the run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lab.export.folder import export
from lab.objectives.table import OBJECTIVES
from tests.conftest import logits_of
from tests.lab.exported_runs import OBJECTIVE_SETTINGS, logits_by_hand, stored_run


def name_of(objective: dict[str, Any]) -> str:
    return " ".join(map(str, objective.values()))


def test_every_shipped_objective_is_among_the_settings() -> None:
    assert {settings["kind"] for settings in OBJECTIVE_SETTINGS} >= set(OBJECTIVES.rows)


@pytest.mark.parametrize("objective", OBJECTIVE_SETTINGS, ids=name_of)
def test_a_llama_written_by_hand_gives_the_logits_of_the_run(tmp_path: Path, objective: dict[str, Any]) -> None:
    stored = stored_run(tmp_path, objective)
    export(stored, tmp_path / "out")
    tokens = torch.randint(len(stored.parts.task.vocabulary), (3, 31), generator=torch.Generator().manual_seed(2))
    expected = logits_of(stored.parts.network.double(), tokens)
    assert expected.std() > 0.1
    torch.testing.assert_close(logits_by_hand(tmp_path / "out", tokens), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVE_SETTINGS, ids=name_of)
def test_transformers_gives_the_logits_of_the_run(tmp_path: Path, objective: dict[str, Any]) -> None:
    stored = stored_run(tmp_path, objective)
    export(stored, tmp_path / "out")
    llama, report = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert type(llama).__name__ == "LlamaForCausalLM"
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    network = stored.parts.network
    tokens = torch.randint(len(stored.parts.task.vocabulary), (3, 31), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        transformers_logits = llama.double()(tokens).logits
    torch.testing.assert_close(transformers_logits, logits_of(network.double(), tokens), rtol=0, atol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVE_SETTINGS, ids=name_of)
def test_every_parameter_is_in_exactly_one_of_the_two_files(tmp_path: Path, objective: dict[str, Any]) -> None:
    stored = stored_run(tmp_path, objective)
    export(stored, tmp_path / "out")
    files = [load_file(path) for path in (tmp_path / "out").glob("*.safetensors")]
    values = [value for file in files for value in file.values()]
    parameters = list(stored.parts.network.parameters())
    assert len(values) == len(parameters)
    assert sorted(float(value.double().sum()) for value in values) == pytest.approx(
        sorted(float(value.detach().double().sum()) for value in parameters), abs=1e-9
    )


def test_tied_weights_are_written_twice(tmp_path: Path) -> None:
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 1})
    network = stored.parts.network
    network.next_token_path().unembedding.weight = network.trunk.embed_tokens.weight
    export(stored, tmp_path / "out")
    tokens = torch.arange(20).reshape(1, 20)
    torch.testing.assert_close(
        logits_by_hand(tmp_path / "out", tokens), logits_of(network.double(), tokens), rtol=0, atol=1e-5
    )


def test_heads_have_the_names_of_the_released_checkpoints(tmp_path: Path) -> None:
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 3})
    export(stored, tmp_path / "out")
    names = load_file(tmp_path / "out" / "model.safetensors")
    numbers = {int(name.split(".")[2]) for name in names if name.startswith("model.layers.")}
    assert numbers == {0, 1}, "one trunk layer, then head 1"
    network = stored.parts.network
    head_1 = dict(network.named_parameters())["head.self_attn.q_proj.weight"]
    assert torch.equal(names["model.layers.1.self_attn.q_proj.weight"], head_1)
    extra = load_file(tmp_path / "out" / "extra_heads.safetensors")
    assert {name.rsplit(".", 1)[0].split(".")[1] for name in extra} == {"0", "1"}
    assert all(name.startswith("extra_heads.") for name in extra)
    text = (tmp_path / "out" / "README.md").read_text()
    assert "z → block 3 → U → t+3" in text
    assert stored.folder.identity in text
    vocabulary = json.loads((tmp_path / "out" / "vocabulary.json").read_text())
    assert tuple(vocabulary) == stored.parts.task.vocabulary


def test_next_token_prediction_has_no_extra_heads(tmp_path: Path) -> None:
    export(stored_run(tmp_path, {"kind": "multi_token", "n": 1}), tmp_path / "out")
    assert not (tmp_path / "out" / "extra_heads.safetensors").exists()


def test_the_tokenizer_encodes_a_printed_sample(tmp_path: Path) -> None:
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 1})
    export(stored, tmp_path / "out")
    tokens = stored.parts.task.batch("test", [3]).tokens[0]
    words = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert words(stored.parts.task.text(tokens))["input_ids"] == tokens.tolist()
    assert words.decode(tokens) == stored.parts.task.text(tokens)


@pytest.mark.parametrize("tokens", ["bytes", "bpe"])
def test_bytes_have_a_tokenizer_and_byte_pairs_do_not(tmp_path: Path, tokens: str) -> None:
    """No token holds a space ("Ġ" stands for it), so a tokenizer that splits at spaces would know no word."""
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n\n".join(f"the {number}th line , of a näive text\twith no end" * 3 for number in range(60)))
    task = {"kind": "text", "corpus": str(corpus), "separator": "\n\n", "length_tokens": 16, "tokens": tokens}
    task |= {"test_samples": 2, "validation_samples": 2} | ({"vocabulary_tokens": 320} if tokens == "bpe" else {})
    stored = stored_run(tmp_path, {"kind": "multi_token"}, task)
    files = export(stored, tmp_path / "out")
    assert ("tokenizer.json" in files) == (tokens == "bytes")
    assert ("There is no tokenizer" in (tmp_path / "out" / "README.md").read_text()) == (tokens == "bpe")
    if tokens == "bytes":
        text = "a näive , text\n\twith  spaces"
        words = AutoTokenizer.from_pretrained(tmp_path / "out")
        assert words(text)["input_ids"] == list(text.encode())
        assert words.decode(list(text.encode())) == text
