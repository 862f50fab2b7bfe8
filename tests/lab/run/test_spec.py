"""The identity of a run depends on everything that its numbers depend on, and wrong specs give a one-sentence error."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from generators.foundation.errors import UserError
from lab.run.spec import parse_spec, read_spec
from tests.conftest import Lab, Spec, tiny_tree


def test_the_identity_is_the_same_in_every_process_and_with_defaults_written_out(tiny: Spec) -> None:
    written = parse_spec(json.loads(json.dumps(tiny().tree())), "again")
    assert written == tiny()
    assert written.identity == tiny().identity
    program = f"from lab.run.spec import parse_spec; print(parse_spec({tiny_tree()!r}, 'x').identity)"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == tiny().identity


def test_the_default_optimiser_and_schedule_do_not_change_an_identity_but_others_do(tiny: Spec) -> None:
    written = tiny(training__optimiser="adamw", training__schedule="cosine")
    assert written.identity == tiny().identity
    assert {"optimiser", "schedule"} & set(written.canonical()["training"]) == set()
    others = [tiny(training__optimiser="sgd"), tiny(training__schedule="linear")]
    assert len({tiny().identity, *(spec.identity for spec in others)}) == 3
    assert [parse_spec(spec.tree()) for spec in others] == others


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task.kind": "inductoin"}, "x.toml: task.kind = 'inductoin': no such task; the nearest is induction"),
        (
            {"objective.kind": "multi"},
            "x.toml: objective.kind = 'multi': no such objective; the nearest is multi_token",
        ),
        ({"objective.n": 0}, "x.toml: objective.n = 0: should be greater than or equal to 1"),
        ({"objective.n": "2"}, 'x.toml: objective.n = "2": should be a valid integer, without quotes: 2'),
        ({"training.stepz": 3}, "x.toml: training.stepz = 3: no such key; the nearest is training.steps"),
        ({"task.charcters": 3}, "x.toml: task.charcters = 3: no such key; the nearest is task.characters"),
        ({"modle": {}}, "x.toml: modle: no such table; the nearest is model"),
        ({"seed": -1}, "x.toml: seed = -1: should be a whole number from 0"),
        ({"seed": True}, "x.toml: seed = True: should be a whole number"),
        ({"model.size": "2k"}, "x.toml: model: size '2k' is not one of 30k, 100k"),
        ({"model.attention_heads": 3}, "x.toml: model: width 16 should be a multiple of twice attention_heads (3)"),
        (
            {"training.learning_rate": float("inf")},
            "x.toml: training.learning_rate = Infinity: should be a finite number",
        ),
        (
            {"training.keep_every_steps": 6},
            "x.toml: training: keep_every_steps = 6 should be a multiple of evaluate_every_steps = 4",
        ),
        (
            {"training.cuda_graphs": True, "training.compile": True},
            "x.toml: training: cuda_graphs = true needs compile = true and a CUDA device, not compile = true and device",
        ),
        (
            {"training.optimiser": "adam"},
            "x.toml: training.optimiser = \"adam\": should be 'adamw', 'muon' or 'sgd'",
        ),
        (
            {"training.schedule": "step"},
            "x.toml: training.schedule = \"step\": should be 'cosine', 'linear', 'constant' or 'wsd'",
        ),
        (
            {"training.optimiser": "sgd", "training.beta2": 0.9},
            'x.toml: training: beta2 = 0.9 has no effect with optimiser = "sgd"; leave it out',
        ),
        (
            {"training.schedule": "constant", "training.final_learning_rate_fraction": 0.1},
            'x.toml: training: final_learning_rate_fraction = 0.1 has no effect with schedule = "constant"; leave it',
        ),
        ({"task": 3}, "x.toml: task should be a table with a kind"),
    ],
)
def test_a_wrong_spec_is_refused_with_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_spec(tiny_tree(**changes), "x.toml")
    assert str(raised.value).startswith(sentence)


def test_a_missing_table_is_named() -> None:
    tree = tiny_tree()
    del tree["objective"]
    with pytest.raises(UserError, match=r"x.toml: the table \[objective\] is missing"):
        parse_spec(tree, "x.toml")


def test_set_changes_a_setting(spec_file: Path) -> None:
    assert read_spec(spec_file, ["objective.n=1"]).objective.model_dump()["n"] == 1


def test_train_then_score_from_the_command_line(spec_file: Path, tmp_path: Path, lab: Lab) -> None:
    home = tmp_path / "home"
    trained = lab("train", spec_file, "--home", home, "--seed", 3, "--json")
    assert trained.returncode == 0, trained.stderr
    result = json.loads(trained.stdout)
    assert result["status"] == "complete"
    scored = lab("score", result["run"][:6], "--home", home, "--checkpoint", "last", "--json")
    assert json.loads(scored.stdout)["scores"] == result["scores"]["last"]["test"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "none.toml"], "none.toml: no such file"),
        (["train", "SPEC", "--set", "objective.n=0"], "objective.n = 0: should be greater than or equal to 1"),
        (["train", "SPEC", "--set", "objective.n=3"], "leave no trunk"),
        (["score", "abc"], "no run starts with that"),
    ],
)
def test_wrong_input_exits_with_2_and_one_sentence(
    spec_file: Path, tmp_path: Path, lab: Lab, arguments: list[str], sentence: str
) -> None:
    done = lab(*[spec_file if word == "SPEC" else word for word in arguments], "--home", tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_diverged_run_exits_with_1(spec_file: Path, tmp_path: Path, lab: Lab) -> None:
    done = lab(
        "train",
        spec_file,
        "--set",
        "training.learning_rate=1e30",
        "--set",
        "training.clip_norm=1e30",
        "--home",
        tmp_path,
    )
    assert done.returncode == 1
    assert "not a finite number" in done.stderr.splitlines()[-1]


def test_dry_run_prints_the_parameters_and_trains_nothing(spec_file: Path, tmp_path: Path, lab: Lab) -> None:
    done = lab("train", spec_file, "--dry-run", "--json", "--home", tmp_path / "home")
    value = json.loads(done.stdout)
    block = 4 * 16**2 + 3 * 16 * 44 + 2 * 16
    assert value["non_embedding"] == 3 * block + 16
    assert not (tmp_path / "home").exists()
