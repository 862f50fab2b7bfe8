"""Information between the next token X and the one after it, Y: in the source, in a model, and in the model relative to
the source.

Paper, section 5.2 and appendix L. Contexts are c = x_0..x_t-1 at places t of held-out samples where tokens t and t + 1
both are in the loss mask; all numbers are in nats.

    source        H(X), H(Y), H(X|Y), H(Y|X), I(X;Y) of the task's own joint p(x, y | c), if it is known
    model         the same of the model's joint q(x, y | c) = q1(x | c) q1(y | x, c), exact over all x and y
    relative      the same with cross-entropies H(p, q): appendix L term by term. p is the source or, if it is not
                  known, the observed tokens
    estimate      the terms of the source, estimated from the model and the observed tokens alone; the interval covers
                  the source's value (`entropies.estimate_source`), not the model's
    closed form   the terms of the source after a whole sample, if the task has them

With a second head q2(y | c), the loss of two tokens is a sum of four parts:

    H(p_X, q1) + H(p_Y, q2) = H(X|Y) + 2 I_p||q(X;Y) + H(Y|X) + premise gap    (terms of `relative`)

The premise gap, H(p_Y, q2) - H(p_Y, q_Y) with q_Y = sum_x q1(x | c) q1(y | x, c), is the excess of head 2's loss on Y
over that of the next-token path (Mehra et al., arXiv 2502.09419); KL(q_Y || q2) is the distance between the two. The
relative information of a pair is log q1(y | x, c) - log q2(y | c), which a two-token loss counts twice. Its mean is
reported by position class and by token, for X and for Y, over all pairs; without a second head, q_Y replaces q2 and the
mean is over the places drawn. The tokens listed are those with the largest means, so their means are biased upwards,
and their intervals do not account for that.

Intervals are 95%, over samples, as in `entropies`; they do not cover other seeds. Places are drawn uniformly in each
sample and are the same for every run of a task.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

import numpy as np

from generators.foundation.randomness import Floats, Integers
from generators.protocols import KnownInformation
from generators.task import Task
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo, Row
from lab.analysis.estimators.entropies import (
    AFTER,
    AFTER_GIVEN_NEXT,
    MUTUAL,
    NEXT,
    NEXT_GIVEN_AFTER,
    TERMS,
    ContextMean,
    WeightedContexts,
    estimate_source,
    excess_over_source,
)
from lab.analysis.estimators.intervals import NORMAL_95
from lab.analysis.estimators.pair_contexts import (
    HeldOutPlaces,
    PairTerms,
    SecondHead,
    draw_held_out_places,
    measure_pair_terms,
)
from lab.analysis.estimators.pair_distributions import has_second_head, head_log_probabilities
from lab.objectives.checks.llama_path import require_llama
from lab.objectives.objective import Objective
from lab.run.stored_run import StoredRun

SAMPLES_AT_ONCE = 64
"""Samples of a plain forward pass."""
TOKENS_LISTED = 8
TOKEN_COUNT_MINIMUM = 20
"""The fewest pairs that contain a token for it to be listed."""
NAMES = ("entropy_next", "entropy_after", "entropy_next_given_after", "entropy_after_given_next", "mutual_information")
RELATIVE_NAMES = ("cross_entropy_next", "cross_entropy_after", "cross_entropy_next_given_after",
                  "cross_entropy_after_given_next", "relative_information")  # fmt: skip
PAIR = "relative information of a pair"


class InformationAnalysis(Analysis):
    """Measures entropies and mutual information of the next two tokens."""

    name = "information"
    summary = "entropies and mutual information of the next two tokens"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "entropy_*": MeasureInfo(
            "more",
            "nats",
            "entropy of the next token or the one after it under the model, by itself or given the other",
        ),
        "mutual_information": MeasureInfo("more", "nats", "mutual information of the next two tokens under the model"),
        "source_*": MeasureInfo("more", "nats", "the same quantity under the task's true distribution"),
        "estimated_information": MeasureInfo(
            "more", "nats", "the source's mutual information, estimated from the model and the tokens alone"
        ),
        "relative_information": MeasureInfo(
            "more", "nats", "mutual information with cross-entropies of the model, as a two-token loss counts it twice"
        ),
        "token_information": MeasureInfo(
            "more", "nats", "mean over actual pairs of log q1(y given x) minus head 2's log q2(y)"
        ),
        "cross_entropy_*": MeasureInfo(
            "less",
            "nats",
            "the entropy of that name as the model's cross-entropy to the source, or to the actual tokens",
        ),
        "kl_pair": MeasureInfo(
            "less", "nats", "divergence of the model's joint distribution of the pair from the source's"
        ),
        "two_token_loss": MeasureInfo(
            "less", "nats", "loss of the next-token path on the next token plus that of head 2 on the token after it"
        ),
        # A gap is a finding and not a score: a positive effect is a larger gap.
        "premise_gap": MeasureInfo(
            "more", "nats", "loss of head 2 minus that of the next-token path marginalised over the next token"
        ),
        "premise_kl": MeasureInfo("more", "nats", "divergence of head 2 from the marginalised next-token path"),
    }
    column_units: ClassVar[Mapping[str, str]] = {"value": "nats", "low": "nats", "high": "nats"}

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Measures the terms of the source and of a stored model.

        Raises:
            UserError: the vocabulary is too large, there are too few pairs of tokens in the loss mask, or the network
                is not a Llama.
        """
        task, network = run.parts.task, run.parts.network.eval()
        held_out = draw_held_out_places(task)
        require_llama(network, held_out.batch.tokens[:, :-1], "analysis information")
        second_head = None
        if has_second_head(network, held_out.batch.tokens):
            second_head = partial(head_log_probabilities, network, lag=2)
        terms = PairTerms.concatenate(list(measure_pair_terms(task, network, held_out, second_head)))
        rows, measures = rows_of_terms(task, held_out.contexts, terms)
        token_rows = list(rows_of_tokens(task, network, held_out, terms, second_head))
        if second_head is not None:
            measures["token_information"] = token_rows[0]["value"]
        samples = len(np.unique(held_out.contexts.samples))
        lines = sentences(rows + token_rows, f"{len(terms.model)} contexts of {samples} held-out samples")
        return self.result(Findings([*rows, *token_rows], measures, list(lines)))


def row_of_mean(quantity: str, of: str, mean: ContextMean, where: str = "all") -> Row:
    """Returns the row of a mean.

    Args:
        of: the owner of the quantity, such as "source" or "model".
        where: the pairs that the mean is taken over.
    """
    return {"quantity": quantity, "of": of, "where": where, "value": mean.value, "low": mean.low, "high": mean.high,
            "contexts": mean.count}  # fmt: skip


def rows_of_terms(task: Task, contexts: WeightedContexts, terms: PairTerms) -> tuple[list[Row], dict[str, float]]:
    """Returns rows with the five terms of each kind, the model's excess and the premise gap; and the measures."""
    tables = {"source": terms.source, "model": terms.model, "relative": terms.relative}
    means = {of: [contexts.mean(column) for column in table.T] for of, table in tables.items() if table is not None}
    excess = None if terms.source is None else excess_over_source(terms.relative, terms.source)
    means["estimate"] = estimate_source(contexts, terms.observed, excess)
    if isinstance(task, KnownInformation):
        known = task.information()
        values = (known.x, known.y, known.x_given_y, known.y_given_x, known.mutual)
        half = NORMAL_95 * known.error
        means["closed form"] = [ContextMean(value, value - half, value + half, 0) for value in values]
    rows = [row_of_mean(term, of, mean) for of, five in means.items() for term, mean in zip(TERMS, five, strict=True)]
    measures = {name: mean.value for name, mean in zip(NAMES, means["model"], strict=True)}
    measures |= {name: mean.value for name, mean in zip(RELATIVE_NAMES, means["relative"], strict=True)}
    measures["estimated_information"] = means["estimate"][MUTUAL].value
    if excess is not None:
        measures |= {f"source_{name}": mean.value for name, mean in zip(NAMES, means["source"], strict=True)}
        pair = contexts.mean(excess[:, NEXT] + excess[:, AFTER_GIVEN_NEXT])
        rows.append(row_of_mean("KL(p||q) of the pair", "relative", pair))
        measures |= {"kl_pair": pair.value}
    if terms.second is not None:
        gap, distance = (contexts.mean(column) for column in terms.second.T)
        loss = contexts.mean(terms.relative[:, NEXT] + terms.relative[:, AFTER] + terms.second[:, 0])
        rows += [row_of_mean("premise gap", "head 2", gap), row_of_mean("KL(q_Y||q2)", "head 2", distance)]
        rows.append(row_of_mean("loss of two tokens", "relative", loss))
        measures |= {"premise_gap": gap.value, "premise_kl": distance.value, "two_token_loss": loss.value}
    return rows, measures


def rows_of_tokens(
    task: Task, network: Objective, held_out: HeldOutPlaces, terms: PairTerms, second_head: SecondHead | None
) -> Iterator[Row]:
    """Yields the relative information of the pairs that occurred: over all, by position class, and for the tokens with
    the largest means."""
    tokens = held_out.batch.tokens
    if second_head is None:
        contexts, values, of = held_out.contexts, terms.observed[:, MUTUAL], "model"
        samples, slot = np.nonzero(held_out.exists)
        places = held_out.places[samples, slot]
    else:
        samples, places = np.nonzero(held_out.eligible)
        contexts, of = WeightedContexts(samples, np.ones(len(samples))), "head 2"
        values = log_ratios(tokens, network, second_head)[samples, places]
    yield row_of_mean(PAIR, of, contexts.mean(values))
    for role, at in (("X", places), ("Y", places + 1)):
        for name, mask in task.position_classes(held_out.batch).items():
            if (inside := mask[samples, at]).any():
                yield row_of_mean(PAIR, of, contexts.mean(values, inside), f"{role} is {name}")
        token_at = tokens[samples, at]
        frequent = np.flatnonzero(np.bincount(token_at) >= TOKEN_COUNT_MINIMUM)
        means = {token: contexts.mean(values, token_at == token) for token in frequent.tolist()}
        largest = sorted(means, key=lambda token: -means[token].value)[:TOKENS_LISTED]
        for token in largest:
            yield row_of_mean(PAIR, of, means[token], f"{role} = {task.vocabulary[token]!r}")


def log_ratios(tokens: Integers, network: Objective, second_head: SecondHead) -> Floats:
    """Returns log q1(y | x, c) - log q2(y | c) [B, T - 1] by the place of x; 0 at the first place."""
    ratios = np.zeros((len(tokens), tokens.shape[1] - 1))
    for start in range(0, len(tokens), SAMPLES_AT_ONCE):
        piece = tokens[start : start + SAMPLES_AT_ONCE]
        y = piece[:, 2:, None]
        q1, q2 = head_log_probabilities(network, piece, 1)[:, 1:], second_head(piece)
        ratios[start : start + len(piece), 1:] = np.take_along_axis(q1 - q2, y, axis=2)[:, :, 0]
    return ratios


def sentences(rows: list[Row], count: str) -> Iterator[str]:
    """Yields the result in words."""
    by_quantity = {(row["quantity"], row["of"]): row for row in reversed(rows)}

    def text(quantity: str, of: str) -> str:
        row = by_quantity[quantity, of]
        interval = "" if row["low"] is None else f" [{row['low']:z.4f}, {row['high']:z.4f}]"
        return f"{row['value']:z.4f}{interval}"

    yield f"Two tokens ahead, over {count}, in nats, with 95% intervals."
    for of in ("closed form", "source", "model", "relative", "estimate"):
        if ("I(X;Y)", of) in by_quantity:
            yield f"{of}: " + ", ".join(f"{term} {text(term, of)}" for term in TERMS) + "."
    if ("premise gap", "head 2") in by_quantity:
        parts = [by_quantity[term, "relative"]["value"] for term in (TERMS[NEXT_GIVEN_AFTER], TERMS[AFTER_GIVEN_NEXT])]
        shared, gap = by_quantity["I(X;Y)", "relative"]["value"], by_quantity["premise gap", "head 2"]["value"]
        yield (
            f"The loss of two tokens is {text('loss of two tokens', 'relative')} = {parts[0]:z.4f} (X given Y) + "
            f"{2 * shared:z.4f} (shared information, twice) + {parts[1]:z.4f} (Y given X) + {gap:z.4f} (premise gap)."
        )
        yield (
            f"Head 2 loses {text('premise gap', 'head 2')} more on the second token than the marginalised next-token "
            f"path; the relative entropy between them is {text('KL(q_Y||q2)', 'head 2')}."
        )
    else:
        yield "No head reads the second token from the context alone, so there is no premise gap."
    for role in "XY":
        classes = [row for row in rows if row["where"].startswith(f"{role} is ")]
        tokens = [row for row in rows if row["where"].startswith(f"{role} = ")][:3]
        means = ", ".join(f"{row['where']} {row['value']:z.3f}" for row in (*classes, *tokens))
        yield f"Information shared by a pair, by {role}: {means or 'no token is frequent enough'}."
