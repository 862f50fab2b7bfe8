"""Contexts drawn from held-out samples, and the terms of a model and of the source at each of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from generators.foundation.errors import UserError
from generators.foundation.randomness import Floats, Integers
from generators.material.entropy import pair_entropies
from generators.protocols import KnownDistribution
from generators.task import Batch, Mask, Task
from lab.analysis.estimators.entropies import AFTER, PairSurprises, WeightedContexts
from lab.analysis.estimators.pair_distributions import draw_places, model_log_pairs, source_pairs
from lab.objectives.objective import Objective

VOCABULARY_MAXIMUM = 260
"""Bytes, and a few more tokens."""
SAMPLES = 512
CONTINUATIONS = 2**17
"""Contexts times tokens of the vocabulary: every context is continued with every token."""
NUMBERS_AT_ONCE = 2**21
SEED = 0
SecondHead = Callable[[Integers], Floats]
"""Tokens [B, T] -> log-probabilities of head 2 [B, P, V] at the last token that it knows."""


@dataclass(frozen=True)
class HeldOutPlaces:
    """Places drawn from held-out samples.

    Attributes:
        batch: the samples.
        places: the places [B, K], padded.
        exists: which of them are not padding [B, K].
        eligible: all places from which they were drawn [B, T].
    """

    batch: Batch
    places: Integers
    exists: Mask
    eligible: Mask

    @property
    def contexts(self) -> WeightedContexts:
        """The contexts at the drawn places, weighted by sample so that all eligible places count equally."""
        samples, _ = np.nonzero(self.exists)
        weights = self.eligible.sum(axis=1) / np.maximum(1, self.exists.sum(axis=1))
        return WeightedContexts(samples, weights[samples])


@dataclass(frozen=True)
class PairTerms:
    """Terms of N contexts, each [N, 5] in the order of `TERMS`.

    Attributes:
        model: entropies of the model's own joint.
        observed: the model's terms at the observed tokens.
        relative: the model's cross-entropies on the source, or `observed` if the source is not known.
        source: entropies of the source; None if it is not known.
        second: H(p_Y, q2) - H(p_Y, q_Y) and KL(q_Y || q2) of head 2 [N, 2]; None if there is no such head.
    """

    model: Floats
    observed: Floats
    relative: Floats
    source: Floats | None
    second: Floats | None

    @classmethod
    def concatenate(cls, parts: Sequence["PairTerms"]) -> "PairTerms":
        """Joins parts that have the same terms."""

        def join(columns: list[Floats | None]) -> Floats | None:
            known = [column for column in columns if column is not None]
            return np.concatenate(known) if known else None

        return cls(
            model=np.concatenate([part.model for part in parts]),
            observed=np.concatenate([part.observed for part in parts]),
            relative=np.concatenate([part.relative for part in parts]),
            source=join([part.source for part in parts]),
            second=join([part.second for part in parts]),
        )


def draw_held_out_places(task: Task) -> HeldOutPlaces:
    """Draws test samples and places in them.

    Raises:
        UserError: the vocabulary is too large, or fewer than two samples have two successive tokens in the loss mask.
    """
    size = len(task.vocabulary)
    if size > VOCABULARY_MAXIMUM:
        raise UserError(
            f"analysis information: task {task.config.kind} has a vocabulary of {size} tokens, and every context is "
            f"continued with each of them; it needs a run with at most {VOCABULARY_MAXIMUM}"
        )
    split = task.test_split
    samples = min(task.splits[split] or SAMPLES, SAMPLES, max(2, CONTINUATIONS // size))
    batch = task.batch(split, np.arange(samples)).trimmed()
    eligible = np.zeros_like(batch.loss)
    eligible[:, 1:-1] = batch.loss[:, 1:-1] & batch.loss[:, 2:]
    if np.count_nonzero(eligible.any(axis=1)) < 2:
        raise UserError(
            f"analysis information: of {samples} test samples of task {task.config.kind}, fewer than two have two "
            "successive tokens in the loss mask; it needs more test samples, or a task with longer targets"
        )
    count = max(1, CONTINUATIONS // size // samples)
    return HeldOutPlaces(batch, *draw_places(eligible, count, np.random.default_rng(SEED)), eligible)


def measure_pair_terms(
    task: Task, network: Objective, held_out: HeldOutPlaces, second_head: SecondHead | None
) -> Iterator[PairTerms]:
    """Measures the terms of all contexts, in chunks of samples.

    Args:
        second_head: None if the network has no head that predicts the second token from the context alone.
    """
    size, batch = len(task.vocabulary), held_out.batch
    at_once = max(1, NUMBERS_AT_ONCE // (held_out.places.shape[1] * size**2))
    for start in range(0, len(batch), at_once):
        here = np.arange(start, min(start + at_once, len(batch)))
        if not held_out.exists[here].any():
            continue
        samples, slot = np.nonzero(held_out.exists[here])
        rows, places = here[samples], held_out.places[here][samples, slot]
        log_q = model_log_pairs(network, batch.tokens[here], held_out.places[here])[samples, slot]
        surprises = PairSurprises.from_log_pairs(log_q)
        observed = surprises.at(batch.tokens[rows, places], batch.tokens[rows, places + 1])
        p = source_pairs(task, batch, rows, places) if isinstance(task, KnownDistribution) else None
        second = None
        if second_head is not None:
            log_q2 = second_head(batch.tokens[here])[samples, places - 1]
            log_marginal = -surprises.terms[AFTER][:, 0]
            log_ratio, q_y = log_marginal - log_q2, np.exp(log_marginal)
            observed_gap = log_ratio[np.arange(len(rows)), batch.tokens[rows, places + 1]]
            gap = observed_gap if p is None else (p.sum(axis=1) * log_ratio).sum(axis=1)
            second = np.stack((gap, (q_y * log_ratio).sum(axis=1)), axis=1)
        yield PairTerms(
            model=pair_entropies(np.exp(log_q)),
            observed=observed,
            relative=observed if p is None else surprises.expected(p),
            source=None if p is None else pair_entropies(p),
            second=second,
        )
