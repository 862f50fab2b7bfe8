"""Two tokens ahead: the joint of a model and of a source, the paper's identities, and intervals that cover."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.material.entropy import Floats, pair_entropies
from generators.task import Batch, Task
from generators.tasks.choice import Choice, ChoiceConfig
from generators.tasks.markov import Markov, MarkovConfig
from lab.analysis.analysis import AnalysisResult
from lab.analysis.estimators.contexts import Held, Measured, held_out, measured
from lab.analysis.estimators.entropies import TERMS, Contexts, Surprises, estimates, excess
from lab.analysis.estimators.pairs import draw_places, has_second_head, log_pairs, source_pairs
from lab.analysis.information import InformationAnalysis
from lab.run.assembly import assemble
from lab.run.stored_run import StoredRun
from lab.run.training import train
from tests.conftest import Lab, Spec, logits_of

MARKOV: dict[str, Any] = {
    "kind": "markov", "memory": 0.6, "vocabulary_tokens": 8, "length_tokens": 24, "test_samples": 40,
    "validation_samples": 16,
}  # fmt: skip
OBJECTIVES: list[dict[str, Any]] = [
    {"kind": "multi_token", "n": 1},
    {"kind": "multi_token", "n": 2},
    {"kind": "multi_token", "n": 2, "topology": "causal"},
    {"kind": "multi_token", "n": 2, "topology": "anticausal"},
    {"kind": "multi_token", "n": 2, "head": "linear"},
    {"kind": "multi_token", "n": 2, "stride": 3},
    {"kind": "sequential_modules", "n": 2},
    {"kind": "token_order"},
    {"kind": "registers"},
]
READS_TWO_AHEAD = [False, True, True, True, True, False, False, False, False]


def some_places(batch: Batch, count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    rows = generator.integers(len(batch), size=count)
    return rows, generator.integers(1, batch.tokens.shape[1] - 1, size=count)


def assert_adds_up(terms: Floats) -> None:
    """The identity of section 5.2, and no term so small that it would not matter."""
    x, y, x_given_y, y_given_x, mutual = terms.T
    np.testing.assert_allclose(x + y, x_given_y + 2 * mutual + y_given_x, atol=1e-6)
    assert terms.mean(axis=0).min() > 1e-3


@pytest.fixture(scope="module")
def analysed(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, AnalysisResult]:
    home = tmp_path_factory.mktemp("information")
    spec = tiny(task=MARKOV, training__steps=30, training__learning_rate=0.02, training__batch_size=8)
    train(spec, home)
    return home, spec.identity, InformationAnalysis().analyse(StoredRun(home, spec.identity, "best"))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda each: "-".join(map(str, each.values())))
def test_joint_is_next_token_path_run_on_every_continuation(tiny: Spec, objective: dict[str, Any]) -> None:
    parts = assemble(tiny(objective=objective))
    network, size = parts.network.double().eval(), len(parts.task.vocabulary)
    tokens = parts.task.batch("test", np.arange(3)).tokens
    places = np.array([[1, 17, 30], [5, 5, 2], [29, 12, 3]])
    log_q = log_pairs(network, tokens, places)
    assert log_q.shape == (3, 3, size, size)
    for row, slot in np.ndindex(3, 3):
        place = places[row, slot]
        context = torch.from_numpy(tokens[row, :place]).repeat(size, 1)
        continued = torch.cat((context, torch.arange(size)[:, None]), dim=1)
        logs = logits_of(network, continued).log_softmax(dim=-1)
        expected = logs[:, -2].diagonal()[:, None] + logs[:, -1]
        np.testing.assert_allclose(log_q[row, slot], expected.numpy(), atol=1e-9)
    np.testing.assert_allclose(np.exp(log_q).sum(axis=(2, 3)), 1)


def test_second_head_is_one_that_reads_the_context_alone(tiny: Spec) -> None:
    for objective, told in zip(OBJECTIVES, READS_TWO_AHEAD, strict=True):
        parts = assemble(tiny(objective=objective))
        assert has_second_head(parts.network, parts.task.batch("test", np.arange(2)).tokens) is told, objective


def test_identity_holds_for_the_model(tiny: Spec) -> None:
    parts = assemble(tiny(task=MARKOV))
    tokens = parts.task.batch("test", np.arange(20)).tokens
    places = np.full((20, 2), (3, 11))
    log_q = log_pairs(parts.network.eval(), tokens, places).reshape(40, 8, 8)
    assert_adds_up(pair_entropies(np.exp(log_q)))


@pytest.mark.parametrize("task", [Markov(MarkovConfig()), Choice(ChoiceConfig(noise=0.2))], ids=["markov", "choice"])
def test_identity_holds_for_the_source_and_for_a_model_read_on_it(task: Markov | Choice) -> None:
    batch = task.batch("test", np.arange(40))
    p = source_pairs(task, batch, *some_places(batch, 300))
    assert_adds_up(pair_entropies(p))
    log_q = np.log(0.8 * p + 0.2 / p[0].size)
    assert_adds_up(Surprises.of(log_q).expected(p))


SOURCES: list[Task] = [
    Markov(MarkovConfig(memory=0.5)),
    Markov(MarkovConfig(lag_tokens=2)),
    Markov(MarkovConfig(lag_tokens=3, hidden_states=4)),
    Markov(MarkovConfig(blur=0.3, hidden_states=8)),
    Choice(ChoiceConfig(noise=0.3, branching=4)),
    Choice(ChoiceConfig(decides_tokens=1)),
]


@pytest.mark.parametrize("task", SOURCES, ids=lambda task: task.name[:12])
def test_source_pairs_have_the_marginals_that_the_task_gives_one_and_two_ahead(task: Any) -> None:
    batch = task.batch("test", np.arange(12))
    rows, places = some_places(batch, 60)
    later = places > 1  # before, the second token stands where `distribution` knows nothing yet, and the joint does
    p = source_pairs(task, batch, rows, places)
    np.testing.assert_allclose(p.sum(axis=2), task.distribution(batch)[rows, places], atol=1e-12)
    expected = task.distribution(batch, 2)[rows, places + 1]
    np.testing.assert_allclose(p.sum(axis=1)[later], expected[later], atol=1e-12)
    known = p[np.arange(60), batch.tokens[rows, places], batch.tokens[rows, places + 1]]
    next_two = [task.distribution(batch)[rows, place, batch.tokens[rows, place]] for place in (places, places + 1)]
    np.testing.assert_allclose(known, next_two[0] * next_two[1], atol=1e-12)


def test_pairs_in_closed_form_are_those_of_asking_behind_every_token() -> None:
    for task in (source for source in SOURCES if isinstance(source, Markov)):

        class Asked:
            distribution = task.distribution

        batch = task.batch("test", np.arange(3))
        rows, places = some_places(batch, 12)
        np.testing.assert_allclose(
            source_pairs(Asked(), batch, rows, places), task.pairs(batch, rows, places), atol=1e-12
        )


def test_mean_over_contexts_is_as_sure_as_its_samples() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    alone = Contexts(np.arange(400), np.ones(400)).mean(values)
    half = 1.9659 * values.std(ddof=1) / 20
    np.testing.assert_allclose([alone.value, alone.low, alone.high],
                               values.mean() + np.array([0, -half, half]), rtol=1e-4)  # fmt: skip
    copies = Contexts(np.repeat(np.arange(400), 5), np.ones(2000)).mean(np.repeat(values, 5))
    np.testing.assert_allclose([copies.low, copies.high], [alone.low, alone.high])
    assert copies.count == 2000
    weighed = Contexts(np.array([0, 0, 1]), np.array([1.0, 1.0, 2.0])).mean(np.array([1.0, 3.0, 6.0]))
    assert weighed.value == pytest.approx(4)
    assert Contexts(np.zeros(3, np.int64), np.ones(3)).mean(np.arange(3.0)).low is None


def test_places_are_drawn_once_each_and_only_where_they_may() -> None:
    eligible = np.random.default_rng(3).random((200, 10)) < 0.4
    places, there = draw_places(eligible, 5, np.random.default_rng(0))
    assert (there.sum(axis=1) == np.minimum(5, eligible.sum(axis=1))).all()
    for row in range(200):
        drawn = places[row, there[row]]
        assert eligible[row, drawn].all()
        assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("imperfection", [0.0, 0.1, 0.4])
def test_intervals_for_the_source_cover_its_closed_form_whatever_the_model(imperfection: float) -> None:
    """200 times 60 samples: with a perfect model a term is missed in about 5 of 100, with a worse one more seldom."""
    task = Markov(MarkovConfig(memory=0.6, vocabulary_tokens=8))
    known = task.information()
    truth = np.array([known.x, known.y, known.x_given_y, known.y_given_x, known.mutual])
    p_SxVxV = task._pair_after(np.eye(8))  # by the token before
    wrong = np.random.default_rng(5).dirichlet(np.ones(64), 8).reshape(8, 8, 8)
    surprises = Surprises.of(np.log((1 - imperfection) * p_SxVxV + imperfection * wrong))
    added = excess(surprises.expected(p_SxVxV), pair_entropies(p_SxVxV))
    held = widths = 0
    for repeat in range(200):
        tokens = task.batch("train", np.arange(60 * repeat, 60 * repeat + 60)).tokens
        samples, places = np.repeat(np.arange(60), 4), np.tile([3, 4, 20, 41], 60)
        before, x, y = (tokens[samples, places + step] for step in (-1, 0, 1))
        seen = np.stack([np.broadcast_to(term, p_SxVxV.shape)[before, x, y] for term in surprises.terms], axis=1)
        means = estimates(Contexts(samples, np.ones(240)), seen, added[before])
        low, high = (np.array([getattr(mean, end) for mean in means]) for end in ("low", "high"))
        held = held + ((low <= truth) & (truth <= high))
        widths = widths + (high - low) / 200
        bounds = estimates(Contexts(samples, np.ones(240)), seen, None)
        assert all(mean.low == 0 and mean.high > 0.9 * term for mean, term in zip(bounds, truth, strict=True))
    coverage = held / 200
    assert coverage.min() >= 0.9  # 0.95 less three standard errors
    if imperfection == 0:
        assert coverage.mean() <= 0.98
        assert (widths < 0.5 * truth + 0.3).all()


def test_second_head_that_marginalises_has_no_gap_and_the_loss_falls_into_its_parts(tiny: Spec) -> None:
    parts = assemble(tiny(task=MARKOV))
    held = held_out(parts.task)

    def marginalised(tokens: Integers) -> Floats:
        every = np.tile(np.arange(1, 23), (len(tokens), 1))
        marginal: Floats = np.logaddexp.reduce(log_pairs(parts.network, tokens, every), axis=2)
        return marginal

    [found] = measured(parts.task, parts.network, held, marginalised)
    assert found.second is not None
    np.testing.assert_allclose(found.second, 0, atol=1e-6)
    [found] = measured(parts.task, parts.network, held, lambda tokens: np.full((len(tokens), 22, 8), -np.log(8)))
    assert found.second is not None
    loss = found.relative[:, 0] + np.log(8)
    np.testing.assert_allclose(loss, found.relative @ [0, 0, 1, 1, 2] + found.second[:, 0], atol=1e-6)
    assert (found.second[:, 1] > 0).all()
    assert found.second[:, 0].std() > 1e-3


def test_where_the_source_is_not_known_the_tokens_that_came_stand_for_it(
    tiny: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.analysis.estimators.contexts.CONTINUATIONS", 2**13)
    parts = assemble(tiny())
    held = held_out(parts.task)
    found = Measured.joined(list(measured(parts.task, parts.network, held, None)))
    assert found.source is None
    assert found.second is None
    rows, places = np.nonzero(held.there)[0], held.places[held.there]
    logs = logits_of(parts.network, torch.from_numpy(held.batch.tokens)).double().log_softmax(dim=-1).numpy()
    x, y = held.batch.tokens[rows, places], held.batch.tokens[rows, places + 1]
    np.testing.assert_allclose(found.relative[:, 0], -logs[rows, places - 1, x], atol=1e-5)
    np.testing.assert_allclose(found.relative[:, 3], -logs[rows, places, y], atol=1e-5)


def test_analysis_of_a_run_tells_terms_gap_and_tokens_and_is_drawn(analysed: tuple[Path, str, AnalysisResult]) -> None:
    _, _, found = analysed
    terms = {(row["of"], row["quantity"]): row for row in found.rows if row["where"] == "all"}
    for of in ("closed form", "source", "model", "relative", "estimate"):
        x, y, x_given_y, y_given_x, mutual = (terms[of, term]["value"] for term in TERMS)
        assert x + y == pytest.approx(x_given_y + 2 * mutual + y_given_x, abs=1e-6)
        assert all(terms[of, term]["low"] <= terms[of, term]["value"] <= terms[of, term]["high"] for term in TERMS)
    known = Markov(MarkovConfig(**MARKOV)).information()
    assert terms["closed form", "I(X;Y)"]["value"] == known.mutual
    for term, value in zip(TERMS, (known.x, known.y, known.x_given_y, known.y_given_x, known.mutual), strict=True):
        assert terms["estimate", term]["low"] <= value <= terms["estimate", term]["high"]
        assert terms["source", term]["value"] == pytest.approx(value, rel=0.1)
    measures = found.measures
    assert measures["two_token_loss"] == pytest.approx(
        measures["cross_entropy_next_given_after"] + 2 * measures["relative_information"]
        + measures["cross_entropy_after_given_next"] + measures["premise_gap"]
    )  # fmt: skip
    assert measures["premise_kl"] > 0
    assert measures["kl_pair"] > 0
    assert set(found.units.values()) == {"nats"}


def test_lab_analyse_says_the_same_every_time(analysed: tuple[Path, str, AnalysisResult], lab: Lab) -> None:
    home, identity, found = analysed
    done = lab("analyse", identity, "information", "--home", home, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["measures"] == dict(found.measures)
    assert "premise gap" in lab("analyse", identity, "information", "--home", home).stdout


def test_run_without_second_head_has_everything_but_the_gap(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(task=MARKOV, objective__n=1, training__steps=4)
    train(spec, tmp_path)
    found = InformationAnalysis().analyse(StoredRun(tmp_path, spec.identity, "best"))
    assert not {"premise_gap", "premise_kl", "two_token_loss"} & set(found.measures)
    pairs = [row for row in found.rows if row["quantity"] == "relative information of a pair"]
    assert pairs[0]["of"] == "model"
    # 40 samples have 22 places each, and all of them are drawn: what came is the estimate's own relative information.
    assert pairs[0]["contexts"] == 40 * 22
    [estimate] = [row for row in found.rows if row["of"] == "estimate" and row["quantity"] == "I(X;Y)"]
    assert pairs[0]["value"] == pytest.approx(estimate["value"])
    assert "No head reads the second token" in found.lines[-3]


def test_too_many_tokens_are_refused() -> None:
    task = Choice(ChoiceConfig(spacing_tokens=200, length_tokens=400))
    with pytest.raises(UserError, match=r"information: the task has \d{3} tokens; .* at most 260 would do"):
        held_out(task)


def test_targets_that_stand_alone_are_refused() -> None:
    class Alone(Markov):
        def draw(self, stream: Any, split: str) -> Batch:
            batch = super().draw(stream, split)
            return replace(batch, loss=batch.loss & (np.arange(self.length) % 2 == 0))

    with pytest.raises(UserError, match="fewer than two have two tokens in a row"):
        held_out(Alone(MarkovConfig()))


def test_contexts_weigh_as_many_as_they_were_drawn_from() -> None:
    eligible = np.zeros((2, 12), dtype=bool)
    eligible[0, 1:10], eligible[1, 5] = True, True
    batch = Markov(MarkovConfig()).batch("test", np.arange(2))
    held = Held(batch, *draw_places(eligible, 3, np.random.default_rng(0)), eligible)
    np.testing.assert_allclose(held.contexts.weights, [3, 3, 3, 1])
    assert held.contexts.samples.tolist() == [0, 0, 0, 1]


@pytest.mark.slow
@pytest.mark.parametrize(("memory", "length"), [(0.05, 64), (0.6, 64), (0.95, 128)])
def test_intervals_of_a_trained_model_hold_the_closed_form(
    tiny: Spec, tmp_path: Path, memory: float, length: int
) -> None:
    """A model of about 20,000 parameters, trained for half a minute: too little to be perfect, enough to be useful."""
    task = {"kind": "markov", "memory": memory, "length_tokens": length, "test_samples": 600, "validation_samples": 64}
    spec = tiny(task=task, model={"width": 24, "layers": 3, "attention_heads": 2, "rotary_base": 100.0},
                training__steps=500, training__batch_size=16, training__evaluate_every_steps=250)  # fmt: skip
    train(spec, tmp_path)
    found = InformationAnalysis().analyse(StoredRun(tmp_path, spec.identity, "last"))
    terms = {(row["of"], row["quantity"]): row for row in found.rows if row["where"] == "all"}
    widths = {}
    for term in TERMS:
        known = terms["closed form", term]["value"]
        for of in ("source", "estimate"):
            assert terms[of, term]["low"] <= known <= terms[of, term]["high"], (of, term, terms[of, term], known)
        widths[term] = terms["estimate", term]["high"] - terms["estimate", term]["low"]
    assert max(widths.values()) < 0.2
    assert 0 < found.measures["kl_pair"] < 0.1
    assert found.measures["premise_gap"] >= -found.measures["kl_pair"]  # head 2 cannot know more than the source
    x, y, x_given_y, y_given_x, mutual = (terms["model", term]["value"] for term in TERMS)
    assert x + y == pytest.approx(x_given_y + 2 * mutual + y_given_x, abs=1e-6)


@pytest.mark.slow
def test_two_tokens_share_what_a_consequential_choice_decides(tiny: Spec, tmp_path: Path) -> None:
    """The pair of a choice and the first token it decides shares H(Y unseen) - H(Y seen); other pairs nothing."""
    task = {"kind": "choice", "noise": 0.1, "test_samples": 400, "validation_samples": 64}
    spec = tiny(task=task, model={"width": 48, "layers": 4, "attention_heads": 2, "rotary_base": 100.0},
                training__steps=500, training__batch_size=16, training__evaluate_every_steps=250)  # fmt: skip
    train(spec, tmp_path)
    found = InformationAnalysis().analyse(StoredRun(tmp_path, spec.identity, "last"))
    shared = {row["where"]: row["value"] for row in found.rows if row["quantity"].startswith("relative information")}
    choice = Choice(ChoiceConfig(noise=0.1))
    decided, first = np.array([3]), np.array([1])
    told = choice.optimal_loss_at(decided, first, 2) - choice.optimal_loss_at(decided, first, 1)
    assert shared["X is consequential choice"] == pytest.approx(float(told[0]), abs=0.15)
    assert abs(shared["X is inconsequential choice"]) < 0.1
    assert abs(shared["X is filler"]) < 0.1
