"""Judges the claims of a study: each gets a verdict from the interval of its effect.

Every kind of claim has one effect (studies/declared/claims/). Its interval, which inverts an exact two-sided test,
decides:

    equivalence    supported: the interval is inside +-margin; contradicted: it is outside
    every other    supported: the interval is above the margin, or above zero without one; contradicted: below

A claim about `solved`, which is 0 or 1 in every run, compares shares of runs (studies/statistics/forms/shares.py). The
effects of other measures are shifts of scores.

A claim of which neither holds is negligible if it declares `negligible` and its interval at the level of the look,
divided by the number of the study's claims, lies within +-negligible. This level depends on no other claim's verdict,
so that the probability that any effect of at least that size is called negligible is at most half the study's level.

Anything else is inconclusive; an equivalence is never concluded from a test that failed to find a difference. The
interval is that of a shift: if an arm changes how many runs learn, few seeds support an equivalence too easily
(docs/statistics.md gives the error rates).

Levels are corrected over the study's claims by Holm's method, and each interval is at the level at which its claim was
judged: with two claims and a level of 0.05, it is a 97.5% interval for the claim with the smaller p value. A study that
declares `looks` divides its level among the looks (studies/statistics/interim.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from generators.foundation.outside import note_once
from studies.declared.claims.claim import Claim
from studies.declared.claims.comparison import Comparison
from studies.declared.claims.guarded import attempted, comparison_of, texts_of
from studies.declared.measures import form_of
from studies.declared.study import Study
from studies.judging.judgement import ClaimTest, Judgement, Verdict
from studies.statistics.exact import SEEDS_MINIMUM, holm
from studies.statistics.forms.form import Scores
from studies.statistics.interim import level_per_look, looks_until

Obstacle = Callable[[Sequence[str]], str]
"""Labels of cells -> the reason why their runs cannot be compared, empty if they can."""
ScoresByCell = Mapping[str, Mapping[int, float]]
"""Cell label -> seed -> score, better when higher; a run that failed or has not ended has no entry."""


@dataclass(frozen=True)
class ComparedClaim:
    """A claim with its comparison and the scores of all cells.

    Attributes:
        lacking: why runs lack its measure; may be empty.
        obstacle: why its cells cannot be compared; empty if they can.
    """

    claim: Claim
    comparison: Comparison
    scores: ScoresByCell
    lacking: str = ""
    obstacle: str = ""

    @property
    def seeds(self) -> list[int]:
        """The seeds in which every cell of the comparison has a score."""
        return sorted(set.intersection(*(set(self.scores.get(label, {})) for label in self.comparison.cells)))

    @property
    def scores_AxK(self) -> Scores:
        """The scores of the arms in those seeds."""
        return self.comparison.scores(self.scores, self.seeds)


def no_reason(subject: object) -> str:
    """Returns an empty reason: nothing prevents a test."""
    return ""


def judge(
    study: Study,
    scores: ScoresByCell | Callable[[Claim], ScoresByCell],
    reason_lacking: Callable[[Claim], str] = no_reason,
    obstacle: Obstacle = no_reason,
) -> list[Judgement]:
    """Returns the verdict on every claim of a study, in the order of the file.

    A claim whose kind comes from another package and fails is not tested; the others are judged as if it had p = 1. A
    study with looks is judged at each of them in turn, at each on the first seeds alone: a claim has the verdict of the
    look that decided it, or else of the last look whose seeds have run. Holm's correction at a later look is over the
    claims that are neither supported nor contradicted yet: those whose effect was negligible still count, because their
    hypotheses were not rejected.

    Args:
        scores: the scores for every claim, or a function that returns the scores for one claim.
        reason_lacking: returns why runs lack the measure of a claim, or an empty text.
        obstacle: returns why cells cannot be compared, or an empty text; a claim about them is not tested.
    """
    standing: dict[str, Judgement] = {}
    for look in looks_until(study.seeds, study.declaration.looks):
        still_open = [
            claim
            for claim in study.declaration.claims
            if claim.name not in standing or standing[claim.name].verdict == "inconclusive"
        ]
        negligible = sum(judgement.verdict == "negligible" for judgement in standing.values())
        judgements = _judge_at(replace(study, seeds=look), still_open, negligible, scores, reason_lacking, obstacle)
        for claim, judgement in zip(still_open, judgements, strict=True):
            if judgement.contrast is not None or claim.name not in standing:
                standing[claim.name] = judgement
    return [standing[claim.name] for claim in study.declaration.claims]


def _judge_at(
    study: Study,
    claims: Sequence[Claim],
    negligible: int,
    scores: ScoresByCell | Callable[[Claim], ScoresByCell],
    reason_lacking: Callable[[Claim], str],
    obstacle: Obstacle,
) -> list[Judgement]:
    """Judges claims on the first seeds of a study, as many as it has.

    Args:
        negligible: the number of claims that earlier looks found negligible, which Holm's correction also counts.
    """

    judged = study.fresh_seeds(0, study.seeds)

    def case_of(claim: Claim) -> tuple[ComparedClaim, ClaimTest | None, float]:
        every_seed = scores(claim) if callable(scores) else scores
        by_cell = {cell: {k: v for k, v in seeds.items() if k in judged} for cell, seeds in every_seed.items()}
        comparison = comparison_of(claim, study)
        compared = ComparedClaim(claim, comparison, by_cell, reason_lacking(claim), obstacle(comparison.cells))
        test = claim_test(study, compared)
        return compared, test, test.p if test else 1.0

    cases = [attempted(claim, partial(case_of, claim)) for claim in claims]
    p_values = [1.0 if isinstance(case, str) else case[2] for case in cases]
    p_corrected, ranks = holm(np.array(p_values + [1.0] * negligible))
    judgements, corrected_over = [], len(p_corrected)
    for claim, case, p, rank in zip(claims, cases, p_corrected, ranks, strict=False):
        if isinstance(case, str):
            judgements.append(broken(claim, case))
            continue
        judgement = attempted(claim, partial(judgement_of, study, corrected_over, *case[:2], float(p), int(rank)))
        judgements.append(broken(claim, judgement) if isinstance(judgement, str) else judgement)
    return judgements


def broken(claim: Claim, failure: str) -> Judgement:
    """Returns the judgement of a claim whose kind failed, and writes the failure to standard error."""
    note_once(f"claim {claim.name} is not tested: {failure}")
    return Judgement(claim, (), "", "", {}, "inconclusive", failure, failure=failure)


def judgement_of(
    study: Study, claims: int, compared: ComparedClaim, test: ClaimTest | None, p_corrected: float, rank: int
) -> Judgement:
    """Returns the verdict on one claim from its p value, corrected over `claims`, and its rank in Holm's order."""
    claim, comparison, seeds = compared.claim, compared.comparison, compared.seeds
    treatment, control = comparison.shown_cells(compared.scores_AxK)
    effects_K = comparison.effect.by_seed(compared.scores_AxK).tolist() if seeds else []
    by_seed = dict(zip(seeds, effects_K, strict=True))
    cells, texts = tuple(comparison.cells), texts_of(claim, study, treatment, control)
    if test is None:
        reason = reason_not_tested(study, compared)
        untested = Judgement(claim, cells, treatment, control, by_seed, "inconclusive", reason)
        return replace(untested, effect_text=texts[0], margin_text=texts[1])
    level = level_per_look(study.declaration.level, study.declaration.looks)
    look = f", at the look at {study.seeds} seeds" if study.declaration.looks else ""
    decided = test.leaning != "inconclusive" and p_corrected <= level
    threshold = f"level {level:z.4g}" if decided else f"above {level:z.4g} with {study.seeds} seeds per arm"
    reason = f"p = {p_corrected:z.3g} after correction over {claims} claim{'s'[: claims > 1]}, {threshold}"
    verdict: Verdict = test.leaning if decided else "inconclusive"
    interval_level = level / (claims - rank)
    if verdict == "inconclusive" and test.is_negligible:
        verdict, interval_level = "negligible", test.negligible_level
        reason = f"the {100 * (1 - interval_level):zg}% interval lies within ±{claim.negligible:zg}"
    return Judgement(
        claim=claim,
        cells=cells,
        treatment=treatment,
        control=control,
        by_seed=by_seed,
        verdict=verdict,
        reason=reason if verdict == "inconclusive" else f"{reason}{look}",
        contrast=test.evidence.contrast(interval_level),
        p=test.p,
        p_corrected=p_corrected,
        level=interval_level,
        test=test,
        effect_text=texts[0],
        margin_text=texts[1],
    )


def claim_test(study: Study, compared: ComparedClaim) -> ClaimTest | None:
    """Tests a claim; None if its arms lack scores or cannot be compared, or the study has too few seeds."""
    if compared.obstacle or study.seeds < SEEDS_MINIMUM or len(compared.seeds) < study.seeds:
        return None
    form, scores_AxK = form_of(study.declaration, compared.claim, compared.comparison), compared.scores_AxK
    evidence = compared.comparison.effect.evidence(scores_AxK, form)
    level = level_per_look(study.declaration.level, study.declaration.looks) / len(study.declaration.claims)
    return ClaimTest(compared.claim, compared.comparison, scores_AxK, form, evidence, level)


def reason_not_tested(study: Study, compared: ComparedClaim) -> str:
    """Returns why a claim could not be tested."""
    if compared.obstacle:
        return compared.obstacle
    counts = {label: len(compared.scores.get(label, {})) for label in compared.comparison.cells}
    if min(counts.values()) == study.seeds:
        return f"{study.seeds} seeds per arm; a verdict needs at least {SEEDS_MINIMUM}"
    listed = ", ".join(f"{count} of {study.seeds} in {label}" for label, count in counts.items())
    reason = f"too few runs have this metric: {listed}; the others failed, have not ended, or lack it"
    return f"{reason}; {compared.lacking}" if compared.lacking else reason
