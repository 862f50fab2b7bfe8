"""An exported run is a Llama: transformers gives our logits, and so does a Llama written out here from the two files."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from generators.foundation.errors import UserError, WorkFailed
from lab.export import export, llama_modules
from lab.model.layers import Block
from lab.objectives.objective import NextTokenPath
from lab.objectives.table import OBJECTIVES
from lab.run.assembly import assemble
from lab.run.spec import parse_spec
from lab.run.store import BEST, LAST, RunFolder
from lab.run.stored_run import StoredRun
from tests.conftest import Lab, Spec, logits_of, tiny_tree

SETTINGS: list[dict[str, Any]] = [
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


def stored_run(home: Path, objective: dict[str, Any], task: dict[str, Any] | None = None) -> StoredRun:
    """A run as training leaves it, with random weights whose norms are not one."""
    tree = tiny_tree(model__rotary_base=50.0)
    tree |= {"objective": objective, "task": task or tree["task"]}
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


def logits_by_hand(folder: Path, tokens_BxT: Tensor) -> Tensor:
    """The Llama of config.json and model.safetensors, one head and one position at a time, in double precision."""
    config = json.loads((folder / "config.json").read_text())
    weights = {name: value.double() for name, value in load_file(folder / "model.safetensors").items()}
    heads, width = config["num_attention_heads"], config["head_dim"]

    def norm(x: Tensor, name: str) -> Tensor:
        return weights[name] * x / (x.square().mean(-1, keepdim=True) + config["rms_norm_eps"]).sqrt()

    def turned(x_BxK: Tensor, t: int) -> Tensor:
        """Pairs (k, k + K/2) as complex numbers, multiplied by exp(i t theta^(-2k/K))."""
        angle = t * config["rope_theta"] ** (-torch.arange(0, width, 2).double() / width)
        pairs = torch.complex(*x_BxK.chunk(2, -1)) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat((pairs.real, pairs.imag), -1)

    x = weights["model.embed_tokens.weight"][tokens_BxT]
    for layer in range(config["num_hidden_layers"]):
        of = {
            name.split(".", 3)[3]: value for name, value in weights.items() if name.startswith(f"model.layers.{layer}.")
        }
        h = norm(x, f"model.layers.{layer}.input_layernorm.weight")
        q, k, v = ((h @ of[f"self_attn.{letter}_proj.weight"].T).split(width, -1) for letter in "qkv")
        seen = torch.zeros_like(x)
        for head in range(heads):
            keys = torch.stack([turned(k[head][:, t], t) for t in range(x.shape[1])], 1)
            for t in range(x.shape[1]):
                scores = (keys[:, : t + 1] @ turned(q[head][:, t], t)[..., None])[..., 0] / width**0.5
                share = scores.exp() / scores.exp().sum(-1, keepdim=True)
                seen[:, t, head * width : (head + 1) * width] = (share[..., None] * v[head][:, : t + 1]).sum(1)
        x = x + seen @ of["self_attn.o_proj.weight"].T
        h = norm(x, f"model.layers.{layer}.post_attention_layernorm.weight")
        gate = h @ of["mlp.gate_proj.weight"].T
        x = x + (gate / (1 + (-gate).exp()) * (h @ of["mlp.up_proj.weight"].T)) @ of["mlp.down_proj.weight"].T
    return norm(x, "model.norm.weight") @ weights["lm_head.weight"].T


def test_every_objective_of_the_table_is_exported_here() -> None:
    assert {each["kind"] for each in SETTINGS} >= set(OBJECTIVES.rows)


@pytest.mark.parametrize("objective", SETTINGS, ids=lambda each: " ".join(map(str, each.values())))
def test_the_two_files_say_all_that_the_logits_need(tmp_path: Path, objective: dict[str, Any]) -> None:
    stored = stored_run(tmp_path, objective)
    export(stored, tmp_path / "out")
    tokens = torch.randint(len(stored.parts.task.vocabulary), (3, 31), generator=torch.Generator().manual_seed(2))
    expected = logits_of(stored.parts.network.double(), tokens)
    assert expected.std() > 0.1
    torch.testing.assert_close(logits_by_hand(tmp_path / "out", tokens), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("objective", SETTINGS, ids=lambda each: " ".join(map(str, each.values())))
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


@pytest.mark.parametrize("objective", SETTINGS, ids=lambda each: " ".join(map(str, each.values())))
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
    assert words.decode(tokens) == stored.parts.task.text(tokens)


@pytest.mark.parametrize("tokens", ["bytes", "bpe"])
def test_text_in_bytes_has_a_tokenizer_and_text_in_learnt_pairs_none(tmp_path: Path, tokens: str) -> None:
    """Tokens hold no space, "Ġ" stands for one: split at spaces, a text would be unknown words alone."""
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


def test_the_readme_says_where_each_head_went_in_an_anticausal_chain(tmp_path: Path) -> None:
    """Head 3 stands on the trunk, head 1 on top of all; so all three are the Llama's, and no file holds extra heads."""
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 3, "topology": "anticausal"})
    assert "extra_heads.safetensors" not in export(stored, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    for row in (
        "| `model.layers.i` for i < 1 | `trunk.layers.i` |",
        "| `model.layers.1` | `extra_heads.1` |",
        "| `model.layers.2` | `extra_heads.0` |",
        "| `model.layers.3` | `head` |",
        "| `model.norm` | `norm` |",
    ):
        assert row in text
    assert "extra_heads.safetensors" not in text
    network = dict(stored.parts.network.named_parameters())
    llama = load_file(tmp_path / "out" / "model.safetensors")
    name = "mlp.up_proj.weight"
    assert torch.equal(llama[f"model.layers.1.{name}"], network[f"extra_heads.1.{name}"])
    assert torch.equal(llama[f"model.layers.3.{name}"], network[f"head.{name}"])


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ({"kind": "multi_token", "n": 2, "head": "none", "unembedding": "replicated"}, "Uk `norm` and `extra_lm_heads.(k-2)`"),
        ({"kind": "sequential_modules"}, "h^k_t = block_k(M_k [norm(h^{k-1}_t); norm(Emb(x_{t+k}))])"),
        ({"kind": "token_order"}, "A second unembedding on the same hidden state"),
        ({"kind": "registers"}, "Behind every token t stands a register"),
    ],
    ids=lambda each: each["kind"] if isinstance(each, dict) else "",
)  # fmt: skip
def test_the_readme_says_how_what_else_was_trained_hangs_together(
    tmp_path: Path, objective: dict[str, Any], words: str
) -> None:
    export(stored_run(tmp_path, objective), tmp_path / "out")
    assert words in (tmp_path / "out" / "README.md").read_text()


def test_the_readme_has_the_scores_of_its_checkpoint(tmp_path: Path) -> None:
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 1})
    export(stored, tmp_path / "unfinished")
    assert "it has no scores yet" in (tmp_path / "unfinished" / "README.md").read_text()

    best = {"validation": {"loss_1": 1.25, "accuracy": 0.5}, "test": {"loss_1": 1.5}}
    last = {split: {"loss_1": 9.0} for split in best}
    stored.folder.write_result({"status": "complete", "scores": {"best": best, "last": last}})
    export(stored, tmp_path / "complete")
    text = (tmp_path / "complete" / "README.md").read_text()
    assert (
        "| metric | validation | test |\n|---|---|---|\n| `loss_1` | 1.2500 | 1.5000 |\n| `accuracy` | 0.5000 |  |"
        in text
    )
    assert "9.0000" not in text

    stored.checkpoint = "8"
    export(stored, tmp_path / "kept")
    assert "--checkpoint 8` gives them" in (tmp_path / "kept" / "README.md").read_text()

    stored.folder.write_result({"status": "diverged", "reason": "the loss was not a finite number by step 8"})
    export(stored, tmp_path / "diverged")
    assert "not a finite number by step 8" in (tmp_path / "diverged" / "README.md").read_text()


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
    for place in (path, path / "below", tmp_path / ("x" * 300)):
        refused = lab("export", run, place, *home)
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"lab: {place}: no folder can be made there")
        assert len(refused.stderr.splitlines()) == 1
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
    assert f"run {stored.folder.identity}: a Linear stands on its next-token path" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_what_is_no_llama_is_refused_also_where_it_looks_like_one(tmp_path: Path) -> None:
    network = stored_run(tmp_path, {"kind": "multi_token", "n": 1}).parts.network
    path = network.next_token_path()

    class Other(Block):
        pass

    biased = nn.Linear(16, path.unembedding.out_features)
    for changed, reason in (
        (
            NextTokenPath([Other(16, 2, 44)], path.norm, path.unembedding),
            "run x: a Other stands on its next-token path",
        ),
        (NextTokenPath(path.layers, path.norm, biased), "run x: the unembedding has a bias"),
    ):
        network.next_token_path = lambda changed=changed: changed  # type: ignore[method-assign, misc]
        with pytest.raises(UserError, match=reason):
            llama_modules(network, "run x")


def test_tied_weights_are_written_as_two(tmp_path: Path) -> None:
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 1})
    network = stored.parts.network
    network.next_token_path().unembedding.weight = network.trunk.embed_tokens.weight
    export(stored, tmp_path / "out")
    tokens = torch.arange(20).reshape(1, 20)
    torch.testing.assert_close(
        logits_by_hand(tmp_path / "out", tokens), logits_of(network.double(), tokens), rtol=0, atol=1e-5
    )


def test_a_full_disk_is_a_sentence_and_leaves_nothing_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 2})

    def full(descriptor: int) -> None:
        left.pop()
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for enough_for in range(len(export(stored, tmp_path / "whole"))):
        left = [None] * (enough_for + 1)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(WorkFailed, match=r"could not be written \(No space left on device\)"):
            export(stored, tmp_path / str(enough_for))
        monkeypatch.undo()
        assert len(list((tmp_path / str(enough_for)).iterdir())) == enough_for
        assert not (tmp_path / str(enough_for) / "config.json").exists()


@pytest.mark.parametrize(("checkpoint", "name"), [("best", BEST), ("last", LAST)])
def test_weights_of_another_network_are_refused(tmp_path: Path, checkpoint: str, name: str) -> None:
    stored = stored_run(tmp_path, {"kind": "multi_token", "n": 2})
    stored.folder.write_tensors(name, {"model.a": torch.ones(2)}, {"step": 7})
    with pytest.raises(UserError, match=rf"{name}: the weights do not fit objective multi_token"):
        StoredRun(tmp_path, stored.folder.identity, checkpoint)
