"""Contexts of held-out samples, and what a model and the source say of the two tokens behind each of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.material.entropy import Floats, pair_entropies
from generators.protocols import KnownDistribution
from generators.task import Batch, Mask, Task
from lab.analysis.estimators.entropies import AFTER, Contexts, Surprises
from lab.analysis.estimators.pairs import draw_places, log_pairs, source_pairs
from lab.objectives.objective import Objective

CLASSES_MAXIMUM = 260
"""Bytes, and a few more."""
SAMPLES = 512
CONTINUATIONS = 2**17
"""Contexts, of which each is read on with every token, times tokens."""
NUMBERS_AT_ONCE = 2**21
SEED = 0
Ahead = Callable[[Integers], Floats]
"""Tokens [B, T] -> logarithms of a head's distribution [B, P, V] at each last token it knows."""


@dataclass(frozen=True)
class Held:
    """Held-out samples, the places drawn in them [B, K], which of those there are, and all places of pairs [B, T]."""

    batch: Batch
    places: Integers
    there: Mask
    eligible: Mask

    @property
    def contexts(self) -> Contexts:
        """The places drawn, weighed so that all places of pairs count alike."""
        samples, _ = np.nonzero(self.there)
        weights = self.eligible.sum(axis=1) / np.maximum(1, self.there.sum(axis=1))
        return Contexts(samples, weights[samples])


@dataclass(frozen=True)
class Measured:
    """Numbers of N contexts, each [N, 5] in the order of `TERMS`; the source's are None where it is not known.

    second: of head 2 [N, 2], H(p_Y, q2) - H(p_Y, q_Y) and KL(q_Y || q2); None where there is no such head.
    """

    model: Floats
    seen: Floats
    relative: Floats
    source: Floats | None
    second: Floats | None

    @classmethod
    def joined(cls, parts: Sequence["Measured"]) -> "Measured":
        """The numbers of all parts, one after another; every part knows the same."""

        def some(columns: list[Floats | None]) -> Floats | None:
            known = [column for column in columns if column is not None]
            return np.concatenate(known) if known else None

        return cls(
            model=np.concatenate([part.model for part in parts]),
            seen=np.concatenate([part.seen for part in parts]),
            relative=np.concatenate([part.relative for part in parts]),
            source=some([part.source for part in parts]),
            second=some([part.second for part in parts]),
        )


def held_out(task: Task) -> Held:
    """Test samples and places in them.

    Raises:
        UserError: too many classes, or no two tokens in a row that carry loss.
    """
    size = len(task.vocabulary)
    if size > CLASSES_MAXIMUM:
        raise UserError(
            f"information: the task has {size} tokens; every context is read on with each of them, "
            f"so a run with a vocabulary of at most {CLASSES_MAXIMUM} would do"
        )
    split = task.test_split
    samples = min(task.splits[split] or SAMPLES, SAMPLES, max(2, CONTINUATIONS // size))
    batch = task.batch(split, np.arange(samples)).trimmed()
    eligible = np.zeros_like(batch.loss)
    eligible[:, 1:-1] = batch.loss[:, 1:-1] & batch.loss[:, 2:]
    if np.count_nonzero(eligible.any(axis=1)) < 2:
        raise UserError(
            f"information: of {samples} test samples of {task.config.kind} fewer than two have two tokens in a row "
            f"that carry loss; a run on more of them, or on a task with longer targets, would do"
        )
    count = max(1, CONTINUATIONS // size // samples)
    return Held(batch, *draw_places(eligible, count, np.random.default_rng(SEED)), eligible)


def measured(task: Task, network: Objective, held: Held, ahead: Ahead | None) -> Iterator[Measured]:
    """The numbers of the contexts, some samples at a time.

    Args:
        ahead: the second head, None without one.
    """
    size = len(task.vocabulary)
    at_once = max(1, NUMBERS_AT_ONCE // (held.places.shape[1] * size**2))
    for start in range(0, len(held.batch), at_once):
        here = np.arange(start, min(start + at_once, len(held.batch)))
        if not held.there[here].any():
            continue
        samples, slot = np.nonzero(held.there[here])
        rows, places = here[samples], held.places[here][samples, slot]
        log_q = log_pairs(network, held.batch.tokens[here], held.places[here])[samples, slot]
        surprises = Surprises.of(log_q)
        seen = surprises.at(held.batch.tokens[rows, places], held.batch.tokens[rows, places + 1])
        p = source_pairs(task, held.batch, rows, places) if isinstance(task, KnownDistribution) else None
        second = None
        if ahead is not None:
            log_q2, log_marginal = ahead(held.batch.tokens[here])[samples, places - 1], -surprises.terms[AFTER][:, 0]
            apart, q_y = log_marginal - log_q2, np.exp(log_marginal)
            came = apart[np.arange(len(rows)), held.batch.tokens[rows, places + 1]]
            gap = came if p is None else (p.sum(axis=1) * apart).sum(axis=1)
            second = np.stack((gap, (q_y * apart).sum(axis=1)), axis=1)
        yield Measured(
            model=pair_entropies(np.exp(log_q)),
            seen=seen,
            relative=seen if p is None else surprises.expected(p),
            source=None if p is None else pair_entropies(p),
            second=second,
        )
