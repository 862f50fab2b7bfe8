"""Entropies of two tokens: the paper's identity, means over contexts, and intervals that cover the source."""

import numpy as np
import pytest

from generators.material.entropy import Floats, pair_entropies
from generators.tasks.choice import Choice, ChoiceConfig
from generators.tasks.markov import Markov, MarkovConfig
from lab.analysis.estimators.entropies import PairSurprises, WeightedContexts, estimate_source, excess_over_source
from lab.analysis.estimators.pair_contexts import HeldOutPlaces
from lab.analysis.estimators.pair_distributions import draw_places, model_log_pairs, source_pairs
from lab.run.assembly import assemble
from tests.conftest import Spec
from tests.lab.analysis.markov_source import MARKOV, random_places


def assert_adds_up(terms: Floats) -> None:
    """Asserts the identity of section 5.2, with every term large enough to matter."""
    x, y, x_given_y, y_given_x, mutual = terms.T
    np.testing.assert_allclose(x + y, x_given_y + 2 * mutual + y_given_x, atol=1e-6)
    assert terms.mean(axis=0).min() > 1e-3


def test_the_identity_holds_for_a_model(tiny: Spec) -> None:
    parts = assemble(tiny(task=MARKOV))
    tokens = parts.task.batch("test", np.arange(20)).tokens
    places = np.full((20, 2), (3, 11))
    log_q = model_log_pairs(parts.network.eval(), tokens, places).reshape(40, 8, 8)
    assert_adds_up(pair_entropies(np.exp(log_q)))


@pytest.mark.parametrize("task", [Markov(MarkovConfig()), Choice(ChoiceConfig(noise=0.2))], ids=["markov", "choice"])
def test_the_identity_holds_for_a_source_and_for_a_model_read_on_it(task: Markov | Choice) -> None:
    batch = task.batch("test", np.arange(40))
    p = source_pairs(task, batch, *random_places(batch, 300))
    assert_adds_up(pair_entropies(p))
    log_q = np.log(0.8 * p + 0.2 / p[0].size)
    assert_adds_up(PairSurprises.from_log_pairs(log_q).expected(p))


def test_the_interval_of_a_mean_is_as_wide_as_its_independent_samples_make_it() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    alone = WeightedContexts(np.arange(400), np.ones(400)).mean(values)
    half = 1.9659 * values.std(ddof=1) / 20
    expected = values.mean() + np.array([0, -half, half])
    np.testing.assert_allclose([alone.value, alone.low, alone.high], expected, rtol=1e-4)
    copies = WeightedContexts(np.repeat(np.arange(400), 5), np.ones(2000)).mean(np.repeat(values, 5))
    np.testing.assert_allclose([copies.low, copies.high], [alone.low, alone.high])
    assert copies.count == 2000


def test_a_mean_over_contexts_is_weighted_and_a_single_sample_has_no_interval() -> None:
    weighted = WeightedContexts(np.array([0, 0, 1]), np.array([1.0, 1.0, 2.0])).mean(np.array([1.0, 3.0, 6.0]))
    assert weighted.value == pytest.approx(4)
    assert WeightedContexts(np.zeros(3, np.int64), np.ones(3)).mean(np.arange(3.0)).low is None


def test_all_eligible_places_count_equally_however_many_are_drawn() -> None:
    eligible = np.zeros((2, 12), dtype=bool)
    eligible[0, 1:10], eligible[1, 5] = True, True
    batch = Markov(MarkovConfig()).batch("test", np.arange(2))
    places = HeldOutPlaces(batch, *draw_places(eligible, 3, np.random.default_rng(0)), eligible)
    np.testing.assert_allclose(places.contexts.weights, [3, 3, 3, 1])
    assert places.contexts.samples.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("imperfection", [0.0, 0.1, 0.4])
def test_intervals_for_the_source_cover_its_closed_form_whatever_the_model(imperfection: float) -> None:
    """In 200 repetitions of 60 samples, a perfect model misses a term about 5 times in 100, a worse one less often."""
    task = Markov(MarkovConfig(memory=0.6, vocabulary_tokens=8))
    known = task.information()
    truth = np.array([known.x, known.y, known.x_given_y, known.y_given_x, known.mutual])
    p_SxVxV = task._pair_after(np.eye(8))  # by the token before
    wrong = np.random.default_rng(5).dirichlet(np.ones(64), 8).reshape(8, 8, 8)
    surprises = PairSurprises.from_log_pairs(np.log((1 - imperfection) * p_SxVxV + imperfection * wrong))
    excess = excess_over_source(surprises.expected(p_SxVxV), pair_entropies(p_SxVxV))
    contexts = WeightedContexts(np.repeat(np.arange(60), 4), np.ones(240))
    covered = widths = 0
    for repeat in range(200):
        tokens = task.batch("train", np.arange(60 * repeat, 60 * repeat + 60)).tokens
        places = np.tile([3, 4, 20, 41], 60)
        before, x, y = (tokens[contexts.samples, places + step] for step in (-1, 0, 1))
        observed = np.stack([np.broadcast_to(term, p_SxVxV.shape)[before, x, y] for term in surprises.terms], axis=1)
        means = estimate_source(contexts, observed, excess[before])
        low, high = (np.array([getattr(mean, end) for mean in means]) for end in ("low", "high"))
        covered = covered + ((low <= truth) & (truth <= high))
        widths = widths + (high - low) / 200
        bounds = estimate_source(contexts, observed, None)
        assert all(mean.low == 0 and mean.high > 0.9 * term for mean, term in zip(bounds, truth, strict=True))
    coverage = covered / 200
    assert coverage.min() >= 0.9, "0.95 less three standard errors"
    if imperfection == 0:
        assert coverage.mean() <= 0.98
        assert (widths < 0.5 * truth + 0.3).all()
