"""What a run's further heads are worth as drafters: self-speculative decoding of its task's test prompts, greedy.

Paper, section 3.2: blockwise parallel decoding (Stern et al. 2018). The heads 2..k propose, head 1 judges; the tokens
are those of plain decoding. For each k up to the tokens that the run's heads propose:

    tokens a forward   tokens that a forward pass over a block gave: 1 without drafts, k at best
    acceptance         of the proposals of each head, where those before it stood, the share that stood; k at its most
    by chance          what acceptance would be of drafts that are the decoded tokens in random order: the share of
                       pairs of tokens, of two samples, that are equal
    times faster       wall seconds of plain decoding over those with drafts, of a few prompts each by itself, in turns,
                       in the median turn, reading the prompt included. It alone differs from machine to machine, and
                       each time on a busy one. A pass over k tokens takes as long as one over a single token only where
                       the machine waits for weights or for calls, not for arithmetic.

Intervals are 95% over test samples, by the normal approximation of a ratio of two sums; seconds have none. Prompts are
cut as `lab decode` cuts them: where a sample begins to be scored, or in the middle.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.material.entropy import Floats
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo
from lab.analysis.estimators.intervals import Interval, ratio
from lab.decoding.decoder import Decoded, decode
from lab.decoding.prompts import prompts_of
from lab.decoding.speculation import PAPER_SPEEDS, TimedDecoding, time_drafts
from lab.run.stored_run import StoredRun
from lab.run.timing import median_ratio

SAMPLES = 64
"""Prompts, or as many as the split has."""
TIMED = 4
"""Of these, decoded one by one to be timed."""


class DecodingAnalysis(Analysis):
    """Measures self-speculative decoding."""

    name = "decoding"
    summary = "what the further heads are worth as drafters"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "tokens_per_forward*": MeasureInfo("more", "tokens"),
        "acceptance_*": MeasureInfo("more", "share of proposals"),
        "times_faster*": MeasureInfo("more", "ratio of seconds"),
    }

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Decodes test prompts with drafts of every length that the heads of a run can make.

        Measures: `tokens_per_forward_K` and `times_faster_K` for drafts of K tokens, and without a number for the
        longest drafts (1 for a run with one head); `acceptance_I` for head I; `acceptance_by_chance`.

        Raises:
            UserError: there is but one test sample.
        """
        task, network = run.parts.task, run.parts.network
        size = min(SAMPLES, task.splits[task.test_split] or SAMPLES)
        if size < 2:
            raise UserError("analysis decoding: an interval takes two prompts, and task.test_samples = 1; give more")
        batch = task.batch(task.test_split, np.arange(size))
        prompts, lengths, room = prompts_of(batch)
        drafts = range(1, network.drafts + 1)
        found = {k: decode(network, prompts, lengths, room, k) for k in drafts}
        alone = [time_drafts(network, prompts[[row]], lengths[[row]], room, drafts) for row in range(min(TIMED, size))]
        faster = {k: median_ratio(seconds(alone, 1), seconds(alone, k)) for k in drafts}
        return self.result(told(found, faster, run.spec.objective.kind))


def seconds(alone: list[dict[int, TimedDecoding]], k: int) -> list[float]:
    """Of all prompts that were decoded alone, turn by turn."""
    return [sum(turn) for turn in zip(*(one[k].seconds for one in alone), strict=True)]


def told(found: dict[int, Decoded], faster: dict[int, float], objective: str) -> Findings:
    """What decoding with each k, of 1 and more, says."""
    most, findings = max(found), Findings()
    plain, measures = found[1], findings.measures
    samples, each = plain.tokens.shape
    measures |= {"tokens_per_forward": 1.0, "times_faster": 1.0}
    if most == 1:
        findings.lines.append(f"Objective {objective} of this run proposes one token at a time: a token a forward.")
        findings.add("draft", "tokens a forward", 1.0, draft=1)
    for k in range(2, most + 1):
        paper = PAPER_SPEEDS.get(most, {}).get(k)
        tokens = tokens_per_forward(found[k])
        findings.add("draft", "tokens a forward", tokens, draft=k, **({"paper": paper[0]} if paper else {}))
        findings.add("draft", "times faster", faster[k], draft=k, **({"paper": paper[1]} if paper else {}))
        measures |= {f"tokens_per_forward_{k}": tokens[0], f"times_faster_{k}": faster[k]}
        measures |= {"tokens_per_forward": tokens[0], "times_faster": faster[k]}
        findings.lines.append(
            f"Drafts of {k}: {shown(tokens)} tokens a forward pass, {faster[k]:.2f} times as fast as without"
            + (f" (paper, 7B: {paper[0]} and {paper[1]})." if paper else ".")
        )
    for head, share in enumerate(acceptance(found[most]), start=2):
        findings.add("head", "acceptance", share, head=head)
        measures[f"acceptance_{head}"] = share[0]
        findings.lines.append(f"Head {head}: {shown(share)} of its proposals stand where those before did.")
    if most > 1:
        measures["acceptance_by_chance"] = chance = equal_pairs(plain.tokens)
        findings.add("head", "by chance", chance)
        findings.lines.append(f"Drafts in random order would stand in {chance:.3f} of cases.")
    findings.lines.append(f"{samples} test prompts, {each} tokens each; 95% intervals over prompts.")
    return findings


def tokens_per_forward(found: Decoded) -> Interval:
    """Tokens that a forward pass over a block gave, the certain one and the proposals that stood."""
    accepted_B = (found.drafts == 1).sum(axis=(1, 2))
    value, low, high = over_prompts(accepted_B, found.forwards)
    return 1 + value, 1 + low, 1 + high


def acceptance(found: Decoded) -> list[Interval]:
    """Of each head from the second on that proposed anything, its share of proposals that stood."""
    stood_BxH, proposed_BxH = (found.drafts == 1).sum(axis=1), (found.drafts >= 0).sum(axis=1)
    return [
        over_prompts(stood_B, proposed_B)
        for stood_B, proposed_B in zip(stood_BxH.T, proposed_BxH.T, strict=True)
        if proposed_B.any()
    ]


def over_prompts(sums_B: Integers, counts_B: Integers) -> Interval:
    """The ratio of two sums over prompts and its interval."""
    return ratio(sums_B.astype(np.float64), counts_B.astype(np.float64))


def equal_pairs(tokens_BxN: Integers) -> float:
    """Of all pairs of tokens in two different rows, the share that are equal."""
    rows, size = tokens_BxN.shape
    counts_BxV: Floats = np.stack([np.bincount(row, minlength=tokens_BxN.max() + 1) for row in tokens_BxN]).astype(
        float
    )
    return float((counts_BxV.sum(axis=0) ** 2 - (counts_BxV**2).sum(axis=0)).sum() / (rows * (rows - 1) * size**2))


def shown(estimate: Interval) -> str:
    """An estimate as it is read."""
    return f"{estimate[0]:.3f} [{estimate[1]:.3f}, {estimate[2]:.3f}]"
