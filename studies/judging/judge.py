"""A claim and the scores of its arms -> a verdict, with its interval and the paper's own figure.

Every kind of claim has one effect (studies/declared/claims/claim.py), and its interval, which inverts an exact
two-sided test, decides:

    equivalence    supported: the interval is inside +-margin; contradicted: it is outside
    every other    supported: the interval is above the margin, or above zero where there is none; contradicted: below

What is neither is inconclusive; an equivalence is never concluded from a test that failed to find a difference.
The interval is of a shift: where an arm changes how many runs learn, few seeds support an equivalence too easily
(docs/statistics.md says how often).
Levels are corrected over the study's claims by Holm's method, and each interval is the one at the level its
claim was judged at: with two claims and a level of 0.05, 97.5% for the claim that is decided more clearly. A study
that declares `looks` spends its level on them (studies/statistics/interim.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from studies.declared.claims.claim import Claim
from studies.declared.claims.comparison import Comparison
from studies.declared.study import Study
from studies.ledger.records import VerdictRecord
from studies.statistics.exact import SEEDS_MINIMUM, Contrast, Evidence, holm
from studies.statistics.forms.form import Form, Scores
from studies.statistics.interim import share
from studies.statistics.power import POWER, SEEDS_MAXIMUM, seeds_needed

Verdict = Literal["supported", "contradicted", "inconclusive"]
ByCell = Mapping[str, Mapping[int, float]]


@dataclass(frozen=True)
class Judgement:
    """What became of one claim. Where it could not be tested, contrast and p are None and `reason` says why.

    cells: labels of all that the claim is about. treatment, control: the two of them to show side by side. by_seed: the
    effect in each seed that all cells have. p: two-sided, before correction. p_corrected: Holm's. level: the one its
    interval stands at.
    """

    claim: Claim
    cells: tuple[str, ...]
    treatment: str
    control: str
    by_seed: Mapping[int, float]
    verdict: Verdict
    reason: str
    contrast: Contrast | None = None
    p: float | None = None
    p_corrected: float | None = None
    level: float | None = None
    tested: "Tested | None" = field(default=None, compare=False, repr=False)

    @cached_property
    def seeds_needed(self) -> int | None:
        """An estimate of the seeds an arm that would decide an inconclusive claim; None where there is none."""
        if self.verdict != "inconclusive" or self.tested is None or self.level is None:
            return None
        return self.tested.seeds_needed(self.level)

    @property
    def outlook(self) -> str:
        """What it would take to decide an inconclusive claim, in words; empty for any other."""
        if self.verdict != "inconclusive" or self.tested is None:
            return ""
        if self.seeds_needed is None:
            return f"even {SEEDS_MAXIMUM} seeds an arm would not decide it if the effect is what was seen (an estimate)"
        more = self.seeds_needed - self.tested.scores_AxK.shape[1]
        return (
            f"about {more} more {'seed' if more == 1 else 'seeds'} an arm would decide it ({POWER:.0%} power "
            f"at {self.seeds_needed} seeds if the effect is what was seen; an estimate)"
        )

    def record(self) -> VerdictRecord:
        """Returns the verdict as it is stored; an interval end that is infinite becomes None."""
        contrast = self.contrast
        return VerdictRecord(
            claim=self.claim.name,
            text=self.claim.text,
            paper=self.claim.paper,
            kind=self.claim.kind,
            margin=self.claim.margin,
            cells=list(self.cells),
            treatment=self.treatment,
            control=self.control,
            verdict=self.verdict,
            reason=self.reason,
            difference=contrast.difference if contrast else None,
            interval=(finite(contrast.low), finite(contrast.high)) if contrast else None,
            interval_level=self.level,
            p=self.p,
            p_corrected=self.p_corrected,
            seeds_needed=self.seeds_needed,
            outlook=self.outlook,
        )


def finite(end: float) -> float | None:
    """Returns the end of an interval, or None where it is infinite."""
    return end if np.isfinite(end) else None


@dataclass(frozen=True)
class Tested:
    """A claim with the scores of its arms [A, K], and what they say."""

    claim: Claim
    comparison: Comparison
    scores_AxK: Scores
    form: Form
    evidence: Evidence

    @cached_property
    def p_values(self) -> tuple[float, float]:
        """Of the claim being supported and of its being contradicted; two-sided."""
        supported, contradicted = self.claim.p_values(self.evidence.above, self.evidence.below)
        return min(1.0, float(supported)), min(1.0, float(contradicted))

    @property
    def leaning(self) -> Verdict:
        """The verdict the scores lean to; inconclusive where they lean to neither."""
        supported, contradicted = self.p_values
        if supported == contradicted:
            return "inconclusive"
        return "supported" if supported < contradicted else "contradicted"

    def seeds_needed(self, level: float) -> int | None:
        """Seeds an arm that would decide the claim the way it leans; None where no affordable number would."""
        if self.leaning == "inconclusive":
            return None
        side = 0 if self.leaning == "supported" else 1
        return seeds_needed(
            self.scores_AxK, self.comparison.effect, self.form, level, lambda *p: self.claim.p_values(*p)[side]
        )


def sentence(judgement: Judgement) -> str:
    """A verdict in one line."""
    found = judgement.contrast
    measured = ""
    if found and judgement.level:
        share = f"{100 * (1 - judgement.level):g}%"
        effect = judgement.claim.effect_name
        measured = f"{effect} {found.difference:+.3f}, {share} interval {found.low:+.3f} to {found.high:+.3f}; "
    told = "; ".join(part for part in (judgement.reason, judgement.outlook) if part)
    standing = judgement.verdict if found else "not tested"
    return f"{standing.upper()}: {judgement.claim.text} ({measured}{told})"


def judge(study: Study, scores: ByCell | Callable[[Claim], ByCell]) -> list[Judgement]:
    """The verdict on every claim of a study.

    Args:
        scores: cell label -> seed -> score, better when higher, or a function that gives it for each claim; a run
            that failed or is still to come has no entry.
    """
    declaration = study.declaration
    level = share(declaration.level, declaration.looks)
    compared = [
        (claim, claim.comparison(study), scores(claim) if callable(scores) else scores) for claim in declaration.claims
    ]
    tested = [test(study, *one) for one in compared]
    p_corrected, ranks = holm(np.array([min(one.p_values) if one else 1.0 for one in tested]))
    judgements = []
    for (claim, arms, own), found, p_holm, rank in zip(compared, tested, p_corrected, ranks, strict=True):
        seeds = shared_seeds(arms, own)
        scores_AxK = arms.scores(own, seeds)
        shown = arms.shown_cells(scores_AxK)
        by_seed = dict(zip(seeds, map(float, arms.effect.by_seed(scores_AxK)), strict=True)) if seeds else {}
        if found is None:
            reason = missing(study, arms, own)
            judgements.append(Judgement(claim, tuple(arms.cells), *shown, by_seed, "inconclusive", reason))
            continue
        decided = found.leaning != "inconclusive" and p_holm <= level
        reason = f"p = {p_holm:.3g} after correction over {len(ranks)} claim{'s'[: len(ranks) > 1]}, "
        reason += f"level {level:g}" if decided else f"above {level:g} with {study.seeds} seeds an arm"
        own_level = level / (len(ranks) - int(rank))
        judgements.append(
            Judgement(
                claim=claim,
                cells=tuple(arms.cells),
                treatment=shown[0],
                control=shown[1],
                by_seed=by_seed,
                verdict=found.leaning if decided else "inconclusive",
                reason=reason,
                contrast=found.evidence.contrast(own_level),
                p=min(found.p_values),
                p_corrected=float(p_holm),
                level=own_level,
                tested=found,
            )
        )
    return judgements


def test(study: Study, claim: Claim, arms: Comparison, scores: ByCell) -> Tested | None:
    """A claim with its evidence; None where a verdict cannot rest on the scores there are."""
    seeds = shared_seeds(arms, scores)
    if study.seeds < SEEDS_MINIMUM or len(seeds) < study.seeds:
        return None
    scores_AxK, form = arms.scores(scores, seeds), study.declaration.form
    return Tested(claim, arms, scores_AxK, form, arms.effect.evidence(scores_AxK, form))


def shared_seeds(arms: Comparison, scores: ByCell) -> list[int]:
    """The seeds that every cell of the arms has a score of."""
    return sorted(set.intersection(*(set(scores.get(label, {})) for label in arms.cells)))


def missing(study: Study, arms: Comparison, scores: ByCell) -> str:
    """Why a claim cannot be judged."""
    there = {label: len(scores.get(label, {})) for label in arms.cells}
    if min(there.values()) == study.seeds:
        return f"{study.seeds} seeds an arm; a verdict needs at least {SEEDS_MINIMUM}"
    counts = ", ".join(f"{n} of {study.seeds} in {arm}" for arm, n in there.items())
    return f"so many runs have what it is about: {counts}; the others failed, are still to come, or have none"
