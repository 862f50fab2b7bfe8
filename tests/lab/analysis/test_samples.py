"""The samples analysis shows the drafts of the decoder and the losses of the heads, token by token."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generators.tasks.choice import Choice, ChoiceConfig
from generators.tasks.text import Text, TextConfig
from lab.analysis.analysis import Row
from lab.analysis.samples import SamplesAnalysis, token_texts
from lab.decoding.decoder import decode
from lab.decoding.prompts import prompts_of
from lab.run.stored_run import StoredRun
from lab.run.training import train
from tests.conftest import Spec, logits_of

CHOICE = {"kind": "choice", "length_tokens": 64, "validation_samples": 8, "test_samples": 8}


def train_run(spec: Any, home: Path) -> StoredRun:
    train(spec, home)
    return StoredRun(home, spec.identity, "best")


def parts_of(rows: list[Row], part: str, sample: int = 0) -> list[Row]:
    return [row for row in rows if (row["part"], row["sample"]) == (part, sample)]


@pytest.fixture(scope="module")
def run(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return train_run(tiny(objective__n=3, training__steps=40), tmp_path_factory.mktemp("samples"))


def test_drafts_are_greedy_tokens_and_heads_follow_each_other_within_a_pass(run: StoredRun) -> None:
    task, result = run.parts.task, SamplesAnalysis().analyse(run)
    prompts, lengths, room = prompts_of(task.batch("test", np.arange(16)))
    plain = decode(run.parts.network, prompts, lengths, min(room, 40)).tokens
    for sample in range(3):
        rows = parts_of(result.rows, "draft", sample)
        decoded = [row for row in rows if row["head"]]
        assert [row["text"].strip() for row in decoded] == [task.vocabulary[token] for token in plain[sample]]
        assert [row["place"] for row in rows] == list(range(rows[0]["place"], rows[0]["place"] + len(rows)))
        assert decoded[0]["place"] == lengths[sample]
        for before, after in pairwise(decoded):
            same_pass = after["forward"] == before["forward"]
            assert after["head"] == (before["head"] + 1 if same_pass else 1)
            assert same_pass or after["forward"] == before["forward"] + 1
            assert not (same_pass and after["refused"])
    drafted = decode(run.parts.network, prompts, lengths, min(room, 40), 3)
    assert result.measures["tokens_per_forward"] == drafted.tokens_per_forward


def test_losses_are_those_of_the_heads_and_absent_if_a_head_has_no_target(run: StoredRun) -> None:
    batch = run.parts.task.batch("test", np.arange(2))
    tokens = torch.from_numpy(batch.tokens)
    rows = parts_of(SamplesAnalysis().analyse(run).rows, "loss", 1)
    assert len(rows) == run.parts.task.length
    for lag in (1, 2):
        nats = -logits_of(run.parts.network, tokens[:, :-1], lag)[1].log_softmax(dim=-1)
        assert all(row[f"loss_{lag}"] is None for row in rows[:lag])
        for row in rows[lag:]:
            expected = nats[row["place"] - lag, batch.tokens[1, row["place"]]].item()
            assert row[f"loss_{lag}"] == pytest.approx(expected, abs=1e-4)
    assert not any("loss_3" in row for row in rows)
    assert [row["scored"] for row in rows] == batch.scored[1].tolist()


def test_choices_have_the_weight_of_the_paper_away_from_the_edges(tiny: Spec, tmp_path: Path) -> None:
    """n(n + 1)/2 for a consequential choice, n for an inconsequential one (section 5.1)."""
    rows = SamplesAnalysis().analyse(train_run(tiny(task=CHOICE, objective__n=4, model__layers=5), tmp_path)).rows
    inner = [row for row in parts_of(rows, "loss") if 4 <= row["place"] < 56]
    assert {row["weight"] for row in inner if row["class"] == "consequential choice"} == {10}
    assert {row["weight"] for row in inner if row["class"] == "inconsequential choice"} == {4}
    assert {row["weight"] for row in inner if "choice" not in row["class"]} == {None}


@pytest.mark.parametrize(
    "objective",
    [
        {"kind": "multi_token", "n": 1},
        {"kind": "multi_token", "n": 2, "stride": 3},
        {"kind": "sequential_modules", "n": 2},
        {"kind": "token_order"},
        {"kind": "registers"},
        {"kind": "future_summary"},
    ],
)
def test_an_objective_that_cannot_draft_shows_losses_alone(
    tiny: Spec, tmp_path: Path, objective: dict[str, Any]
) -> None:
    result = SamplesAnalysis().analyse(train_run(tiny(objective=objective, training__steps=4), tmp_path))
    assert {row["part"] for row in result.rows} == {"loss"}
    assert result.measures == {"tokens_per_forward": 1.0}


def test_texts_of_a_text_task_join_as_they_are_and_words_have_a_space_before_them() -> None:
    text = Text(TextConfig(length_tokens=64))
    tokens = text.batch("test", [3]).tokens[0]
    assert "".join(token_texts(text, tokens)) == text.text(tokens)
    choice = Choice(ChoiceConfig())
    tokens = choice.batch("test", [0]).tokens[0]
    assert token_texts(choice, tokens) == [
        choice.vocabulary[tokens[0]],
        *(f" {choice.vocabulary[t]}" for t in tokens[1:]),
    ]


def test_half_a_character_and_padding_have_their_names() -> None:
    text = Text(TextConfig(length_tokens=64))
    tokens = np.array([*"a\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), text.padding])
    assert token_texts(text, tokens) == [
        "a",
        text.vocabulary[tokens[1]],
        text.vocabulary[tokens[2]],
        text.vocabulary[tokens[3]],
    ]


def test_the_terminal_names_every_decoded_token(run: StoredRun) -> None:
    result = SamplesAnalysis().analyse(run)
    line = next(line for line in result.lines if line.startswith("draft 0"))
    bare = "".join(letter for letter in line.partition(": ")[2] if letter not in "[]×²³")
    assert bare.split() == [row["text"].strip() for row in parts_of(result.rows, "draft")]
