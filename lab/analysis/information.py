"""What the next token X and the one after it, Y, tell of each other: in the source, in a model, and between the two.

Paper, section 5.2 and appendix L. Over places t of held-out samples at which tokens t and t + 1 both carry loss, with
c = x_0..x_t-1, in nats:

    source        H(X), H(Y), H(X|Y), H(Y|X), I(X;Y) of the task's own joint p(x, y | c), where it knows it
    model         the same of the model's joint q(x, y | c) = q1(x | c) q1(y | x, c), exact over all x and y
    relative      the same with cross-entropies H(p, q): appendix L term by term. p is the source, or where it is not
                  known the tokens that came
    estimate      the source's terms as the model and the tokens that came tell them, the source not being asked; the
                  interval is one for the source's number (`entropies.estimates`), not for the model's
    closed form   the source's terms after a whole sample, where the task has them

With a second head q2(y | c), the loss of two tokens falls into parts that add up:

    H(p_X, q1) + H(p_Y, q2) = H(X|Y) + 2 I_p||q(X;Y) + H(Y|X) + premise gap    (terms of `relative`)

The premise gap, H(p_Y, q2) - H(p_Y, q_Y) with q_Y = sum_x q1(x | c) q1(y | x, c), is what head 2 says worse of Y than
the next-token path already does (Mehra et al., arXiv 2502.09419); KL(q_Y || q2) is how far the two are apart. A token's
own relative information is log q1(y | x, c) - log q2(y | c): what a two-token loss counts twice. It is averaged by the
class of position and by the token, of X and of Y, over all pairs; without a second head q_Y stands for q2, over the
places drawn.

Intervals are 95%, over samples as `entropies` has it. Places are drawn uniformly in each sample.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from generators.entropy import Floats, pair_entropies
from generators.errors import UserError
from generators.randomness import Integers
from generators.task import Batch, Mask, Task
from lab.analysis.analysis import Analysis, Row
from lab.analysis.entropies import (
    AFTER,
    AFTER_GIVEN_NEXT,
    MUTUAL,
    NEXT,
    NEXT_GIVEN_AFTER,
    TERMS,
    Contexts,
    Mean,
    Surprises,
    estimates,
    excess,
)
from lab.analysis.pairs import (
    KnownInformation,
    Source,
    draw_places,
    has_second_head,
    log_ahead,
    log_pairs,
    source_pairs,
)
from lab.objectives.objective import Objective
from lab.stored import StoredRun

CLASSES_MAXIMUM = 256
SAMPLES = 512
CONTINUATIONS = 2**16
"""Contexts, of which each is read on with every token, times tokens."""
NUMBERS_AT_ONCE = 2**21
SEED = 0
TOKENS_SHOWN = 8
TOKEN_COUNT_MINIMUM = 20
"""Pairs a token is seen in, to be named."""
NAMES = ("entropy_next", "entropy_after", "entropy_next_given_after", "entropy_after_given_next", "mutual_information")
RELATIVE_NAMES = ("cross_entropy_next", "cross_entropy_after", "cross_entropy_next_given_after",
                  "cross_entropy_after_given_next", "relative_information")  # fmt: skip


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


def analyse(run: StoredRun) -> Analysis:
    """Entropies and information of the next two tokens, in the source and in a stored model."""
    task, network = run.parts.task, run.parts.network.eval()
    held = held_out(task)
    tokens = held.batch.tokens
    ahead = log_ahead(network, tokens, 2) if has_second_head(network, tokens) else None
    found = Measured.joined(list(measured(task, network, held, ahead)))
    rows, measures = _of_terms(task, held.contexts, found)
    token_rows = list(_of_tokens(task, network, held, found, ahead))
    if ahead is not None:
        measures["token_information"] = token_rows[0]["value"]
    count = f"{len(found.model)} contexts of {len(np.unique(held.contexts.samples))} held-out samples"
    units = dict.fromkeys(("value", "low", "high", *measures), "nats")
    return Analysis("information", [*rows, *token_rows], measures, list(_lines(rows + token_rows, count)), units)


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
    split = next(name for name in task.splits if name.startswith("test"))
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


def measured(task: Task, network: Objective, held: Held, ahead: Floats | None) -> Iterator[Measured]:
    """The numbers of the contexts, some samples at a time.

    Args:
        ahead: log q2(y | c) [B, T - 2, V], by the last token of c; None without a second head.
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
        p = source_pairs(task, held.batch, rows, places) if isinstance(task, Source) else None
        second = None
        if ahead is not None:
            log_q2, log_marginal = ahead[rows, places - 1], -surprises.terms[AFTER][:, 0]
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


def _row(quantity: str, of: str, mean: Mean, where: str = "all") -> Row:
    return {"quantity": quantity, "of": of, "where": where, "value": mean.value, "low": mean.low, "high": mean.high,
            "contexts": mean.count}  # fmt: skip


def _of_terms(task: Task, contexts: Contexts, found: Measured) -> tuple[list[Row], dict[str, float]]:
    """Rows of the five terms of each kind, of what the model adds and of the premise gap; and the measures."""
    kinds = {"source": found.source, "model": found.model, "relative": found.relative}
    means = {of: [contexts.mean(column) for column in table.T] for of, table in kinds.items() if table is not None}
    added = None if found.source is None else excess(found.relative, found.source)
    means["estimate"] = estimates(contexts, found.seen, added)
    if isinstance(task, KnownInformation):
        known = task.information()
        values = (known.x, known.y, known.x_given_y, known.y_given_x, known.mutual)
        half = 1.96 * known.error
        means["closed form"] = [Mean(value, value - half, value + half, 0) for value in values]
    rows = [_row(term, of, mean) for of, five in means.items() for term, mean in zip(TERMS, five, strict=True)]
    measures = {name: mean.value for name, mean in zip(NAMES, means["model"], strict=True)}
    measures |= {name: mean.value for name, mean in zip(RELATIVE_NAMES, means["relative"], strict=True)}
    measures["estimated_information"] = means["estimate"][MUTUAL].value
    if added is not None:
        measures |= {f"source_{name}": mean.value for name, mean in zip(NAMES, means["source"], strict=True)}
        pair = contexts.mean(added[:, NEXT] + added[:, AFTER_GIVEN_NEXT])
        rows.append(_row("KL(p||q) of the pair", "relative", pair))
        measures |= {"kl_pair": pair.value}
    if found.second is not None:
        gap, apart = (contexts.mean(column) for column in found.second.T)
        loss = contexts.mean(found.relative[:, NEXT] + found.relative[:, AFTER] + found.second[:, 0])
        rows += [_row("premise gap", "head 2", gap), _row("KL(q_Y||q2)", "head 2", apart)]
        rows.append(_row("loss of two tokens", "relative", loss))
        measures |= {"premise_gap": gap.value, "premise_kl": apart.value, "two_token_loss": loss.value}
    return rows, measures


def _of_tokens(task: Task, network: Objective, held: Held, found: Measured, ahead: Floats | None) -> Iterator[Row]:
    """Relative information of pairs that came: over all, by class of position, and the tokens that have most of it."""
    tokens = held.batch.tokens
    if ahead is None:
        contexts = held.contexts
        samples, slot = np.nonzero(held.there)
        places = held.places[samples, slot]
        values, of = found.seen[:, MUTUAL], "model"
    else:
        samples, places = np.nonzero(held.eligible)
        contexts = Contexts(samples, np.ones(len(samples)))
        y = tokens[samples, places + 1]
        values, of = log_ahead(network, tokens, 1)[samples, places, y] - ahead[samples, places - 1, y], "head 2"
    quantity = "relative information of a pair"
    yield _row(quantity, of, contexts.mean(values))
    for role, at in (("X", places), ("Y", places + 1)):
        for name, mask in task.position_classes(held.batch).items():
            if (inside := mask[samples, at]).any():
                yield _row(quantity, of, contexts.mean(values, inside), f"{role} is {name}")
        token = tokens[samples, at]
        often = np.flatnonzero(np.bincount(token) >= TOKEN_COUNT_MINIMUM)
        means = {each: contexts.mean(values, token == each) for each in often.tolist()}
        most = sorted(means, key=lambda each: -means[each].value)[:TOKENS_SHOWN]
        for each in most:
            yield _row(quantity, of, means[each], f"{role} = {task.vocabulary[each]!r}")


def _lines(rows: list[Row], count: str) -> Iterator[str]:
    found = {(row["quantity"], row["of"]): row for row in reversed(rows)}

    def told(quantity: str, of: str) -> str:
        row = found[quantity, of]
        interval = "" if row["low"] is None else f" [{row['low']:.4f}, {row['high']:.4f}]"
        return f"{row['value']:.4f}{interval}"

    yield f"Two tokens ahead, over {count}, in nats, with 95% intervals."
    for of in ("closed form", "source", "model", "relative", "estimate"):
        if ("I(X;Y)", of) in found:
            yield f"{of}: " + ", ".join(f"{term} {told(term, of)}" for term in TERMS) + "."
    if ("premise gap", "head 2") in found:
        parts = [found[term, "relative"]["value"] for term in (TERMS[NEXT_GIVEN_AFTER], TERMS[AFTER_GIVEN_NEXT])]
        shared, gap = found["I(X;Y)", "relative"]["value"], found["premise gap", "head 2"]["value"]
        yield (
            f"The loss of two tokens is {told('loss of two tokens', 'relative')} = {parts[0]:.4f} (X given Y) + "
            f"{2 * shared:.4f} (what they share, twice) + {parts[1]:.4f} (Y given X) + {gap:.4f} (premise gap)."
        )
        yield (
            f"Head 2 loses {told('premise gap', 'head 2')} more on the second token than the next-token path "
            f"marginalised, and is {told('KL(q_Y||q2)', 'head 2')} away from it."
        )
    else:
        yield "No head reads the second token from the context alone, so there is no premise gap."
    for role in "XY":
        kinds = [row for row in rows if row["where"].startswith(f"{role} is ")]
        tokens = [row for row in rows if row["where"].startswith(f"{role} = ")][:3]
        told_of = ", ".join(f"{row['where']} {row['value']:.3f}" for row in (*kinds, *tokens))
        yield f"What a pair shares, by {role}: {told_of or 'too few of any token'}."
