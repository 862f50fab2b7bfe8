"""Self-speculative decoding of test prompts: how good heads 2 to n of a run are as drafters.

Paper, section 3.2: blockwise parallel decoding (Stern et al. 2018), greedy. Heads 2..k draft and head 1 verifies, so
the tokens are those of plain decoding. For every k up to the number of heads that draft:

    tokens a forward   tokens per forward pass over a block: 1 without drafts, at best k
    acceptance         the acceptance rate of each head's drafts, given that the drafts before were accepted; for the
                       largest k
    by chance          the acceptance rate of drafts that are the decoded tokens in random order: the share of pairs of
                       tokens, from two samples, that are equal
    times faster       wall seconds of plain decoding divided by those with drafts, for a few prompts one by one, the
                       two alternating; the median over turns, including the time to read the prompt. Only this number
                       differs between machines and between repetitions. A pass over k tokens takes as long as one
                       over a single token only if memory or kernel launches, not arithmetic, limit the speed.

Intervals are 95% over test samples, by the normal approximation of a ratio of two sums; times have none. Prompts are
cut as `lab decode` cuts them: at the first scored token of a sample, or in the middle.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from generators.foundation.errors import UserError
from generators.foundation.randomness import Floats, Integers
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo
from lab.analysis.estimators.intervals import ratio_of_sums
from lab.analysis.findings import Interval, interval_text
from lab.decoding.decoder import Decoded, decode
from lab.decoding.prompts import prompts_of
from lab.decoding.speculation import PAPER_SPEEDS, TimedDecoding, time_drafts
from lab.run.stored_run import StoredRun
from lab.timing import median_ratio

SAMPLES = 64
"""Prompts; fewer if the split has fewer."""
TIMED_SAMPLES = 4
"""Prompts that are also decoded one by one and timed."""


class DecodingAnalysis(Analysis):
    """Measures self-speculative decoding."""

    name = "decoding"
    summary = "how good heads 2 to n are as drafters"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "tokens_per_forward*": MeasureInfo(
            "more", "tokens", "tokens accepted per forward pass with drafts of that length, or of all heads"
        ),
        "times_faster*": MeasureInfo(
            "more", "ratio of seconds", "wall time of plain decoding divided by that with drafts"
        ),
        "acceptance_*": MeasureInfo(
            "more",
            "share of proposals",
            "share of a head's proposals accepted where the earlier ones were; by_chance: of random tokens",
        ),
    }

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Decodes test prompts with drafts of every length that the heads of a run can make.

        Measures: `tokens_per_forward_K` and `times_faster_K` for drafts of K tokens, and without a number for the
        longest drafts (1 for a run with one head); `acceptance_I` for head I; `acceptance_by_chance`.

        Raises:
            UserError: there is only one test sample.
        """
        task, network = run.parts.task, run.parts.network
        size = min(SAMPLES, task.splits[task.test_split] or SAMPLES)
        if size < 2:
            raise UserError("analysis decoding: task.test_samples = 1; intervals need at least 2 prompts")
        batch = task.batch(task.test_split, np.arange(size))
        prompts, lengths, room = prompts_of(batch)
        drafts = range(1, network.drafts + 1)
        decoded = {k: decode(network, prompts, lengths, room, k) for k in drafts}
        timed_rows = range(min(TIMED_SAMPLES, size))
        timed = [time_drafts(network, prompts[[row]], lengths[[row]], room, drafts) for row in timed_rows]
        faster = {k: median_ratio(total_seconds(timed, 1), total_seconds(timed, k)) for k in drafts}
        return self.result(collect(decoded, faster, run.spec.objective.kind))


def total_seconds(timed: list[dict[int, TimedDecoding]], k: int) -> list[float]:
    """Returns the seconds of all prompts that were decoded one by one, turn by turn."""
    return [sum(turn) for turn in zip(*(prompt[k].seconds for prompt in timed), strict=True)]


def collect(decoded: dict[int, Decoded], faster: dict[int, float], objective: str) -> Findings:
    """Collects the findings from the continuations and speed-ups of each k."""
    longest, findings = max(decoded), Findings()
    measures = findings.measures
    samples, count = decoded[1].tokens.shape
    measures |= {"tokens_per_forward": 1.0, "times_faster": 1.0}
    if longest == 1:
        findings.lines.append(f"The objective of this run, {objective}, does not draft: one token per forward pass.")
        findings.add("draft", "tokens a forward", 1.0, draft=1)
    for k in range(2, longest + 1):
        paper = PAPER_SPEEDS.get(longest, {}).get(k)
        tokens = tokens_per_forward(decoded[k])
        findings.add("draft", "tokens a forward", tokens, draft=k, **({"paper": paper[0]} if paper else {}))
        findings.add("draft", "times faster", faster[k], draft=k, **({"paper": paper[1]} if paper else {}))
        measures |= {f"tokens_per_forward_{k}": tokens[0], f"times_faster_{k}": faster[k]}
        measures |= {"tokens_per_forward": tokens[0], "times_faster": faster[k]}
        findings.lines.append(
            f"Drafts of {k}: {interval_text(tokens)} tokens per forward pass, {faster[k]:z.2f} times as fast as without"
            + (f" (paper, 7B: {paper[0]} and {paper[1]})." if paper else ".")
        )
    for head, rate in enumerate(acceptance_rates(decoded[longest]), start=2):
        findings.add("head", "acceptance", rate, head=head)
        measures[f"acceptance_{head}"] = rate[0]
        findings.lines.append(
            f"Head {head}: acceptance rate {interval_text(rate)}, if the drafts before were accepted."
        )
    if longest > 1:
        measures["acceptance_by_chance"] = chance = equal_pairs(decoded[1].tokens)
        findings.add("head", "by chance", chance)
        findings.lines.append(f"Drafts in random order would have an acceptance rate of {chance:z.3f}.")
    findings.lines.append(f"{samples} test prompts, {count} tokens each; 95% intervals over prompts.")
    return findings


def tokens_per_forward(decoded: Decoded) -> Interval:
    """Returns the tokens per forward pass over a block: head 1's token and the accepted drafts."""
    accepted_B = (decoded.drafts == 1).sum(axis=(1, 2))
    value, low, high = ratio_over_prompts(accepted_B, decoded.forwards)
    return 1 + value, 1 + low, 1 + high


def acceptance_rates(decoded: Decoded) -> list[Interval]:
    """Returns the acceptance rate of each head, from the second on, that drafted any token."""
    accepted_BxH, proposed_BxH = (decoded.drafts == 1).sum(axis=1), (decoded.drafts >= 0).sum(axis=1)
    return [
        ratio_over_prompts(accepted_B, proposed_B)
        for accepted_B, proposed_B in zip(accepted_BxH.T, proposed_BxH.T, strict=True)
        if proposed_B.any()
    ]


def ratio_over_prompts(sums_B: Integers, counts_B: Integers) -> Interval:
    """Returns the ratio of two sums over prompts and its interval."""
    return ratio_of_sums(sums_B.astype(np.float64), counts_B.astype(np.float64))


def equal_pairs(tokens_BxN: Integers) -> float:
    """Returns the share of equal pairs among all pairs of tokens from two different rows."""
    rows, size = tokens_BxN.shape
    classes = tokens_BxN.max() + 1
    counts_BxV: Floats = np.stack([np.bincount(row, minlength=classes) for row in tokens_BxN]).astype(float)
    return float((counts_BxV.sum(axis=0) ** 2 - (counts_BxV**2).sum(axis=0)).sum() / (rows * (rows - 1) * size**2))
