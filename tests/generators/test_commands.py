"""lab data: what it prints is what the task says, and what is wrong gets a sentence."""

import json

import pytest

from generators.check import check, sound
from generators.foundation.randomness import Integers, Stream
from generators.table import TASKS
from generators.task import Batch
from generators.tasks.induction import Induction, InductionConfig
from tests.conftest import Lab


def test_list_names_every_task_with_a_sentence(lab: Lab) -> None:
    value = json.loads(lab("data", "list", "--json").stdout)
    assert value.keys() == TASKS.rows.keys()
    assert all(summary.endswith((".", ":")) or len(summary) > 20 for summary in value.values())


def test_show_gives_the_samples_with_masks_at_the_token_they_stand_at(lab: Lab) -> None:
    done = lab("data", "show", "induction", "--set", "length_tokens=40", "--count", "2", "--split", "test", "--json")
    value = json.loads(done.stdout)
    task = Induction(InductionConfig(length_tokens=40))
    batch = task.batch("test", [0, 1])
    assert value["task"] == "induction"
    assert value["config"]["length_tokens"] == 40
    assert value["vocabulary"] == list(task.vocabulary)
    for row, sample in enumerate(value["samples"]):
        assert sample["tokens"] == batch.tokens[row].tolist()
        assert sample["text"].split(" ") == [value["vocabulary"][token] for token in sample["tokens"]]
        assert sample["scored"] == batch.scored[row].astype(int).tolist()
        assert sample["loss"] == batch.loss[row].astype(int).tolist()
        assert sample["labels"] == {"mention": batch.labels["mention"][row].tolist()}


def test_check_confirms_a_task(lab: Lab) -> None:
    found = json.loads(lab("data", "check", "induction", "--count", "500", "--json").stdout)
    assert found["samples"] == 500 + 500 + 1000
    assert found["unconfirmed"] == found["shared_between_splits"] == found["tokens_out_of_vocabulary"] == 0
    assert 0.1 < found["scored_share"] < 0.3


class Lying(Induction):
    """Swaps the last two second tokens of some stories after the masks were made."""

    def draw(self, stream: Stream, split: str) -> Batch:
        batch = super().draw(stream, split)
        tokens: Integers = batch.tokens.copy()
        for row in range(0, len(tokens), 3):
            places = (tokens[row] >= self.second).nonzero()[0][-2:]
            tokens[row, places] = tokens[row, places[::-1]]
        return Batch(tokens=tokens, loss=batch.loss, scored=batch.scored, labels=batch.labels)


def test_check_finds_samples_that_are_not_what_they_say() -> None:
    found = check(Lying(InductionConfig(test_samples=50, validation_samples=50)), 300)
    assert found["unconfirmed"] > 50
    assert not sound(found)


def test_check_finds_samples_that_splits_share(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Induction(InductionConfig(characters=2, name_parts=2, length_tokens=16))
    assert check(task, 1000)["shared_between_splits"] == 0
    monkeypatch.setattr(Induction, "belongs", lambda self, batch, split: batch.loss.any(axis=1))
    found = check(task, 1000)
    assert found["shared_between_splits"] > 0
    assert not sound(found)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "inductoin"], "no such task; the nearest is induction"),
        (
            ["show", "induction", "--set", "charcters=3"],
            "task.charcters = 3: no such key; the nearest is task.characters",
        ),
        (["show", "induction", "--split", "dev"], "split 'dev' is not one of train, validation, test"),
        (["show", "induction", "--set", "kind=star"], "the task is induction, as named"),
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
def test_wrong_input_exits_with_2(lab: Lab, arguments: list[str], sentence: str) -> None:
    done = lab("data", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_check_finds_a_source_of_too_few_samples_to_part() -> None:
    found = check(TASKS.find("star", "test")(TASKS.config({"kind": "star", "nodes": 5, "length": 3}, "test")), 500)
    assert found["repeated_within_held_out"] > 0.5 * found["held_out_samples"]
    assert not sound(found)
