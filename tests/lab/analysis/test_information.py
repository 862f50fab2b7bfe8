"""The information analysis: its terms add up as in the paper, cover the source, and say when they do not exist."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.material.entropy import Floats
from generators.task import Batch
from generators.tasks.choice import Choice, ChoiceConfig
from generators.tasks.markov import Markov, MarkovConfig
from lab.analysis.analysis import AnalysisResult, Row
from lab.analysis.estimators.entropies import TERMS
from lab.analysis.estimators.pair_contexts import PairTerms, draw_held_out_places, measure_pair_terms
from lab.analysis.estimators.pair_distributions import model_log_pairs
from lab.analysis.information import InformationAnalysis
from lab.run.assembly import assemble
from lab.run.stored_run import StoredRun
from lab.run.training import train
from tests.conftest import Lab, Spec, logits_of
from tests.lab.analysis.markov_source import MARKOV


@pytest.fixture(scope="module")
def run(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    home = tmp_path_factory.mktemp("information")
    spec = tiny(task=MARKOV, training__steps=30, training__learning_rate=0.02, training__batch_size=8)
    train(spec, home)
    return StoredRun(home, spec.identity, "best")


@pytest.fixture(scope="module")
def result(run: StoredRun) -> AnalysisResult:
    return InformationAnalysis().analyse(run)


def overall_rows(result: AnalysisResult) -> dict[tuple[str, str], Row]:
    return {(row["of"], row["quantity"]): row for row in result.rows if row["where"] == "all"}


def test_a_second_head_that_marginalises_has_no_premise_gap(tiny: Spec) -> None:
    parts = assemble(tiny(task=MARKOV))

    def marginal(tokens: Integers) -> Floats:
        every = np.tile(np.arange(1, 23), (len(tokens), 1))
        log_q: Floats = np.logaddexp.reduce(model_log_pairs(parts.network, tokens, every), axis=2)
        return log_q

    (terms,) = measure_pair_terms(parts.task, parts.network, draw_held_out_places(parts.task), marginal)
    assert terms.second is not None
    np.testing.assert_allclose(terms.second, 0, atol=1e-6)


def test_the_loss_of_a_uniform_second_head_is_the_sum_of_its_parts(tiny: Spec) -> None:
    parts = assemble(tiny(task=MARKOV))

    def uniform(tokens: Integers) -> Floats:
        return np.full((len(tokens), 22, 8), -np.log(8))

    (terms,) = measure_pair_terms(parts.task, parts.network, draw_held_out_places(parts.task), uniform)
    assert terms.second is not None
    loss = terms.relative[:, 0] + np.log(8)
    np.testing.assert_allclose(loss, terms.relative @ [0, 0, 1, 1, 2] + terms.second[:, 0], atol=1e-6)
    assert (terms.second[:, 1] > 0).all()
    assert terms.second[:, 0].std() > 1e-3


def test_the_tokens_that_came_replace_a_source_that_is_not_known(tiny: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.analysis.estimators.pair_contexts.CONTINUATIONS", 2**13)
    parts = assemble(tiny())
    held_out = draw_held_out_places(parts.task)
    terms = PairTerms.concatenate(list(measure_pair_terms(parts.task, parts.network, held_out, None)))
    assert terms.source is None
    assert terms.second is None
    rows, places, tokens = np.nonzero(held_out.exists)[0], held_out.places[held_out.exists], held_out.batch.tokens
    logs = logits_of(parts.network, torch.from_numpy(tokens)).double().log_softmax(dim=-1).numpy()
    x, y = tokens[rows, places], tokens[rows, places + 1]
    np.testing.assert_allclose(terms.relative[:, 0], -logs[rows, places - 1, x], atol=1e-5)
    np.testing.assert_allclose(terms.relative[:, 3], -logs[rows, places, y], atol=1e-5)


def test_the_terms_of_a_run_add_up_and_cover_the_closed_form(result: AnalysisResult) -> None:
    terms = overall_rows(result)
    for of in ("closed form", "source", "model", "relative", "estimate"):
        x, y, x_given_y, y_given_x, mutual = (terms[of, term]["value"] for term in TERMS)
        assert x + y == pytest.approx(x_given_y + 2 * mutual + y_given_x, abs=1e-6)
        assert all(terms[of, term]["low"] <= terms[of, term]["value"] <= terms[of, term]["high"] for term in TERMS)
    known = Markov(MarkovConfig(**MARKOV)).information()
    assert terms["closed form", "I(X;Y)"]["value"] == known.mutual
    for term, value in zip(TERMS, (known.x, known.y, known.x_given_y, known.y_given_x, known.mutual), strict=True):
        assert terms["estimate", term]["low"] <= value <= terms["estimate", term]["high"]
        assert terms["source", term]["value"] == pytest.approx(value, rel=0.1)


def test_the_loss_of_two_tokens_counts_what_they_share_twice(result: AnalysisResult) -> None:
    measures = result.measures
    assert measures["two_token_loss"] == pytest.approx(
        measures["cross_entropy_next_given_after"]
        + 2 * measures["relative_information"]
        + measures["cross_entropy_after_given_next"]
        + measures["premise_gap"]
    )
    assert measures["premise_kl"] > 0
    assert measures["kl_pair"] > 0
    assert set(result.units.values()) == {"nats"}


def test_lab_analyse_gives_the_same_numbers_every_time(run: StoredRun, result: AnalysisResult, lab: Lab) -> None:
    command = ("analyse", run.folder.identity, "information", "--home", run.folder.path.parent.parent)
    done = lab(*command, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["measures"] == dict(result.measures)
    assert "premise gap" in lab(*command).stdout


def test_a_run_without_a_second_head_has_everything_but_the_gap(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(task=MARKOV, objective__n=1, training__steps=4)
    train(spec, tmp_path)
    result = InformationAnalysis().analyse(StoredRun(tmp_path, spec.identity, "best"))
    assert not {"premise_gap", "premise_kl", "two_token_loss"} & set(result.measures)
    pairs = [row for row in result.rows if row["quantity"] == "relative information of a pair"]
    assert pairs[0]["of"] == "model"
    # All 22 places of the 40 samples are drawn, so the pairs are those of the estimate's relative information.
    assert pairs[0]["contexts"] == 40 * 22
    assert pairs[0]["value"] == pytest.approx(overall_rows(result)["estimate", "I(X;Y)"]["value"])
    assert "No head reads the second token" in result.lines[-3]


def test_a_vocabulary_that_is_too_large_is_refused() -> None:
    task = Choice(ChoiceConfig(spacing_tokens=200, length_tokens=400))
    with pytest.raises(UserError, match=r"task choice has a vocabulary of 398 tokens.* a run with at most 260$"):
        draw_held_out_places(task)


def test_a_task_without_successive_targets_is_refused() -> None:
    class EverySecondTarget(Markov):
        def draw(self, stream: Any, split: str) -> Batch:
            batch = super().draw(stream, split)
            return replace(batch, loss=batch.loss & (np.arange(self.length) % 2 == 0))

    with pytest.raises(UserError, match="fewer than two have two successive tokens in the loss mask"):
        draw_held_out_places(EverySecondTarget(MarkovConfig()))


def trained_result(tiny: Spec, home: Path, task: dict[str, Any], **model: Any) -> AnalysisResult:
    spec = tiny(
        task=task,
        model={"attention_heads": 2, "rotary_base": 100.0, **model},
        training__steps=500,
        training__batch_size=16,
        training__evaluate_every_steps=250,
    )
    train(spec, home)
    return InformationAnalysis().analyse(StoredRun(home, spec.identity, "last"))


@pytest.mark.slow
@pytest.mark.parametrize(("memory", "length"), [(0.05, 64), (0.6, 64), (0.95, 128)])
def test_intervals_of_a_trained_model_cover_the_closed_form(
    tiny: Spec, tmp_path: Path, memory: float, length: int
) -> None:
    """About 20,000 parameters trained for half a minute: not enough to be perfect, but enough to be useful."""
    task = {"kind": "markov", "memory": memory, "length_tokens": length, "test_samples": 600, "validation_samples": 64}
    result = trained_result(tiny, tmp_path, task, width=24, layers=3)
    terms, widths = overall_rows(result), {}
    for term in TERMS:
        known = terms["closed form", term]["value"]
        for of in ("source", "estimate"):
            assert terms[of, term]["low"] <= known <= terms[of, term]["high"], (of, term, terms[of, term], known)
        widths[term] = terms["estimate", term]["high"] - terms["estimate", term]["low"]
    assert max(widths.values()) < 0.2
    assert 0 < result.measures["kl_pair"] < 0.1
    assert result.measures["premise_gap"] >= -result.measures["kl_pair"], "head 2 cannot know more than the source"
    x, y, x_given_y, y_given_x, mutual = (terms["model", term]["value"] for term in TERMS)
    assert x + y == pytest.approx(x_given_y + 2 * mutual + y_given_x, abs=1e-6)


@pytest.mark.slow
def test_a_consequential_choice_shares_with_the_next_token_what_it_decides(tiny: Spec, tmp_path: Path) -> None:
    """A choice and the first token that it decides share H(Y unseen) - H(Y seen); other pairs share nothing."""
    task = {"kind": "choice", "noise": 0.1, "test_samples": 400, "validation_samples": 64}
    result = trained_result(tiny, tmp_path, task, width=48, layers=4)
    shared = {row["where"]: row["value"] for row in result.rows if row["quantity"].startswith("relative information")}
    choice = Choice(ChoiceConfig(noise=0.1))
    decided, first = np.array([3]), np.array([1])
    expected = choice.optimal_loss_at(decided, first, 2) - choice.optimal_loss_at(decided, first, 1)
    assert shared["X is consequential choice"] == pytest.approx(float(expected[0]), abs=0.15)
    assert abs(shared["X is inconsequential choice"]) < 0.1
    assert abs(shared["X is filler"]) < 0.1
