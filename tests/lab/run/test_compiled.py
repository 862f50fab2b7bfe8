"""Compiled layers, CUDA graphs and a GPU train nearly as eager layers on a CPU do."""

from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.run.store import LAST, RunFolder
from lab.run.training import train
from tests.conftest import Spec


@pytest.mark.slow
def test_compiled_layers_train_to_nearly_the_same_loss_under_the_same_names(tiny: Spec, tmp_path: Path) -> None:
    specs = [tiny(training__compile=compiled) for compiled in (False, True)]
    assert specs[0].identity != specs[1].identity
    losses = [train(spec, tmp_path)["scores"]["last"]["test"]["loss_1"] for spec in specs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    eager, compiled = (RunFolder(tmp_path, spec.identity).read_tensors(LAST) for spec in specs)
    assert eager is not None
    assert compiled is not None
    assert eager[0].keys() == compiled[0].keys()


def test_compile_without_a_compiler_is_refused_with_a_sentence(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match=r"training\.compile = true: needs a C\+\+ compiler"):
        train(tiny(training__compile=True), tmp_path)


@pytest.mark.gpu
def test_cuda_graphs_train_to_nearly_the_same_loss(tiny: Spec, tmp_path: Path) -> None:
    settings = {"training__device": "cuda", "training__compile": True, "training__micro_batches": 2}
    results = [train(tiny(**settings, training__cuda_graphs=graphs), tmp_path) for graphs in (False, True)]
    losses = [result["scores"]["last"]["test"]["loss_1"] for result in results]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.gpu
def test_a_gpu_run_learns_as_the_cpu_run_does(tiny: Spec, tmp_path: Path) -> None:
    results = [train(tiny(training__device=device), tmp_path) for device in ("cpu", "cuda")]
    losses = [result["scores"]["last"]["test"]["loss_1"] for result in results]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
