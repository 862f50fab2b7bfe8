"""Induction heads (Olsson et al. 2022, "In-context learning and induction heads"): which attention heads match prefixes
and copy, whether the task's accuracy depends on them, and when the skill formed.

All attention heads on the path to the next token are scored, including those of head 1's layer:

    prefix_matching  on random tokens, a block of distinct tokens that occurs twice: attention from a token in the
                     second copy to the token after its first occurrence. Chance is uniform attention over visible
                     positions.
    previous_token   on the same tokens: attention to the token before. Such a head copies each token to the next
                     position, where an induction head reads it.
    copying          the share of the vocabulary for which attending to a token raises its own logit above the mean of
                     all logits (the OV circuit; `attention.copying_shares`). Exact; 0.5 for a random circuit.
    task_attention   on validation samples: attention, from positions that predict a scored token, to the tokens after
                     earlier occurrences of the position's own token, if there are any.
    task_previous_token, task_copying
                     attention from scored tokens to the token before, and copying of the tokens that are ever scored.
    accuracy_loss    accuracy on validation samples minus that without the head: its input to `o_proj` is replaced by
                     the mean over samples and positions, which keeps its constant contribution and removes the rest.

A small model may match the prefixes that its task needs and no others, so that it is near chance on random tokens of
the vocabulary and far above it on the task. Therefore both are measured.

Intervals are 95%, by the normal approximation of a ratio of per-sample sums; samples are independent. The best head is
chosen on the sequences that it is scored on, so its score is biased upwards: if all heads are at chance, the best of
them is a little above it. induction_drop is its accuracy_loss minus the mean of those of the other heads. One of these
is the previous-token head that the best head depends on, which dominates the mean if heads are few. Formation refers to
the whole run, whatever the checkpoint (`skill_formation.py`).
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from generators.foundation.randomness import Floats, Integers
from generators.foundation.settings import Tree
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo, Row
from lab.analysis.estimators.attention import (
    attention_blocks,
    attention_by_block,
    copying_shares,
    count_hits,
    count_hits_without_each_head,
    samples_at_once,
)
from lab.analysis.estimators.intervals import ratio_of_sums
from lab.analysis.estimators.skill_formation import FORMED_ABOVE, find_formation
from lab.model.devices import to_device
from lab.objectives.checks.llama_path import require_llama
from lab.objectives.objective import Objective
from lab.run.store import METRICS
from lab.run.stored_run import StoredRun

SEQUENCES, BLOCK_TOKENS = 128, 64
"""Random sequences, and the most tokens in the block that each repeats."""
BLOCK_MINIMUM = 4
"""The fewest tokens in a block that leave something to attend to."""
SAMPLES = 256
"""The most validation samples."""
SEED = 20220924

Aim = Callable[[Tensor, Tensor], Tensor]
"""Tokens [B, T] and a mask of those that look [B, T] -> the positions at which each of them should look [B, T, T]."""


class InductionHeadsAnalysis(Analysis):
    """Scores the attention heads on the path to the next token."""

    name = "induction-heads"
    summary = "which attention heads match prefixes and copy"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "prefix_matching": MeasureInfo(
            "more",
            "share of attention",
            "attention of the best head to the token after the current one's first occurrence, on random tokens",
        ),
        "copying": MeasureInfo(
            "more",
            "share of vocabulary",
            "share of the vocabulary whose own logit that head raises above the mean by attending to it; chance is 0.5",
        ),
        "task_attention": MeasureInfo(
            "more", "share of attention", "prefix matching of that head on validation samples, at their scored tokens"
        ),
        "task_copying": MeasureInfo(
            "more", "share of scored vocabulary", "copying of that head among the scored tokens of the task"
        ),
        "induction_drop": MeasureInfo(
            "more",
            "share of scored tokens",
            "accuracy lost when that head is ablated, minus the mean loss over the other heads",
        ),
        "formation_step": MeasureInfo(
            "less",
            "optimiser steps",
            "first evaluation with accuracy at least half-way from the best shortcut to the run's final accuracy",
        ),
        "formation_jump": MeasureInfo(
            "more", "nats", "largest fall of loss_1 between two evaluations around that step"
        ),
    }
    column_units: ClassVar[Mapping[str, str]] = {
        "previous_token": "share of attention",
        "task_previous_token": "share of attention",
        "accuracy": "share of scored tokens",
        "accuracy_loss": "share of scored tokens",
        "validation_accuracy": "share of scored tokens",
        "validation_loss_1": "nats",
    }
    """Units of the values of those rows whose measure is not in `measures`."""

    @torch.no_grad()
    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Scores the attention heads of a checkpoint and finds when the run's skill formed.

        The measures of formation describe the run; all others describe the best head.

        Raises:
            UserError: the samples or the vocabulary are too small for a block that comes twice, or the network is not
                a Llama.
        """
        network, task = run.parts.network, run.parts.task
        size = min(task.length // 2, len(task.vocabulary), BLOCK_TOKENS)
        if size < BLOCK_MINIMUM:
            raise UserError(
                f"run {run.folder.identity}: analysis induction-heads repeats a block of at least {BLOCK_MINIMUM} "
                f"different tokens; the samples of this run have {task.length} tokens, its vocabulary "
                f"{len(task.vocabulary)}"
            )
        blocks = repeated_blocks(len(task.vocabulary), size)
        require_llama(network, blocks, "analysis induction-heads")
        heads, random_SxT = attention_heads(network), to_device(run.parts.device, blocks)
        second_SxT = (torch.arange(2 * size, device=random_SxT.device) >= size).expand_as(random_SxT)
        rows = attention_rows("prefix_matching", heads, network, random_SxT, second_SxT, after_earlier_occurrences)
        best = max(range(len(heads)), key=lambda head: rows[head]["value"])
        matching = rows[best]
        rows += attention_rows("previous_token", heads, network, random_SxT, second_SxT, token_before)
        vocabulary_V = torch.arange(len(task.vocabulary), device=random_SxT.device)
        copied = copying_rows("copying", heads, network, vocabulary_V)
        rows += copied
        lines = [
            f"Of {len(heads)} attention heads, head {heads[best]['attention_head']} of layer {heads[best]['layer']} "
            f"({heads[best]['part']}) matches prefixes best: {share_text(matching)} of its attention goes to the token "
            f"after the first occurrence, {matching['chance']:z.3f} by chance.",
            "When it attends to a token, it raises that token's own logit above the mean for "
            f"{copied[best]['value']:z.3f} of the vocabulary; a random circuit does so for 0.5.",
        ]
        for more_rows, more_lines in (task_findings(run, heads, best), formation_findings(run.folder.lines(METRICS))):
            rows += more_rows
            lines += more_lines
        of_best = [row for row in rows if all(row.get(key, value) == value for key, value in heads[best].items())]
        measures = {row["measure"]: row["value"] for row in of_best if row["measure"] in self.measures}
        return self.result(Findings(rows, measures, lines))


def attention_heads(network: Objective) -> list[Row]:
    """Returns the attention heads on the path to the next token, in order; layers and their heads count from 1."""
    trunk = set(network.trunk.layers)
    return [
        {"part": "trunk" if block in trunk else "head", "layer": number, "attention_head": head}
        for number, block in enumerate(attention_blocks(network), start=1)
        for head in range(1, block.self_attn.attention_heads + 1)
    ]


def repeated_blocks(vocabulary: int, size: int, seed: int = SEED) -> Integers:
    """Draws random sequences [S, 2 size]: blocks of distinct tokens that occur twice."""
    tokens = np.tile(np.arange(vocabulary), (SEQUENCES, 1))
    block = np.random.default_rng(seed).permuted(tokens, axis=1)[:, :size]
    return np.concatenate((block, block), axis=1)


def after_earlier_occurrences(tokens_BxT: Tensor, looks_BxT: Tensor) -> Tensor:
    """Returns a mask [B, T, T], True for keys that directly follow an earlier occurrence of the query's token."""
    same_BxTxT = (tokens_BxT[:, :, None] == tokens_BxT[:, None, :]).tril(-1)
    return same_BxTxT.roll(1, dims=2) & looks_BxT[:, :, None]


def token_before(tokens_BxT: Tensor, looks_BxT: Tensor) -> Tensor:
    """Returns a mask [B, T, T], True for the key directly before each query that counts."""
    before_TxT = torch.ones(2 * tokens_BxT.shape[1:], dtype=torch.bool, device=tokens_BxT.device).tril(-1).triu(-1)
    return before_TxT & looks_BxT[:, :, None]


def attention_rows(
    measure: str, heads: list[Row], network: Objective, tokens_BxT: Tensor, looks_BxT: Tensor, aim: Aim
) -> list[Row]:
    """Returns the mean attention of each head to the keys of `aim`, over the positions that have such keys; no rows if
    no position has any."""
    length = tokens_BxT.shape[1]
    visible_T = torch.arange(1, length + 1, device=tokens_BxT.device)
    at_once = samples_at_once(network, length)
    totals, counts, uniform = [], [], 0.0
    for tokens, looks in zip(torch.split(tokens_BxT, at_once), torch.split(looks_BxT, at_once), strict=True):
        where = aim(tokens, looks)
        counts.append(where.any(dim=2).sum(dim=1))
        uniform += float((where.sum(dim=2) / visible_T).sum())
        sums = [(pattern * where[:, None]).sum(dim=(2, 3)) for pattern, _ in attention_by_block(network, tokens)]
        totals.append(torch.cat(sums, dim=1))
    counts_B = torch.cat(counts).double().cpu().numpy()
    if not counts_B.any():
        return []
    return [
        {"measure": measure, **head, **share_of(total, counts_B), "chance": uniform / float(counts_B.sum())}
        for head, total in zip(heads, torch.cat(totals).double().cpu().numpy().T, strict=True)
    ]


def copying_rows(measure: str, heads: list[Row], network: Objective, tokens_N: Tensor) -> list[Row]:
    """Returns one row per head, with the share of `tokens_N` that the head copies."""
    copied = torch.cat(copying_shares(network, tokens_N)).tolist()
    return [
        {"measure": measure, **head, "value": value, "chance": 0.5} for head, value in zip(heads, copied, strict=True)
    ]


def task_findings(run: StoredRun, heads: list[Row], best: int) -> tuple[list[Row], list[str]]:
    """Returns the scores of the heads on validation samples, and the accuracy without each of them."""
    network, task = run.parts.network, run.parts.task
    batch = task.batch("validation", np.arange(min(SAMPLES, task.splits["validation"] or SAMPLES))).trimmed()
    counts_B = batch.scored[:, 1:].sum(axis=1).astype(np.float64)
    if not counts_B.any():
        return [], ["The task scores no token, so the loss of accuracy without a head is not measured."]
    tokens_BxT = to_device(run.parts.device, batch.tokens)
    inputs_BxP, scored_BxT = tokens_BxT[:, :-1], torch.from_numpy(batch.scored).to(tokens_BxT.device)
    rows = attention_rows("task_attention", heads, network, inputs_BxP, scored_BxT[:, 1:], after_earlier_occurrences)
    lines = [
        f"Where it predicts the task's scored tokens, {share_text(row)} of its attention goes to tokens after earlier "
        f"occurrences of the token read there, {row['chance']:z.3f} by chance."
        for row in rows[best : best + 1]
    ]
    rows += attention_rows("task_previous_token", heads, network, inputs_BxP, scored_BxT[:, :-1], token_before)
    rows += copying_rows("task_copying", heads, network, torch.unique(tokens_BxT[scored_BxT]))
    hits_B = count_hits(network, tokens_BxT, scored_BxT)
    ablated_HxB = count_hits_without_each_head(network, tokens_BxT, scored_BxT)
    accuracy = {"measure": "accuracy", **share_of(hits_B, counts_B)}
    losses = [
        {"measure": "accuracy_loss", **head, **share_of(hits_B - ablated_B, counts_B)}
        for head, ablated_B in zip(heads, ablated_HxB, strict=True)
    ]
    rows += [accuracy, *losses]
    lines.append(
        f"Validation accuracy is {share_text(accuracy)}; without that head it is {share_text(losses[best])} lower."
    )
    if len(heads) > 1:
        others_B = np.delete(ablated_HxB, best, axis=0).mean(axis=0)
        drop = {"measure": "induction_drop", **share_of(others_B - ablated_HxB[best], counts_B)}
        rows.append(drop)
        lines.append(f"That is {share_text(drop)} more than the mean loss without another head.")
    return rows, lines


def formation_findings(log: list[Tree]) -> tuple[list[Row], list[str]]:
    """Returns when the skill formed, and the curves from which that is read."""
    curves = [
        {"measure": f"validation_{name}", "step": line["step"], "value": line[name]}
        for name in ("accuracy", "loss_1")
        for line in log
        if line["split"] == "validation" and name in line
    ]
    formation = find_formation(log)
    if formation is None and not any(row["measure"] == "validation_accuracy" for row in curves):
        return curves, []
    if formation is None:
        return curves, [f"The skill never formed: final accuracy is not {FORMED_ABOVE} above the blind level."]
    rows: list[Row] = [{"measure": "formation_step", "value": formation.step, "after_step": formation.after}]
    line = (
        f"The skill formed between steps {formation.after} and {formation.step}: validation accuracy passed "
        f"{formation.half:z.3f}, half-way from the blind {formation.blind:z.3f} to the final {formation.final:z.3f}"
    )
    if formation.jump is not None:
        rows.append({"measure": "formation_jump", "value": formation.jump})
        line += f"; loss_1 fell by {formation.jump:z.3f} nats between two evaluations"
    return rows + curves, [line + "."]


def share_of(totals_B: Floats, counts_B: Floats) -> Row:
    """Returns the sum of the totals over the sum of the counts; with an interval if there are several samples."""
    if len(counts_B) < 2:
        return {"value": float(totals_B.sum() / counts_B.sum())}
    return dict(zip(("value", "low", "high"), ratio_of_sums(totals_B, counts_B), strict=True))


def share_text(row: Row) -> str:
    """Formats the estimate of a row with its interval."""
    interval = f" [{row['low']:z.3f}, {row['high']:z.3f}]" if "low" in row else ""
    return f"{row['value']:z.3f}{interval}"
