"""An exported run is a Llama: transformers gives our logits."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lab.assembly import assemble
from lab.export import export, tokenizer
from lab.spec import parse_spec
from lab.store import BEST, RunFolder
from lab.stored import StoredRun
from tests.conftest import Lab, Spec, logits_of, tiny_tree

OBJECTIVES: list[dict[str, Any]] = [
    {"kind": "multi_token", "n": 1},
    {"kind": "multi_token", "n": 3},
    {"kind": "multi_token", "n": 3, "topology": "causal", "match": "none"},
    {"kind": "multi_token", "n": 3, "topology": "anticausal"},
    {"kind": "multi_token", "n": 2, "unembedding": "replicated"},
    {"kind": "multi_token", "n": 2, "head": "none", "unembedding": "replicated"},
    {"kind": "sequential_modules", "n": 3},
    {"kind": "token_order"},
    {"kind": "registers"},
]


def stored_run(home: Path, objective: dict[str, Any]) -> StoredRun:
    """A run as training leaves it, with random weights whose norms are not one."""
    tree = tiny_tree(model__rotary_base=50.0)
    tree["objective"] = objective
    spec = parse_spec(tree, "a spec")
    network = assemble(spec).network
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(number))
    folder = RunFolder(home, spec.identity)
    with folder.locked(spec):
        folder.write_tensors(BEST, network.state_dict(), {"step": 7})
    return StoredRun(home, spec.identity, "best")


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: " ".join(map(str, each.values())))
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
        theirs = llama.double()(tokens).logits
    torch.testing.assert_close(theirs, logits_of(network.double(), tokens), rtol=0, atol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: " ".join(map(str, each.values())))
def test_every_parameter_is_in_one_of_the_two_files(tmp_path: Path, objective: dict[str, Any]) -> None:
    stored = stored_run(tmp_path, objective)
    export(stored, tmp_path / "out")
    files = [load_file(path) for path in (tmp_path / "out").glob("*.safetensors")]
    values = [value for file in files for value in file.values()]
    mine = list(stored.parts.network.parameters())
    assert len(values) == len(mine)
    assert sorted(float(value.double().sum()) for value in values) == pytest.approx(
        sorted(float(value.detach().double().sum()) for value in mine), abs=1e-9
    )


def test_heads_are_named_as_in_the_papers_released_checkpoints(tmp_path: Path) -> None:
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 3})
    export(stored, tmp_path / "out")
    names = load_file(tmp_path / "out" / "model.safetensors")
    numbers = {int(name.split(".")[2]) for name in names if name.startswith("model.layers.")}
    assert numbers == {0, 1}, "one layer of the trunk, and head 1 behind it"
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


def test_the_tokenizer_reads_a_printed_sample(tmp_path: Path) -> None:
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 1})
    export(stored, tmp_path / "out")
    tokens = stored.parts.task.batch("test", [3]).tokens[0]
    words = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert words(stored.parts.task.text(tokens))["input_ids"] == tokens.tolist()
    assert tokenizer(("a", "b", " ")) == tokenizer(("a", "a")) == {}


def test_next_token_prediction_has_no_extra_heads(tmp_path: Path) -> None:
    export(stored_run(tmp_path, {"kind": "multi_token", "n": 1}), tmp_path / "out")
    assert not (tmp_path / "out" / "extra_heads.safetensors").exists()


def test_the_command_exports_a_trained_run_and_never_writes_over_anything(lab: Lab, tmp_path: Path, tiny: Spec) -> None:
    path = tmp_path / "spec.json"
    tree = tiny_tree()
    path.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in dotted(tree).items()))
    home = ("--home", tmp_path / "home")
    run = json.loads(lab("train", path, "--json", *home).stdout)["run"]
    done = lab("export", run[:6], tmp_path / "out", "--checkpoint", "last", "--json", *home)
    assert done.returncode == 0
    answer = json.loads(done.stdout)
    assert (answer["run"], answer["step"], answer["checkpoint"]) == (run, 12, "last")
    assert sorted(answer["files"]) == sorted(path.name for path in (tmp_path / "out").iterdir())
    again = lab("export", run, tmp_path / "out", *home)
    assert again.returncode == 2
    assert "something there already" in again.stderr
    assert lab("export", run, path, *home).returncode == 2
    assert "should be best or last" in lab("export", run, tmp_path / "new", "--checkpoint", "first", *home).stderr
    assert lab("export", "zzz", tmp_path / "new", *home).returncode == 2
    assert not (tmp_path / "new").exists()


def dotted(tree: dict[str, Any], stem: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= dotted(value, f"{stem}{key}.") if isinstance(value, dict) else {stem + key: value}
    return found


def test_a_linear_head_is_refused_because_no_llama_has_one(lab: Lab, tmp_path: Path) -> None:
    stored = stored_run(tmp_path / "home", {"kind": "multi_token", "n": 2, "head": "linear"})
    refused = lab("export", stored.folder.identity, tmp_path / "out", "--home", tmp_path / "home")
    assert refused.returncode == 2
    assert f"run {stored.folder.identity}: head 1 is a Linear" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
