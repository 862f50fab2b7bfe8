"""A compiled loss, CUDA graphs and a GPU train nearly as eager code on a CPU does."""

from pathlib import Path

import pytest
from torch._dynamo.utils import counters

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.loss.compiler import Compiler
from lab.run.assembly import assemble
from lab.run.spec import RunSpec
from lab.run.step import OptimiserStep
from lab.run.store import LAST, RunFolder
from lab.run.training import train
from lab.run.training_data import training_batches
from tests.conftest import Spec
from tests.lab.devices import TEST_DEVICE
from tests.lab.killed_runs import contents, train_until_killed

OBJECTIVE_TABLES = [
    {"kind": "multi_token", "n": 2, "match": "none"},
    {"kind": "multi_token", "n": 3, "match": "none", "topology": "causal"},
    {"kind": "multi_token", "n": 2, "head": "linear", "unembedding": "replicated"},
    {"kind": "multi_token", "n": 2, "match": "none", "curriculum": "forward", "stage_steps": 5},
    {"kind": "multi_token", "n": 3, "match": "none", "entropy_at_most": 2.0},
    {"kind": "sequential_modules", "n": 3},
    {"kind": "token_order"},
    {"kind": "token_order", "ranking": "hinge", "further_weight": {"first": 0.3, "last": 0.1, "step": 6}},
    {"kind": "registers"},
    {"kind": "next_latent", "horizon": 2},
    {"kind": "future_summary"},
    {"kind": "joint", "n": 3},
    {"kind": "teacherless"},
    {"kind": "belief_state"},
]


def trained_steps(spec: RunSpec) -> tuple[list[dict[str, float]], Compiler | None]:
    """Trains a run without storing it; returns the losses of each step, and the compiler that was used at the end."""
    parts = assemble(spec)
    optimiser_step = OptimiserStep(parts.network, spec.training)
    losses = []
    for step, batch in enumerate(training_batches(parts.task, spec, parts.device, 0)):
        values = optimiser_step.take(batch, step)
        losses.append({name: float(value) for name, value in values.items()})
    return losses, optimiser_step.compiler


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["joint", "sequential", "chunked"])
@pytest.mark.parametrize("objective", OBJECTIVE_TABLES, ids=lambda table: "-".join(map(str, table.values())))
def test_every_objective_compiles_as_one_piece_and_trains_as_it_does_eagerly(
    tiny: Spec, objective: Tree, loss: str
) -> None:
    if loss != "joint" and objective != OBJECTIVE_TABLES[1]:
        pytest.skip("the trunk is compiled in the same way for every objective")
    task = {"kind": "star"}
    counters.clear()
    compiled, compiler = trained_steps(
        tiny(task=task, objective=objective, training__compile=True, training__loss=loss)
    )
    if loss == "joint":
        stages = 2 if "stage_steps" in objective else 1
        assert counters["stats"]["unique_graphs"] == stages, "no step after the first of a stage compiles again"
    eager, _ = trained_steps(tiny(task=task, objective=objective, training__loss=loss))
    assert compiler == Compiler(whole=True)
    for fast, slow in zip(compiled, eager, strict=True):
        assert fast == pytest.approx(slow, rel=1e-3)


@pytest.mark.slow
def test_batches_of_several_lengths_are_compiled_layer_by_layer(tiny: Spec) -> None:
    compiled, compiler = trained_steps(tiny(task={"kind": "polynomial"}, training__compile=True))
    eager, _ = trained_steps(tiny(task={"kind": "polynomial"}))
    assert compiler == Compiler(whole=False)
    for fast, slow in zip(compiled, eager, strict=True):
        assert fast == pytest.approx(slow, rel=1e-3)


@pytest.mark.slow
def test_a_compiled_run_that_was_killed_ends_with_the_same_bytes_and_names(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(task={"kind": "star"}, training__compile=True)
    assert spec.identity != tiny(task={"kind": "star"}).identity
    train(spec, tmp_path / "whole")
    train_until_killed(spec, tmp_path / "killed", "take_step", 8)
    train(spec, tmp_path / "killed")
    whole, resumed = (contents(tmp_path / home / "runs" / spec.identity) for home in ("whole", "killed"))
    assert whole == resumed
    train(tiny(task={"kind": "star"}), tmp_path / "eager")
    eager, compiled = (
        RunFolder(tmp_path / home, identity).read_tensors(LAST)
        for home, identity in (("eager", tiny(task={"kind": "star"}).identity), ("whole", spec.identity))
    )
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
@pytest.mark.skipif(TEST_DEVICE == "cpu", reason="a CPU has no CUDA graphs")
def test_cuda_graphs_train_to_nearly_the_same_loss(tiny: Spec, tmp_path: Path) -> None:
    settings = {"training__device": TEST_DEVICE, "training__compile": True, "training__micro_batches": 2}
    results = [train(tiny(**settings, training__cuda_graphs=graphs), tmp_path) for graphs in (False, True)]
    losses = [result["scores"]["last"]["test"]["loss_1"] for result in results]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.gpu
def test_a_gpu_run_learns_as_the_cpu_run_does(tiny: Spec, tmp_path: Path) -> None:
    results = [train(tiny(training__device=device), tmp_path) for device in ("cpu", TEST_DEVICE)]
    losses = [result["scores"]["last"]["test"]["loss_1"] for result in results]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
