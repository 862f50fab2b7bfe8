"""A run is refused in one sentence if its device is absent or if two parameters of its objective share memory."""

from pathlib import Path

import pytest
import torch

from generators.foundation.errors import UserError
from lab.model.config import DataShape, ModelConfig
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.objectives.table import OBJECTIVES
from lab.run import assembly
from lab.run.assembly import assemble, usable_device
from lab.run.finetuning import meta_network
from tests.conftest import Lab, Spec


class TiedEmbedding(MultiToken):
    def __init__(self, config: MultiTokenConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data)
        self.lm_head.weight = self.trunk.embed_tokens.weight


class ViewOfTheEmbedding(MultiToken):
    def __init__(self, config: MultiTokenConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data)
        self.register_buffer("first_tokens", self.trunk.embed_tokens.weight.detach()[:3])


@pytest.mark.parametrize(
    "name",
    [
        "mps",
        "xpu",
        "hpu",
        "xla",
        "vulkan",
        "meta",
        "privateuseone",
        "nonsense",
        "gpu",
        "",
        "cuda:-1",
        "cpu:x",
        "cuda:77",
    ],
)
def test_an_absent_device_is_refused_in_one_short_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in ("mps", "xpu") and f"{name}:0" in assembly.device_names():
        pytest.skip(f"this machine has {name}")
    monkeypatch.setattr(assembly, "device_names", lambda: ["cpu", "cuda:0"])
    with pytest.raises(UserError) as refusal:
        usable_device(name)
    assert str(refusal.value) == f'training.device = "{name}": absent; this machine has cpu, cuda:0'


def test_a_device_that_fails_is_refused_with_the_start_of_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise RuntimeError("no memory " * 50 + "\nand a second line")

    monkeypatch.setattr(torch, "empty", fail)
    with pytest.raises(
        UserError, match=r'^--device = "cpu": does not work: (no memory )+; this machine has cpu'
    ) as refusal:
        usable_device("cpu", "--device")
    assert len(str(refusal.value)) < 250


def test_every_listed_device_is_usable() -> None:
    for name in assembly.device_names():
        assert usable_device(name).type == name.partition(":")[0]


@pytest.mark.parametrize(
    ("objective", "names"),
    [
        (TiedEmbedding, "trunk.embed_tokens.weight and lm_head.weight"),
        (ViewOfTheEmbedding, "first_tokens and trunk.embed_tokens.weight"),
    ],
)
def test_parameters_that_share_memory_are_refused_by_name(
    objective: type, names: str, tiny: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OBJECTIVES.rows, "multi_token", f"{__name__}:{objective.__name__}")  # type: ignore[arg-type]
    sentence = f'objective.kind = "multi_token": {names} share memory, but a checkpoint stores each under its own name'
    for build in (assemble, meta_network):
        with pytest.raises(UserError) as refusal:
            build(tiny())
        assert str(refusal.value).startswith(sentence)


def test_training_refuses_tied_embeddings_before_the_first_step(
    lab: Lab, spec_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(OBJECTIVES.rows, "multi_token", f"{__name__}:TiedEmbedding")  # type: ignore[arg-type]
    done = lab("train", spec_file, "--home", tmp_path / "home")
    assert done.returncode == 2
    assert "trunk.embed_tokens.weight and lm_head.weight share memory" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "home").exists()
