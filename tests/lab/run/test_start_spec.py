"""The table [start] of a spec: tables it inherits, its part of the identity, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.run.finetuning import meta_network
from lab.run.spec import parse_spec
from lab.run.training import train
from tests.conftest import TINY, Spec, tiny_tree
from tests.lab.run.finetuned_runs import multi_token, start_of


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
def test_every_setting_of_a_start_changes_the_identity_and_is_read_back(key: str, value: Any) -> None:
    tree = {**tiny_tree(), "start": {name: dict(TINY[name]) for name in ("task", "objective", "training")}}
    unchanged = parse_spec(tree, "x.toml")
    *path, last = key.split(".")
    table = tree
    for name in path:
        table = table[name]
    table[last] = value
    changed = parse_spec(tree, "x.toml")
    assert changed.identity != unchanged.identity
    assert parse_spec(json.loads(json.dumps(changed.tree())), "again") == changed


def test_missing_tables_are_those_of_the_run_and_an_empty_start_is_no_start(tiny: Spec) -> None:
    spec = tiny(start={"objective": multi_token(3)}, task__characters=2, seed=5)
    assert start_of(spec) == tiny(objective=multi_token(3), task__characters=2, seed=5)
    assert tiny(start={}) == tiny()
    assert "start" not in tiny().canonical()


LINEAR, BLOCK = multi_token(2, head="linear"), multi_token(2)
WRONG: dict[str, tuple[Tree, str]] = {
    "no table": ({"start": 3}, "x.toml: start = 3: should be a table"),
    "misspelt key": ({"start": {"chekpoint": "best"}}, "x.toml: start.chekpoint: no such key; the nearest is start.checkpoint"),
    "misspelt table": ({"start": {"objctive": {}}}, "x.toml: start.objctive: no such key; the nearest is start.objective"),
    "another model": ({"start": {"model": {"size": "30k"}}}, "x.toml: start.model: no such key"),
    "a start of a start": ({"start": {"start": {}}}, "x.toml: start.start: no such key"),
    "wrong value": ({"start": {"freeze": "heads", "objective": BLOCK}}, "x.toml: start.freeze = \"heads\": should be 'none' or 'trunk'"),
    "no table of the run": ({"start": {"heads": "drop"}}, "x.toml: start does not describe the run to start from; give at least one"),
    "misspelt setting": ({"start": {"training": {"stepz": 3}}}, "x.toml, table start: training.stepz = 3: no such key; the nearest is training.steps"),
    "wrong setting": ({"start": {"objective": multi_token(0)}}, "x.toml, table start: objective.n = 0: should be greater"),
    "unknown task": ({"start": {"task": {"kind": "inductoin"}}}, "x.toml, table start: task.kind = 'inductoin': no such task"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_start_is_refused_with_a_sentence(name: str) -> None:
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
        {"objective": multi_token(4, topology="anticausal", match="layers"), "start": {"objective": multi_token(3)}},
        r"start: the 2 layers of its next-token path are kept: .* leave no trunk",
    ),
    "a start that cannot be built": (
        {"objective": multi_token(1), "start": {"objective": multi_token(4)}},
        r"the heads take 4 of the model's 4 layers and leave no trunk",
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_start_that_does_not_fit_is_refused_before_anything_is_trained(tmp_path: Path, name: str) -> None:
    changes, sentence = IMPOSSIBLE[name]
    spec = parse_spec(tiny_tree(**changes), "x.toml")
    for attempt in (lambda: meta_network(spec), lambda: train(spec, tmp_path)):
        with pytest.raises(UserError, match=sentence):
            attempt()
    assert not list(tmp_path.iterdir())
