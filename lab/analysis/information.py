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
places drawn. Tokens are named because their means are the largest, so those means flatter; their intervals do not know.

Intervals are 95%, over samples as `entropies` has it; they are not about other seeds. Places are drawn uniformly in
each sample, the same ones for every run of a task.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

import numpy as np

from generators.foundation.randomness import Integers
from generators.material.entropy import Floats
from generators.protocols import KnownInformation
from generators.task import Task
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo, Row
from lab.analysis.estimators.contexts import Ahead, Held, Measured, held_out, measured
from lab.analysis.estimators.entropies import (
    AFTER,
    AFTER_GIVEN_NEXT,
    MUTUAL,
    NEXT,
    NEXT_GIVEN_AFTER,
    TERMS,
    Contexts,
    Mean,
    estimates,
    excess,
)
from lab.analysis.estimators.pairs import has_second_head, log_ahead
from lab.objectives.objective import Objective
from lab.run.stored_run import StoredRun

SAMPLES_AT_ONCE = 64
"""Of a plain forward pass."""
TOKENS_SHOWN = 8
TOKEN_COUNT_MINIMUM = 20
"""Pairs a token is seen in, to be named."""
NAMES = ("entropy_next", "entropy_after", "entropy_next_given_after", "entropy_after_given_next", "mutual_information")
RELATIVE_NAMES = ("cross_entropy_next", "cross_entropy_after", "cross_entropy_next_given_after",
                  "cross_entropy_after_given_next", "relative_information")  # fmt: skip


class InformationAnalysis(Analysis):
    """Measures entropies and mutual information of the next two tokens."""

    name = "information"
    summary = "entropies and mutual information of the next two tokens"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "cross_entropy_*": MeasureInfo("less", "nats"),
        "two_token_loss": MeasureInfo("less", "nats"),
        "kl_pair": MeasureInfo("less", "nats"),
        "*": MeasureInfo("more", "nats"),
    }
    column_units: ClassVar[Mapping[str, str]] = {"value": "nats", "low": "nats", "high": "nats"}

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Entropies and information of the next two tokens, in the source and in a stored model."""
        task, network = run.parts.task, run.parts.network.eval()
        held = held_out(task)
        ahead = partial(log_ahead, network, lag=2) if has_second_head(network, held.batch.tokens) else None
        found = Measured.joined(list(measured(task, network, held, ahead)))
        rows, measures = _of_terms(task, held.contexts, found)
        token_rows = list(_of_tokens(task, network, held, found, ahead))
        if ahead is not None:
            measures["token_information"] = token_rows[0]["value"]
        count = f"{len(found.model)} contexts of {len(np.unique(held.contexts.samples))} held-out samples"
        return self.result(Findings([*rows, *token_rows], measures, list(_lines(rows + token_rows, count))))


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


def _of_tokens(task: Task, network: Objective, held: Held, found: Measured, ahead: Ahead | None) -> Iterator[Row]:
    """Relative information of pairs that came: over all, by class of position, and the tokens that have most of it."""
    tokens = held.batch.tokens
    if ahead is None:
        contexts, values, of = held.contexts, found.seen[:, MUTUAL], "model"
        samples, slot = np.nonzero(held.there)
        places = held.places[samples, slot]
    else:
        samples, places = np.nonzero(held.eligible)
        contexts, of = Contexts(samples, np.ones(len(samples))), "head 2"
        values = _log_ratios(tokens, network, ahead)[samples, places]
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


def _log_ratios(tokens: Integers, network: Objective, ahead: Ahead) -> Floats:
    """log q1(y | x, c) - log q2(y | c) [B, T - 1] by the place of x; there is none at the first."""
    ratios = np.zeros((len(tokens), tokens.shape[1] - 1))
    for start in range(0, len(tokens), SAMPLES_AT_ONCE):
        some = tokens[start : start + SAMPLES_AT_ONCE]
        y = some[:, 2:, None]
        q1, q2 = log_ahead(network, some, 1)[:, 1:], ahead(some)
        ratios[start : start + len(some), 1:] = np.take_along_axis(q1 - q2, y, axis=2)[:, :, 0]
    return ratios


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
