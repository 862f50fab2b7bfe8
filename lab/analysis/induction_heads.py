"""Induction heads (Olsson et al. 2022, "In-context learning and induction heads"): which attention heads match prefixes
and copy, whether the task's accuracy hangs on them, and when they formed.

All attention heads on the way to the next token are scored, those of head 1's layer included.

    prefix_matching  on random tokens, a block of distinct ones told twice: attention from a token of the second telling
                     to the token behind its first occurrence. Chance is uniform attention over the visible positions.
    previous_token   on the same: attention to the token before. Induction heads read what such a head has moved.
    copying          the share of the vocabulary whose own logit rises above the mean when the head attends to it (the
                     OV circuit; `attention.copying`). Exact; a random circuit has 0.5.
    task_attention   on validation samples: attention from where a scored token is predicted to the tokens behind
                     earlier occurrences of the token read there, where it has any.
    task_previous_token, task_copying
                     attention from scored tokens to the token before, and copying of the tokens that are ever scored.
    accuracy_loss    accuracy on validation samples less that without the head: what it gives `o_proj` is replaced by
                     its mean over samples and positions, which leaves its constant and takes what it tells apart.

A small model may match the prefixes that its task needs and no others: near chance on random tokens of the vocabulary,
far above it on the task. So both are measured.

Errors: 95% intervals, normal approximation of a ratio of per-sample sums, samples being independent. The best head is
the one that matches prefixes best, on the same sequences: of many heads at chance it is a little above. induction_drop
is its accuracy_loss less the mean of the other heads'; the head that it reads from is among those, and where they are
few makes up most of the mean. Formation is the whole run's, whatever checkpoint is looked at (`formation.py`).
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.foundation.settings import Tree
from generators.material.entropy import Floats
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo, Row
from lab.analysis.estimators.attention import attended, blocks_of, copying, hits, hits_without_each, samples_at_once
from lab.analysis.estimators.formation import FORMED_ABOVE, formation
from lab.model.batches import to_device
from lab.objectives.objective import Objective
from lab.run.store import METRICS
from lab.run.stored_run import StoredRun

SEQUENCES, BLOCK_TOKENS = 128, 64
"""Random sequences, and the most tokens told twice in each."""
SHORTEST = 4
"""Tokens told twice below which there is too little to attend to."""
SAMPLES = 256
"""Validation samples at most."""
NORMAL_95 = 1.959964
SEED = 20220924


Aim = Callable[[Tensor, Tensor], Tensor]
"""Tokens [B, T] and which of them look [B, T] -> where each of those should [B, T, T]."""


class InductionHeadsAnalysis(Analysis):
    """Scores the attention heads on the way to the next token."""

    name = "induction-heads"
    summary = "which attention heads match prefixes and copy"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "prefix_matching": MeasureInfo("more", "share of attention"),
        "copying": MeasureInfo("more", "share of vocabulary"),
        "task_attention": MeasureInfo("more", "share of attention"),
        "task_copying": MeasureInfo("more", "share of scored vocabulary"),
        "induction_drop": MeasureInfo("more", "share of scored tokens"),
        "formation_step": MeasureInfo("less", "optimiser steps"),
        "formation_jump": MeasureInfo("more", "nats"),
    }
    """Measures of the best head, and of the run."""
    column_units: ClassVar[Mapping[str, str]] = {
        "previous_token": "share of attention",
        "task_previous_token": "share of attention",
        "accuracy": "share of scored tokens",
        "accuracy_loss": "share of scored tokens",
        "validation_accuracy": "share of scored tokens",
        "validation_loss_1": "nats",
    }
    """Units of the values of the other measures that rows name."""

    @torch.no_grad()
    def analyse(self, run: StoredRun) -> AnalysisResult:
        """The attention heads of a checkpoint, and when the run's skill formed."""
        network, task = run.parts.network, run.parts.task
        told = min(task.length // 2, len(task.vocabulary), BLOCK_TOKENS)
        if told < SHORTEST:
            raise UserError(
                f"run {run.folder.identity}: analysis induction-heads repeats a block of at least {SHORTEST} different "
                f"tokens; the samples of this run have {task.length} tokens, its vocabulary {len(task.vocabulary)}"
            )
        heads = heads_of(network)
        random_SxT = to_device(run.parts.device, repeated(len(task.vocabulary), told))
        second_SxT = (torch.arange(2 * told, device=random_SxT.device) >= told).expand_as(random_SxT)
        rows = attention_to("prefix_matching", heads, network, random_SxT, second_SxT, behind_earlier)
        best = max(range(len(heads)), key=lambda head: rows[head]["value"])
        matching = rows[best]
        rows += attention_to("previous_token", heads, network, random_SxT, second_SxT, just_before)
        copied = copying_of("copying", heads, network, torch.arange(len(task.vocabulary), device=random_SxT.device))
        rows += copied
        lines = [
            f"Of {len(heads)} attention heads, head {heads[best]['attention_head']} of layer {heads[best]['layer']} "
            f"({heads[best]['part']}) matches prefixes best: {shown(matching)} of its attention goes to the token "
            f"after the first occurrence, {matching['chance']:.3f} by chance.",
            "When it attends to a token, it raises that token's own logit above the mean for "
            f"{copied[best]['value']:.3f} of the vocabulary; a random circuit does so for 0.5.",
        ]
        for found, told_of_it in (on_task(run, heads, best), in_log(run.folder.lines(METRICS))):
            rows += found
            lines += told_of_it
        of_best = [row for row in rows if all(row.get(key, value) == value for key, value in heads[best].items())]
        measures = {row["measure"]: row["value"] for row in of_best if row["measure"] in self.measures}
        return self.result(Findings(rows, measures, lines))


def heads_of(network: Objective) -> list[Row]:
    """The attention heads on the way to the next token, in order; layers and heads of a layer are counted from 1."""
    trunk = set(network.trunk.layers)
    return [
        {"part": "trunk" if block in trunk else "head", "layer": number, "attention_head": head}
        for number, block in enumerate(blocks_of(network), start=1)
        for head in range(1, block.self_attn.attention_heads + 1)
    ]


def repeated(vocabulary: int, told: int, seed: int = SEED) -> Integers:
    """Random sequences [S, 2 told]: blocks of distinct tokens, each told twice."""
    everything = np.tile(np.arange(vocabulary), (SEQUENCES, 1))
    block = np.random.default_rng(seed).permuted(everything, axis=1)[:, :told]
    return np.concatenate((block, block), axis=1)


def behind_earlier(tokens_BxT: Tensor, looks_BxT: Tensor) -> Tensor:
    """The positions behind earlier occurrences of the token that looks [B, T, T]."""
    same_BxTxT = (tokens_BxT[:, :, None] == tokens_BxT[:, None, :]).tril(-1)
    return same_BxTxT.roll(1, dims=2) & looks_BxT[:, :, None]


def just_before(tokens_BxT: Tensor, looks_BxT: Tensor) -> Tensor:
    """The position before the one that looks [B, T, T]."""
    before_TxT = torch.ones(2 * tokens_BxT.shape[1:], dtype=torch.bool, device=tokens_BxT.device).tril(-1).triu(-1)
    return before_TxT & looks_BxT[:, :, None]


def attention_to(
    measure: str, heads: list[Row], network: Objective, tokens_BxT: Tensor, looks_BxT: Tensor, aim: Aim
) -> list[Row]:
    """Of each head, the mean attention to where it should look, over the positions that look and should look anywhere;
    no rows where none does."""
    length = tokens_BxT.shape[1]
    visible_T = torch.arange(1, length + 1, device=tokens_BxT.device)
    at_once = samples_at_once(network, length)
    totals, counts, uniform = [], [], 0.0
    for tokens, looks in zip(torch.split(tokens_BxT, at_once), torch.split(looks_BxT, at_once), strict=True):
        where = aim(tokens, looks)
        counts.append(where.any(dim=2).sum(dim=1))
        uniform += float((where.sum(dim=2) / visible_T).sum())
        each = [(pattern * where[:, None]).sum(dim=(2, 3)) for pattern, _ in attended(network, tokens)]
        totals.append(torch.cat(each, dim=1))
    counts_B = torch.cat(counts).double().cpu().numpy()
    if not counts_B.any():
        return []
    return [
        {"measure": measure, **head, **share(total, counts_B), "chance": uniform / float(counts_B.sum())}
        for head, total in zip(heads, torch.cat(totals).double().cpu().numpy().T, strict=True)
    ]


def copying_of(measure: str, heads: list[Row], network: Objective, tokens_N: Tensor) -> list[Row]:
    """Of each head, the share of these tokens that it copies."""
    copied = torch.cat(copying(network, tokens_N)).tolist()
    return [
        {"measure": measure, **head, "value": value, "chance": 0.5} for head, value in zip(heads, copied, strict=True)
    ]


def on_task(run: StoredRun, heads: list[Row], best: int) -> tuple[list[Row], list[str]]:
    """What the heads do on validation samples, and the accuracy without each of them."""
    network, task = run.parts.network, run.parts.task
    drawn = task.batch("validation", np.arange(min(SAMPLES, task.splits["validation"] or SAMPLES))).trimmed()
    counts_B = drawn.scored[:, 1:].sum(axis=1).astype(np.float64)
    if not counts_B.any():
        return [], ["No token of the task is scored: what its accuracy owes to a head is not measured."]
    tokens_BxT = to_device(run.parts.device, drawn.tokens)
    inputs_BxP, scored_BxT = tokens_BxT[:, :-1], torch.from_numpy(drawn.scored).to(tokens_BxT.device)
    rows = attention_to("task_attention", heads, network, inputs_BxP, scored_BxT[:, 1:], behind_earlier)
    lines = [
        f"Where the task's scored tokens are predicted, {shown(row)} of its attention goes behind earlier "
        f"occurrences of the token read there, {row['chance']:.3f} by chance."
        for row in rows[best : best + 1]
    ]
    rows += attention_to("task_previous_token", heads, network, inputs_BxP, scored_BxT[:, :-1], just_before)
    rows += copying_of("task_copying", heads, network, torch.unique(tokens_BxT[scored_BxT]))
    whole_B = hits(network, tokens_BxT, scored_BxT)
    left_HxB = hits_without_each(network, tokens_BxT, scored_BxT)
    accuracy = {"measure": "accuracy", **share(whole_B, counts_B)}
    losses = [
        {"measure": "accuracy_loss", **head, **share(whole_B - left_B, counts_B)}
        for head, left_B in zip(heads, left_HxB, strict=True)
    ]
    rows += [accuracy, *losses]
    lines.append(f"Validation accuracy is {shown(accuracy)}; without that head it is {shown(losses[best])} lower.")
    if len(heads) > 1:
        others_B = np.delete(left_HxB, best, axis=0).mean(axis=0)
        drop = {"measure": "induction_drop", **share(others_B - left_HxB[best], counts_B)}
        rows.append(drop)
        lines.append(f"That is {shown(drop)} more than is lost without another head, on average.")
    return rows, lines


def in_log(log: list[Tree]) -> tuple[list[Row], list[str]]:
    """When the skill formed, with the curves that it is read from."""
    curves = [
        {"measure": f"validation_{name}", "step": line["step"], "value": line[name]}
        for name in ("accuracy", "loss_1")
        for line in log
        if line["split"] == "validation" and name in line
    ]
    found = formation(log)
    if found is None and not any(row["measure"] == "validation_accuracy" for row in curves):
        return curves, []
    if found is None:
        return curves, [f"The skill never formed: accuracy does not end {FORMED_ABOVE} above the blind level."]
    rows: list[Row] = [{"measure": "formation_step", "value": found.step, "after_step": found.after}]
    line = (
        f"The skill formed between steps {found.after} and {found.step}: validation accuracy passed {found.half:.3f}, "
        f"half-way from the blind {found.blind:.3f} to the final {found.final:.3f}"
    )
    if found.jump is not None:
        rows.append({"measure": "formation_jump", "value": found.jump})
        line += f"; loss_1 fell by {found.jump:.3f} nats from one evaluation to the next"
    return rows + curves, [line + "."]


def share(totals_B: Floats, counts_B: Floats) -> Row:
    """The ratio of the sums of two numbers of each sample, with its interval where there are samples enough."""
    samples, counted = len(counts_B), float(counts_B.sum())
    value = float(totals_B.sum()) / counted
    if samples < 2:
        return {"value": value}
    half = NORMAL_95 * float((totals_B - value * counts_B).std(ddof=1)) * samples**0.5 / counted
    return {"value": value, "low": value - half, "high": value + half}


def shown(row: Row) -> str:
    """An estimate with its interval."""
    interval = f" [{row['low']:.3f}, {row['high']:.3f}]" if "low" in row else ""
    return f"{row['value']:.3f}{interval}"
