"""The output of `lab data` agrees with the task, and wrong input gives a one-sentence error and exit code 2."""

import ast
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from generators.table import TASKS
from generators.tasks.induction import Induction, InductionConfig
from tests.conftest import Lab


def first_docstring_line(module: str) -> str:
    """Returns the first line of a module's docstring, read without importing the module."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return (ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or "").partition("\n")[0]


def test_list_gives_each_task_the_first_line_of_its_module(lab: Lab) -> None:
    expected = {name: first_docstring_line(row.partition(":")[0]) for name, row in TASKS.rows.items()}
    assert json.loads(lab("data", "list", "--json").stdout) == expected
    words = " ".join(lab("data", "list").stdout.split())
    assert all(f"{name} {summary}" in words for name, summary in expected.items())


def test_show_gives_the_samples_of_the_task_with_their_masks_and_labels(lab: Lab) -> None:
    done = lab("data", "show", "induction", "--set", "length_tokens=40", "--count", "2", "--split", "test", "--json")
    value = json.loads(done.stdout)
    task = Induction(InductionConfig(length_tokens=40))
    batch = task.batch("test", [0, 1])
    assert value["task"] == "induction"
    assert value["config"] == {**InductionConfig().model_dump(mode="json"), "length_tokens": 40}
    assert value["vocabulary"] == list(task.vocabulary)
    assert len(value["samples"]) == 2
    for row, sample in enumerate(value["samples"]):
        assert sample["tokens"] == batch.tokens[row].tolist()
        assert sample["text"].split(" ") == [value["vocabulary"][token] for token in sample["tokens"]]
        assert sample["scored"] == batch.scored[row].astype(int).tolist()
        assert sum(sample["scored"]) > 0
        assert sample["loss"] == batch.loss[row].astype(int).tolist()
        assert sample["labels"] == {"mention": batch.labels["mention"][row].tolist()}


def test_show_prints_each_sample_with_its_scored_tokens_below(lab: Lab) -> None:
    task = Induction(InductionConfig())
    batch = task.batch("train", [0, 1, 2], seed=5)
    paragraphs = lab("data", "show", "induction", "--seed", "5").stdout.strip().split("\n\n")
    assert len(paragraphs) == 3
    for row, paragraph in enumerate(paragraphs):
        text, scored = paragraph.split("\n")
        assert text == task.text(batch.tokens[row])
        assert scored.split() == ["scored:", *task.text(batch.tokens[row][batch.scored[row]]).split()]
    assert lab("data", "show", "induction").stdout.split("\n\n")[0] != paragraphs[0], "another seed, another sample"
    assert lab("data", "show", "markov", "--count", "1").stdout.endswith("  scored: nothing in this split\n")


def test_check_reports_a_sound_task_and_exits_with_0(lab: Lab) -> None:
    result = json.loads(lab("data", "check", "induction", "--count", "500", "--json").stdout)
    assert result["samples"] == 500 + 500 + 1000
    assert result["unconfirmed"] == result["shared_between_splits"] == result["tokens_out_of_vocabulary"] == 0
    assert 0.1 < result["scored_share"] < 0.3


def test_check_gives_the_scores_that_those_of_a_model_are_read_against(lab: Lab) -> None:
    done = lab("data", "check", "choice", "--count", "20", "--set", "noise=0.5", "--set", "test_samples=50")
    rows = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines() if "/" in line)
    assert rows.keys() >= {
        "shortcuts/blind",
        "shortcuts/previous_token",
        "shortcuts_exact/blind",
        "optimal_losses/loss_1",
        "optimal_losses/loss_4",
    }
    assert rows["ceilings/accuracy/choice_seen"] == "0.5625"
    assert rows["ceilings/accuracy/choice_unseen"] == "0.125"


def test_check_of_an_unsound_task_prints_its_numbers_and_exits_with_1(lab: Lab) -> None:
    done = lab("data", "check", "star", "--set", "nodes=5", "--set", "length=3", "--count", "100")
    assert done.returncode == 1
    assert "repeated_within_held_out" in done.stdout
    assert "task star: its samples failed the check" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "inductoin"], "no such task; the nearest is induction"),
        (
            ["show", "induction", "--set", "charcters=3"],
            "task.charcters = 3: no such key; the nearest is task.characters",
        ),
        (["show", "induction", "--split", "dev"], "split 'dev' is not one of train, validation, test"),
        (["show", "induction", "--set", "kind=star"], "the task is the argument induction"),
        (["show", "induction", "--set", "characters=" + "9" * 5000], "task.characters = "),
        (
            ["show", "induction", "--set", "characters=8", "--set", "length_tokens=30"],
            "the first sentence alone has 28 tokens",
        ),
        (
            ["show", "choice", "--set", f"source_seed={2**64}"],
            "task.source_seed = 18446744073709551616: should be less than",
        ),
        (["show", "text", "--set", 'corpus=""'], 'task.corpus = "": should have at least 1 character'),
        (["check", "induction", "--set", "training.steps=3"], "only settings of the task can be changed here"),
    ],
)
def test_wrong_input_exits_with_2_and_one_sentence(lab: Lab, arguments: list[str], sentence: str) -> None:
    done = lab("data", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
