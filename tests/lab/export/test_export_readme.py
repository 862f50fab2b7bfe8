"""The README of an export maps every weight, and reports the scores of its checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lab.export.folder import export
from tests.lab.exported_runs import stored_run


def test_the_readme_maps_the_heads_of_an_anticausal_chain(tmp_path: Path) -> None:
    """Head 3 reads the trunk and head 1 comes last, so all three belong to the Llama and there are no extra heads."""
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
        ({"kind": "multi_token", "n": 2, "head": "none", "unembedding": "replicated"}, "Uk is `norm` and `extra_lm_heads.(k-2)`"),
        ({"kind": "sequential_modules"}, "h^k_t = block_k(M_k [norm(h^{k-1}_t); norm(Emb(x_{t+k}))])"),
        ({"kind": "token_order"}, "A second unembedding on the same hidden state"),
        ({"kind": "registers"}, "Every token t is followed by a register"),
        ({"kind": "next_latent"}, "z_{t+i} = z_{t+i-1} + f(LayerNorm[z_{t+i-1}; e(x_{t+i})])"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_the_readme_describes_the_other_trained_parts(tmp_path: Path, objective: dict[str, Any], words: str) -> None:
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
    assert "--checkpoint 8` computes them" in (tmp_path / "kept" / "README.md").read_text()

    stored.folder.write_result({"status": "diverged", "reason": "the loss was not a finite number by step 8"})
    export(stored, tmp_path / "diverged")
    assert "not a finite number by step 8" in (tmp_path / "diverged" / "README.md").read_text()
