"""A claim and the scores of its two arms -> a verdict, with its interval and the paper's own figure.

One interval decides, the inversion of an exact two-sided test:

    difference    supported: the interval is above zero; contradicted: it is below
    equivalence   supported: the interval is inside +-margin; contradicted: it is outside

What is neither is inconclusive; an equivalence is never concluded from a test that failed to find a difference.
Levels are corrected over the study's claims by Holm's method, and each interval is the one at the level its
claim was judged at: with two claims and a level of 0.05, 97.5% for the claim that is decided more clearly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from generators.settings import Tree
from studies.statistics import Contrast, Scores, contrast, holm, p_above, p_below, typical_values
from studies.study import Claim, Study

SEEDS_MINIMUM = 5
Verdict = Literal["supported", "contradicted", "inconclusive"]


@dataclass(frozen=True)
class Judgement:
    """What became of one claim. Where it could not be tested, contrast and p are None and `reason` says why.

    p: two-sided, before correction. p_corrected: Holm's. level: the one its interval stands at.
    """

    claim: Claim
    treatment: str
    control: str
    verdict: Verdict
    reason: str
    contrast: Contrast | None = None
    p: float | None = None
    p_corrected: float | None = None
    level: float | None = None

    def tree(self) -> Tree:
        """As JSON types; an interval end that is infinite is None."""
        found = self.contrast
        interval = [end if np.isfinite(end) else None for end in (found.low, found.high)] if found else None
        return {
            "claim": self.claim.name,
            "text": self.claim.text,
            "paper": self.claim.paper,
            "kind": self.claim.kind,
            "margin": self.claim.margin,
            "treatment": self.treatment,
            "control": self.control,
            "verdict": self.verdict,
            "reason": self.reason,
            "difference": found.difference if found else None,
            "interval": interval,
            "interval_level": self.level,
            "p": self.p,
            "p_corrected": self.p_corrected,
        }


ByCell = Mapping[str, Mapping[int, float]]


def judge(study: Study, scores: ByCell | Callable[[Claim], ByCell]) -> list[Judgement]:
    """The verdict on every claim of a study.

    Args:
        scores: cell label -> seed -> score, the larger the better, or a function that gives it for each claim; a run
            that failed or is still to come has no entry.
    """
    declaration = study.declaration
    arms = [arm_scores(study, claim, own(scores, claim)) for claim in declaration.claims]
    found = [
        decide(claim, study, pair) if pair else (1.0, None)
        for claim, pair in zip(declaration.claims, arms, strict=True)
    ]
    p_values = np.array([p for p, _ in found])
    corrected, ranks = holm(p_values)
    judgements = []
    for claim, pair, (p, leaning), p_holm, rank in zip(declaration.claims, arms, found, corrected, ranks, strict=True):
        treatment, control = (cell.label for cell in study.arms(claim))
        if pair is None:
            reason = missing(study, claim, own(scores, claim))
            judgements.append(Judgement(claim, treatment, control, "inconclusive", reason))
            continue
        level = declaration.level / (len(ranks) - int(rank))
        decided = leaning is not None and p_holm <= declaration.level
        reason = f"p = {p_holm:.3g} after correction over {len(ranks)} claims, "
        reason += (
            f"level {declaration.level}" if decided else f"above {declaration.level} with {study.seeds} seeds an arm"
        )
        result = contrast(*pair, declaration.test, level, generator())
        verdict = leaning if leaning is not None and decided else "inconclusive"
        judgements.append(Judgement(claim, treatment, control, verdict, reason, result, p, float(p_holm), level))
    return judgements


def own(scores: ByCell | Callable[[Claim], ByCell], claim: Claim) -> ByCell:
    """The scores a claim is judged by."""
    return scores(claim) if callable(scores) else scores


def generator() -> np.random.Generator:
    """Draws permutations where there are too many to enumerate; the same for every claim and every call."""
    return np.random.default_rng(0)


def arm_scores(study: Study, claim: Claim, scores: Mapping[str, Mapping[int, float]]) -> tuple[Scores, Scores] | None:
    """Scores of treatment and control in the order of their seeds, or None where a verdict cannot rest on them."""
    pair = [scores.get(cell.label, {}) for cell in study.arms(claim)]
    if study.seeds < SEEDS_MINIMUM or any(len(arm) < study.seeds for arm in pair):
        return None
    treatment, control = (np.array([arm[seed] for seed in sorted(arm)]) for arm in pair)
    return treatment, control


def missing(study: Study, claim: Claim, scores: Mapping[str, Mapping[int, float]]) -> str:
    """Why a claim cannot be judged."""
    there = {cell.label: len(scores.get(cell.label, {})) for cell in study.arms(claim)}
    if min(there.values()) == study.seeds:
        return f"{study.seeds} seeds an arm; a verdict needs at least {SEEDS_MINIMUM}"
    return "runs failed or still to come: " + ", ".join(f"{n} of {study.seeds} in {arm}" for arm, n in there.items())


def decide(claim: Claim, study: Study, arms: tuple[Scores, Scores]) -> tuple[float, Verdict | None]:
    """The p value of the verdict the scores lean to, and that verdict; None where they lean to neither.

    For an equivalence: the level at which the interval just fits inside the margin, or just leaves it. At most one
    of its two verdicts is wrong, so the smaller of the two p values is the claim's.
    """
    shifts = typical_values(*arms, study.declaration.test, generator())
    if claim.margin is None:
        greater, less = p_above(shifts, 0.0), p_below(shifts, 0.0)
        return min(
            1.0, 2 * min(greater, less)
        ), "supported" if greater < less else "contradicted" if less < greater else None
    inside = min(1.0, 2 * max(p_above(shifts, -claim.margin), p_below(shifts, claim.margin)))
    outside = min(1.0, 2 * min(p_above(shifts, claim.margin), p_below(shifts, -claim.margin)))
    return (inside, "supported") if inside <= outside else (outside, "contradicted")
