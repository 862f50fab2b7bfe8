"""A run that starts from another: it begins as exactly what was pretrained, and what cannot be is a sentence."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.settings import Tree
from lab.run.assembly import assemble
from lab.run.evaluation import Evaluator
from lab.run.finetuning import meta_network
from lab.run.spec import RunSpec, parse_spec
from lab.run.store import BEST, LAST, METRICS, RunFolder
from lab.run.stored_run import StoredRun, load_weights
from lab.run.training import TrainingRun, train
from tests.conftest import TINY, Lab, Spec, tiny_tree
from tests.lab.conftest import SPEC, Killed, broken_off

FILES = (METRICS, LAST, BEST, "result.json", "spec.json")


def multi(n: int, **changes: Any) -> Tree:
    return {"kind": "multi_token", "n": n, **changes}


def finetuned(objective: Tree, start: Tree, **changes: Any) -> RunSpec:
    """The tiny run on an objective, started from 8 steps on another; changes are of [start], or of the run."""
    tree = tiny_tree(objective=objective, **{key: value for key, value in changes.items() if "__" in key})
    training = {**TINY["training"], "steps": 8}
    tree["start"] = {"objective": start, "training": training, **{k: v for k, v in changes.items() if "__" not in k}}
    return parse_spec(tree, "the test's spec")


def start_of(spec: RunSpec) -> RunSpec:
    assert spec.start is not None
    return spec.start.run


def at_step_0(spec: RunSpec, home: Path) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Validation metrics and weights of a run as its training begins."""
    seen: dict[str, Any] = {}

    def look(run: TrainingRun, progress: object) -> None:
        seen["metrics"] = run.validation(run.network)
        seen["weights"] = {name: value.clone() for name, value in run.network.state_dict().items()}
        raise Killed

    train(start_of(spec), home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingRun, "train", look)
        with pytest.raises(Killed):
            train(spec, home)
    return seen["metrics"], seen["weights"]


def of_start(spec: RunSpec, home: Path) -> dict[str, Tensor]:
    assert spec.start is not None
    return load_weights(RunFolder(home, spec.start.run.identity), spec.start.checkpoint)[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose start runs the tests share."""
    return tmp_path_factory.mktemp("finetuning")


def contents(home: Path, spec: RunSpec) -> dict[str, bytes]:
    return {name: (home / "runs" / spec.identity / name).read_bytes() for name in FILES}


# The tiny model has 4 layers: objective of the start, of the run, layers of the run's trunk, further heads.
MOVES = {
    "n=3 to 1": (multi(3), multi(1), 1, 0),
    "n=3 to 3": (multi(3), multi(3), 1, 2),
    "n=1 to 3": (multi(1), multi(3), 3, 2),
    "n=1 to 3, none matched": (multi(1), multi(3, match="none"), 3, 2),
    "n=1 to more heads than the model has layers": (multi(1), multi(6), 3, 5),
    "n=3 to 1, none matched": (multi(3, match="none"), multi(1), 3, 0),
    "a causal chain to 1": (multi(2, topology="causal"), multi(1), 2, 0),
    "an anticausal chain, whose heads are all on the way": (multi(3, topology="anticausal"), multi(1), 3, 0),
    "linear heads": (multi(2, head="linear"), multi(1, head="linear"), 4, 0),
    "heads without a layer": (multi(1, head="none"), multi(1), 3, 0),
}


@pytest.mark.parametrize("move", MOVES)
def test_it_begins_as_exactly_the_next_token_network_that_was_pretrained(home: Path, move: str) -> None:
    start, objective, trunk_layers, further = MOVES[move]
    spec = finetuned(objective, start, checkpoint="last")
    metrics, _ = at_step_0(spec, home)
    pretrained = train(start_of(spec), home)["scores"]["last"]["validation"]
    assert {name: metrics[name] for name in ("loss_1", "accuracy")} == {
        name: pretrained[name] for name in ("loss_1", "accuracy")
    }
    network = meta_network(spec)
    assert len(network.trunk.layers) == trunk_layers
    assert sum(name.startswith("head ") for name in network.head_parts()) in (0, 1 + further)


@pytest.mark.parametrize(
    "later", [{"kind": "token_order"}, {"kind": "registers"}, {"kind": "sequential_modules", "n": 2}]
)
def test_objectives_of_other_kinds_follow_each_other_layer_by_layer(home: Path, later: Tree) -> None:
    for start, objective in ((multi(2), later), (later, multi(2))):
        spec = finetuned(objective, start, checkpoint="last")
        metrics, _ = at_step_0(spec, home)
        of_start = train(start_of(spec), home)["scores"]["last"]["validation"]["loss_1"]
        assert metrics["loss_1"] == pytest.approx(of_start, rel=1e-6)  # a table of rotary rows rounds otherwise


def test_further_heads_are_kept_or_start_fresh(home: Path) -> None:
    kept, dropped = (finetuned(multi(3), multi(3), heads=heads) for heads in ("keep", "drop"))
    (_, keep), (_, drop) = (at_step_0(spec, home) for spec in (kept, dropped))
    pretrained, drawn = of_start(kept, home), assemble(kept).network.state_dict()
    further = [name for name in keep if name.startswith("extra_heads.") and "norm" not in name]
    assert all((keep[name] == pretrained[name]).all() for name in keep)
    assert all((drop[name] == pretrained[name]).all() for name in keep if not name.startswith("extra_heads."))
    assert all((drop[name] == drawn[name]).all() and (drop[name] != pretrained[name]).any() for name in further)
    assert further


def test_heads_the_start_does_not_have_are_drawn_from_the_seed(home: Path) -> None:
    spec = finetuned(multi(3), multi(1))
    _, weights = at_step_0(spec, home)
    drawn = assemble(spec).network.state_dict()
    assert all((weights[name] == drawn[name]).all() for name in weights if name.startswith("extra_heads."))


def test_the_checkpoint_is_the_one_that_is_named(home: Path) -> None:
    # What is learnt first is unlearnt at a rate that is far too high, so that the best is not the last.
    specs = [finetuned(multi(1), multi(1), checkpoint=checkpoint) for checkpoint in ("best", "last")]
    tree = specs[0].tree()
    training = {**tree["start"]["training"], "steps": 24, "evaluate_every_steps": 2, "learning_rate": 0.3}
    seen = []
    for checkpoint in ("best", "last"):
        tree["start"] |= {"checkpoint": checkpoint, "training": training}
        spec = parse_spec(tree, "the test's spec")
        metrics, weights = at_step_0(spec, home)
        result = train(start_of(spec), home)
        assert result["best_step"] < result["steps"]
        assert metrics["loss_1"] == result["scores"][checkpoint]["validation"]["loss_1"]
        seen.append(weights["lm_head.weight"])
    assert (seen[0] != seen[1]).any()


@pytest.mark.parametrize("loss", ["joint", "sequential", "chunked"])
def test_a_frozen_trunk_keeps_its_bytes_and_has_no_optimiser_state(home: Path, loss: str) -> None:
    frozen, free = (finetuned(multi(2), multi(2), freeze=each, training__loss=loss) for each in ("trunk", "none"))
    for spec in (frozen, free):
        train(spec, home)
        start = of_start(spec, home)
        stored = RunFolder(home, spec.identity).read_tensors(LAST)
        assert stored is not None
        same = {name for name in start if (start[name] == stored[0][f"model.{name}"]).all()}
        trunk = {name for name in start if name.startswith("trunk.")}
        assert same == (trunk if spec is frozen else set())
        assert any("trunk" in name for name in stored[0] if name.startswith("adam.")) == (spec is free)
        assert any("head" in name for name in stored[0] if name.startswith("adam."))


FROZEN = {"freeze": "trunk", "training__stop_after_evaluations": 1}


@pytest.mark.parametrize(
    ("moment", "changes"),
    [
        ("in the start", {}),
        ("before the first checkpoint", {}),
        ("in the middle", {}),
        ("in the middle", FROZEN),
        ("at the result", FROZEN),
    ],
)
def test_broken_off_at_any_moment_it_ends_with_the_same_bytes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, changes: Tree
) -> None:
    spec = finetuned(multi(1), multi(3), **changes)
    train(spec, home)
    descend = TrainingRun.take_step
    stops = {"in the start": (start_of(spec), 6), "before the first checkpoint": (spec, 2), "in the middle": (spec, 6)}

    def kill(run: TrainingRun, batch: Any) -> None:
        if (run.spec, run.step) == stops[moment]:
            raise Killed
        descend(run, batch)

    if moment == "at the result":
        train(start_of(spec), tmp_path)
        broken_off(spec, tmp_path)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(TrainingRun, "take_step", kill)
            with pytest.raises(Killed):
                train(spec, tmp_path)
    assert RunFolder(tmp_path, spec.identity).result() is None
    assert train(spec, tmp_path)["start"] == start_of(spec).identity
    for each in (spec, start_of(spec)):
        assert contents(tmp_path, each) == contents(home, each)


def test_the_start_is_trained_once_and_is_the_run_it_would_be_by_itself(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = finetuned(multi(1), multi(2))
    assert start_of(spec) == tiny(objective=multi(2), training__steps=8)
    train(start_of(spec), tmp_path)
    begun: list[str] = []
    resume = TrainingRun.resume

    def counted(run: TrainingRun) -> None:
        begun.append(run.spec.identity)
        resume(run)

    monkeypatch.setattr(TrainingRun, "resume", counted)
    train(spec, tmp_path)
    train(finetuned(multi(2), multi(2)), tmp_path)
    assert start_of(spec).identity not in begun
    assert len(begun) == 2


def test_a_start_that_another_process_trains_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = finetuned(multi(1), multi(1))
    lock = RunFolder(tmp_path, start_of(spec).identity).locked(start_of(spec))
    lock.__enter__()
    waits: list[float] = []

    def let_go(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            lock.__exit__(None, None, None)

    monkeypatch.setattr("lab.run.training.time.sleep", let_go)
    assert train(spec, tmp_path)["status"] == "complete"
    assert len(waits) == 3


@pytest.mark.slow
def test_two_processes_that_want_one_start_both_get_it(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    start = '[start.objective]\nkind = "multi_token"\n[start.training]\nsteps = 400\nbatch_size = 4\nlearning_rate = 1e-3\nevaluate_every_steps = 20\n'
    path.write_text(SPEC + start)
    command = [sys.executable, "-m", "lab", "train", str(path), "--home", str(tmp_path / "home"), "--json", "--set"]
    both = [
        subprocess.Popen([*command, f"objective.n={n}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for n in (1, 2)
    ]
    ended = [(process.communicate(), process.returncode) for process in both]
    assert [code for _, code in ended] == [0, 0]
    starts = {json.loads(out)["start"] for (out, _), _ in ended}
    told = [f"start {run}, step 400 of 400" in err for run in starts for (_, err), _ in ended]
    assert len(starts) == 1
    assert sorted(told) == [False, True]


def test_a_start_that_diverged_is_a_sentence(tmp_path: Path) -> None:
    tree = finetuned(multi(1), multi(1)).tree()
    tree["start"]["training"] |= {"learning_rate": 1e30, "clip_norm": 1e30}
    with pytest.raises(WorkFailed, match=r"the run to start from diverged: the loss was not a finite number"):
        train(parse_spec(tree, "the test's spec"), tmp_path)


def test_a_finetuned_run_is_read_again_as_what_it_is(home: Path) -> None:
    spec = finetuned(multi(1), multi(3), task__characters=4)
    result = train(spec, home)
    stored = StoredRun(home, spec.identity, "last")
    assert (
        Evaluator(stored.parts.task, "test", torch.device("cpu"))(stored.parts.network)
        == (result["scores"]["last"]["test"])
    )
    assert stored.spec == spec
    assert result["start"] == start_of(spec).identity


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("start.checkpoint", "last"),
        ("start.heads", "drop"),
        ("start.freeze", "trunk"),
        ("start.objective.n", 1),
        ("start.training.steps", 4),
        ("start.task.characters", 2),
        ("seed", 1),
    ],
)
def test_every_setting_of_a_start_is_in_the_identity_and_read_again(key: str, value: Any) -> None:
    tree = {**tiny_tree(), "start": {name: dict(TINY[name]) for name in ("task", "objective", "training")}}
    usual = parse_spec(tree, "x.toml")
    *path, last = key.split(".")
    table = tree
    for name in path:
        table = table[name]
    table[last] = value
    changed = parse_spec(tree, "x.toml")
    assert changed.identity != usual.identity
    assert parse_spec(json.loads(json.dumps(changed.tree())), "again") == changed


def test_tables_left_out_are_those_of_the_run_and_an_empty_start_is_none(tiny: Spec) -> None:
    spec = tiny(start={"objective": multi(3)}, task__characters=2, seed=5)
    assert start_of(spec) == tiny(objective=multi(3), task__characters=2, seed=5)
    assert tiny(start={}) == tiny()
    assert "start" not in tiny().canonical()


LINEAR, BLOCK = multi(2, head="linear"), multi(2)
WRONG: dict[str, tuple[Tree, str]] = {
    "no table": ({"start": 3}, "x.toml: start = 3: should be a table"),
    "misspelt key": ({"start": {"chekpoint": "best"}}, "x.toml: start.chekpoint: no such key; the nearest is start.checkpoint"),
    "misspelt table": ({"start": {"objctive": {}}}, "x.toml: start.objctive: no such key; the nearest is start.objective"),
    "another model": ({"start": {"model": {"size": "30k"}}}, "x.toml: start.model: no such key"),
    "a start of a start": ({"start": {"start": {}}}, "x.toml: start.start: no such key"),
    "wrong value": ({"start": {"freeze": "heads", "objective": BLOCK}}, "x.toml: start.freeze = \"heads\": should be 'none' or 'trunk'"),
    "nothing of the run": ({"start": {"heads": "drop"}}, "x.toml: start does not describe the run to start from; give at least one"),
    "misspelt setting": ({"start": {"training": {"stepz": 3}}}, "x.toml, table start: training.stepz = 3: no such key; the nearest is training.steps"),
    "wrong setting": ({"start": {"objective": multi(0)}}, "x.toml, table start: objective.n = 0: should be greater"),
    "unknown task": ({"start": {"task": {"kind": "inductoin"}}}, "x.toml, table start: task.kind = 'inductoin': no such task"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_start_gets_a_sentence(name: str) -> None:
    changes, sentence = WRONG[name]
    with pytest.raises(UserError) as raised:
        parse_spec(tiny_tree(**changes), "x.toml")
    assert str(raised.value).startswith(sentence)


IMPOSSIBLE: dict[str, tuple[Tree, str]] = {
    "another vocabulary": (
        {"objective": BLOCK, "start": {"task": {"kind": "star"}}},
        r"start\.task: its vocabulary, 53 tokens of star, is not that of the task, \d+ of induction; the first that",
    ),
    "more names": (
        {"objective": BLOCK, "start": {"task": {**TINY["task"], "name_parts": 8}}},
        r"\d+ tokens of induction, is not that of the task, \d+ of induction; the first that differs is 'Ka' there and 'bal' here",
    ),
    "another head": (
        {"objective": BLOCK, "start": {"objective": LINEAR}},
        r"its next-token path is Embedding Block Block Block Block Linear RMSNorm Linear, and that of objective "
        r"multi_token is Embedding Block Block Block Block RMSNorm Linear; finetuning keeps the path",
    ),
    "no room for a chain": (
        {"objective": multi(4, topology="anticausal", match="layers"), "start": {"objective": multi(3)}},
        r"start: the 2 layers of its next-token path are kept: .* leave no trunk",
    ),
    "a start that cannot be": (
        {"objective": multi(1), "start": {"objective": multi(4)}},
        r"the heads take 4 of the model's 4 layers and leave no trunk",
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_start_from_another_is_refused_before_anything_is_trained(tmp_path: Path, name: str) -> None:
    changes, sentence = IMPOSSIBLE[name]
    spec = parse_spec(tiny_tree(**changes), "x.toml")
    for attempt in (lambda: meta_network(spec), lambda: train(spec, tmp_path)):
        with pytest.raises(UserError, match=sentence):
            attempt()
    assert not list(tmp_path.iterdir())


def test_from_the_command_line_both_runs_are_told_of(tmp_path: Path, lab: Lab) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC + '[start.objective]\nkind = "multi_token"\n')
    done = lab("train", path, "--home", tmp_path / "home", "--json", "--set", "start.checkpoint=last")
    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert sorted(run.name for run in (tmp_path / "home" / "runs").iterdir()) == sorted(
        [result["run"], result["start"]]
    )
    assert done.stderr.splitlines() == [
        *(f"start {result['start']}, step {step} of 4" for step in (2, 4)),
        *(f"step {step} of 4" for step in (2, 4)),
    ]
