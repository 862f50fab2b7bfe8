"""The examples of docs/your-own-trunk.md: a convolution of the example package, and a GPT-2 of Hugging Face's library."""

import json
import os
import re
from pathlib import Path

import pytest
import torch

from generators.foundation.errors import UserError
from lab.model.table import MODELS
from lab.run.assembly import assemble
from lab.run.spec import parse_spec
from lab.run.stored_run import StoredRun
from lab.run.training import train
from tests.conftest import Install, Lab, tiny_tree
from tests.outside_package import EXAMPLE, ROOT

DOCUMENT = (ROOT / "docs" / "your-own-trunk.md").read_text(encoding="utf-8")
CONVOLUTION, HUGGING_FACE = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
POINT = "[mtp_lab.models]\nhf_gpt2 = hf_gpt2:HuggingFace"


def test_the_document_shows_the_trunk_of_the_example_package() -> None:
    assert (EXAMPLE / "mtp_lab_example" / "convolution.py").read_text(encoding="utf-8") == CONVOLUTION


@pytest.mark.slow
def test_a_gpt2_of_hugging_face_passes_the_check_trains_and_keeps_the_weights_of_a_folder(
    lab: Lab, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    from transformers import GPT2Config, GPT2Model

    install("hf_gpt2", POINT, HUGGING_FACE)
    assert set(json.loads(lab("model", "check", "hf_gpt2", "--json").stdout).values()) == {"ok"}
    task = {"kind": "star", "degree": 2, "length": 3, "nodes": 12, "validation_samples": 8, "test_samples": 8}
    tree = tiny_tree() | {"task": task, "model": {"kind": "hf_gpt2"}, "objective": {"kind": "multi_token", "n": 2}}
    spec = parse_spec(tree, "a spec")
    assert train(spec, tmp_path / "home")["status"] == "complete"
    stored = StoredRun(tmp_path / "home", spec.identity)
    assert stored.folder.environment()["hf_gpt2"] == "1.2"

    size = len(stored.task.vocabulary)
    kept = GPT2Model(GPT2Config(vocab_size=size, n_embd=16, n_layer=4, n_head=2)).eval()
    kept.save_pretrained(tmp_path / "folder")
    tree["model"] = {"kind": "hf_gpt2", "folder": str(tmp_path / "folder")}
    network = assemble(parse_spec(tree, "a spec")).network
    assert len(network.trunk.layers) == 2
    heads = [network.next_token_path().layers[0], network.extra_heads[0]]
    tokens = torch.arange(6)[None]
    with torch.no_grad():
        x = kept.wte(tokens) + kept.wpe(torch.arange(6))
        for layer in kept.h[:2]:
            x = layer(x)
        torch.testing.assert_close(network.trunk(tokens), x)
        for head in heads:
            torch.testing.assert_close(network.trunk.apply_layer(head, x), kept.h[2](x))
    assert MODELS.package("hf_gpt2") is not None

    local = f"folder={tmp_path / 'folder'}"
    for settings, sentence in {
        ("folder=nope",): "folder nope should be a local folder with a GPT-2; it has no config.json",
        (local, "layers=12"): "layers 12 should be at most 4, those of the folder",
        (local, "width=16"): "leave out width and attention_heads: those of the folder are kept",
        ("width=33",): "width 33 should be a multiple of attention_heads (2)",
    }.items():
        refused = lab("model", "check", "hf_gpt2", *(part for setting in settings for part in ("--set", setting)))
        assert (refused.returncode, refused.stderr) == (2, f"lab: lab model, kind hf_gpt2: model: {sentence}\n")
    tree["task"] = {"kind": "induction", "length_tokens": 1100, "validation_samples": 8, "test_samples": 8}
    with pytest.raises(UserError, match="hf_gpt2 has 1024 positions, and samples have 1100 tokens"):
        assemble(parse_spec(tree, "a spec"))
