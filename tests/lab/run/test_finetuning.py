"""Before its first step, a finetuning run computes exactly the pretrained next-token network."""

from pathlib import Path

import pytest
import torch

from generators.foundation.settings import Tree
from lab.objectives.multi_token import MultiToken
from lab.objectives.table import OBJECTIVES
from lab.run.assembly import assemble
from lab.run.evaluation import Evaluator
from lab.run.finetuning import meta_network
from lab.run.spec import parse_spec
from lab.run.store import LAST, RunFolder
from lab.run.stored_run import StoredRun
from lab.run.training import train
from tests.conftest import Spec
from tests.lab.run.finetuned_runs import at_step_0, finetuned, multi_token, start_of, start_weights


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose start runs the tests share."""
    return tmp_path_factory.mktemp("finetuning")


# The tiny model has 4 layers: objective of the start, of the run, layers of the run's trunk, additional heads.
MOVES = {
    "n=3 to 1": (multi_token(3), multi_token(1), 1, 0),
    "n=3 to 3": (multi_token(3), multi_token(3), 1, 2),
    "n=1 to 3": (multi_token(1), multi_token(3), 3, 2),
    "n=1 to 3, match none": (multi_token(1), multi_token(3, match="none"), 3, 2),
    "n=1 to more heads than the model has layers": (multi_token(1), multi_token(6), 3, 5),
    "n=3 to 1, match none": (multi_token(3, match="none"), multi_token(1), 3, 0),
    "a causal chain to 1": (multi_token(2, topology="causal"), multi_token(1), 2, 0),
    "an anticausal chain, all of whose heads are on the path": (
        multi_token(3, topology="anticausal"),
        multi_token(1),
        3,
        0,
    ),
    "linear heads": (multi_token(2, head="linear"), multi_token(1, head="linear"), 4, 0),
    "heads without a layer": (multi_token(1, head="none"), multi_token(1), 3, 0),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_run_begins_as_exactly_the_next_token_network_of_its_start(home: Path, move: str) -> None:
    start, objective, trunk_layers, further_heads = MOVES[move]
    spec = finetuned(objective, start, checkpoint="last")
    metrics, _ = at_step_0(spec, home)
    pretrained = train(start_of(spec), home)["scores"]["last"]["validation"]
    assert {name: metrics[name] for name in ("loss_1", "accuracy")} == {
        name: pretrained[name] for name in ("loss_1", "accuracy")
    }
    network = meta_network(spec)
    assert len(network.trunk.layers) == trunk_layers
    assert sum(name.startswith("head ") for name in network.head_parts()) in (0, 1 + further_heads)


@pytest.mark.parametrize(
    "later", [{"kind": "token_order"}, {"kind": "registers"}, {"kind": "sequential_modules", "n": 2}]
)
def test_objectives_of_other_kinds_follow_each_other_layer_by_layer(home: Path, later: Tree) -> None:
    for start, objective in ((multi_token(2), later), (later, multi_token(2))):
        spec = finetuned(objective, start, checkpoint="last")
        metrics, _ = at_step_0(spec, home)
        pretrained = train(start_of(spec), home)["scores"]["last"]["validation"]["loss_1"]
        assert metrics["loss_1"] == pytest.approx(
            pretrained, rel=1e-6
        )  # registers index the rotary table, which rounds


def test_additional_heads_are_kept_or_initialised_again(home: Path) -> None:
    kept, dropped = (finetuned(multi_token(3), multi_token(3), heads=heads) for heads in ("keep", "drop"))
    (_, keep), (_, drop) = (at_step_0(spec, home) for spec in (kept, dropped))
    pretrained, drawn = start_weights(kept, home), assemble(kept).network.state_dict()
    further = [name for name in keep if name.startswith("extra_heads.") and "norm" not in name]
    assert all((keep[name] == pretrained[name]).all() for name in keep)
    assert all((drop[name] == pretrained[name]).all() for name in keep if not name.startswith("extra_heads."))
    assert all((drop[name] == drawn[name]).all() and (drop[name] != pretrained[name]).any() for name in further)
    assert further


def test_heads_that_the_start_lacks_are_drawn_from_the_seed(home: Path) -> None:
    spec = finetuned(multi_token(3), multi_token(1))
    _, weights = at_step_0(spec, home)
    drawn = assemble(spec).network.state_dict()
    assert all((weights[name] == drawn[name]).all() for name in weights if name.startswith("extra_heads."))


def test_the_named_checkpoint_is_loaded(home: Path) -> None:
    # The far too high rate unlearns what was learnt first, so that the best checkpoint is not the last.
    tree = finetuned(multi_token(1), multi_token(1)).tree()
    training = {**tree["start"]["training"], "steps": 24, "evaluate_every_steps": 2, "learning_rate": 0.3}
    unembeddings = []
    for checkpoint in ("best", "last"):
        tree["start"] |= {"checkpoint": checkpoint, "training": training}
        spec = parse_spec(tree, "the test's spec")
        metrics, weights = at_step_0(spec, home)
        result = train(start_of(spec), home)
        assert result["best_step"] < result["steps"]
        assert metrics["loss_1"] == result["scores"][checkpoint]["validation"]["loss_1"]
        unembeddings.append(weights["lm_head.weight"])
    assert (unembeddings[0] != unembeddings[1]).any()


@pytest.mark.parametrize("loss", ["joint", "sequential", "chunked"])
def test_a_frozen_trunk_keeps_its_bytes_and_has_no_optimiser_state(home: Path, loss: str) -> None:
    frozen, free = (
        finetuned(multi_token(2), multi_token(2), freeze=freeze, training__loss=loss) for freeze in ("trunk", "none")
    )
    for spec in (frozen, free):
        train(spec, home)
        start = start_weights(spec, home)
        stored = RunFolder(home, spec.identity).read_tensors(LAST)
        assert stored is not None
        unchanged = {name for name in start if (start[name] == stored[0][f"model.{name}"]).all()}
        trunk = {name for name in start if name.startswith("trunk.")}
        assert unchanged == (trunk if spec is frozen else set())
        assert any("trunk" in name for name in stored[0] if name.startswith("adam.")) == (spec is free)
        assert any("head" in name for name in stored[0] if name.startswith("adam."))


def test_a_finetuned_run_is_read_back_with_its_start(home: Path) -> None:
    spec = finetuned(multi_token(1), multi_token(3), task__characters=4)
    result = train(spec, home)
    stored = StoredRun(home, spec.identity, "last")
    scores = Evaluator(stored.task, "test", torch.device("cpu"))(stored.network)
    assert scores == result["scores"]["last"]["test"]
    assert stored.spec == spec
    assert result["start"] == start_of(spec).identity


def test_a_kept_network_is_not_that_of_another_class_under_the_same_name(
    tiny: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(MultiToken):
        pass

    spec = tiny()
    assert meta_network(spec) is meta_network(spec)
    monkeypatch.setattr(OBJECTIVES, "find", lambda name, source: Other)
    assert type(meta_network(spec)) is Other
