"""The judgement of one claim: its test, its verdict with an interval, and both in words."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from typing import Literal

import numpy as np

from generators.foundation.numbers import signed_number
from lab.html import html_rows
from studies.declared.claims.claim import Claim
from studies.declared.claims.comparison import Comparison
from studies.declared.claims.guarded import attempted, p_values_of
from studies.ledger.records import VerdictRecord
from studies.statistics.exact import Contrast, Evidence
from studies.statistics.forms.form import TOLERANCE, Form, Scores
from studies.statistics.power import POWER, SEEDS_MAXIMUM, PValue, seeds_needed
from studies.statistics.resolution import resolution

Verdict = Literal["supported", "contradicted", "negligible", "inconclusive"]
UNTESTED = "not tested"


@dataclass(frozen=True)
class ClaimTest:
    """The test of one claim on the scores of its arms [A, K].

    negligible_level: the level of the interval that decides whether the effect is negligible.
    """

    claim: Claim
    comparison: Comparison
    scores_AxK: Scores
    form: Form
    evidence: Evidence
    negligible_level: float

    @cached_property
    def p_values(self) -> tuple[float, float]:
        """The two-sided p values for the verdicts "supported" and "contradicted"."""
        return p_values_of(self.claim, self.evidence.above, self.evidence.below)

    @property
    def p(self) -> float:
        """The smaller of the two p values."""
        return min(self.p_values)

    @property
    def leaning(self) -> Verdict:
        """The verdict with the smaller p value; inconclusive if both are equal."""
        supported, contradicted = self.p_values
        if supported == contradicted:
            return "inconclusive"
        return "supported" if supported < contradicted else "contradicted"

    @property
    def is_negligible(self) -> bool:
        """Tells whether the whole interval at `negligible_level` lies in the claim's range of negligible effects."""
        if self.claim.negligible is None:
            return False
        contrast = self.evidence.contrast(self.negligible_level)
        return max(-contrast.low, contrast.high) < self.claim.negligible - TOLERANCE

    def p_decided(self, level: float, verdicts: Collection[Verdict]) -> Callable[[PValue, PValue], Scores]:
        """Returns a function from p values of shifts to the p value of one of some verdicts and of "negligible".

        Args:
            level: the level that the p value will be compared with; that of "negligible" is scaled to it.
            verdicts: "supported", "contradicted" or both.
        """

        def p_value(above: PValue, below: PValue) -> Scores:
            pair = zip(("supported", "contradicted"), self.claim.p_values(above, below), strict=True)
            negligible = self.claim.p_negligible(above, below) * (level / self.negligible_level)
            return reduce(np.minimum, (p for name, p in pair if name in verdicts), negligible)

        return p_value

    def seeds_needed(self, level: float) -> int | None:
        """Estimates the seeds per arm that would decide the claim the way it leans, or show that its effect is
        negligible; None if too many would.
        """
        if self.leaning == "inconclusive" and self.claim.negligible is None:
            return None
        p_value = self.p_decided(level, [self.leaning])
        return seeds_needed(self.scores_AxK, self.comparison.effect, self.form, level, p_value)


@dataclass(frozen=True, repr=False)
class Judgement:
    """The verdict on one claim, with the numbers that it is based on.

    cells: labels of all cells compared. treatment, control: the two cells to show side by side. by_seed: the effect in
    each seed that all cells have. contrast: the effect and its interval, at `level`. p: two-sided, before Holm's
    correction. A claim that could not be tested has no contrast and no p value; `reason` says why. effect_text,
    margin_text: effect and margin in words. failure: how the kind of claim, from another package, failed; such a claim
    has no cells.
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
    test: ClaimTest | None = field(default=None, compare=False, repr=False)
    effect_text: str = ""
    margin_text: str = ""
    failure: str = ""

    def __repr__(self) -> str:
        return f"<claim {self.claim.name}, {sentence(self)}>"

    def _repr_html_(self) -> str:
        rows: dict[str, object] = {"verdict": standing(self)}
        if self.contrast:
            rows |= {"compared": self.effect_text, self.claim.effect_name: effect_with_interval(self)}
        return html_rows(self.claim.text, {**rows, "reason": self.reason})

    @property
    def seeds_needed(self) -> int | None:
        """The estimated seeds per arm that would decide an inconclusive claim; None if there is no estimate."""
        return None if isinstance(self._estimate, str) else self._estimate

    @cached_property
    def _estimate(self) -> int | str | None:
        """The estimated seeds, or how the kind of claim, from another package, failed to give them."""
        if self.verdict != "inconclusive" or self.test is None or self.level is None:
            return None
        return attempted(self.claim, partial(self.test.seeds_needed, self.level))

    @property
    def seeds_needed_text(self) -> str:
        """The estimated number of seeds that would decide an inconclusive claim, in words; empty for other claims."""
        if self.verdict != "inconclusive" or self.test is None:
            return ""
        if isinstance(self._estimate, str):
            return f"the seeds that would decide it cannot be estimated: {self._estimate}"
        if self.seeds_needed is None:
            condition = "if the true effect is the observed one (an estimate)"
            return f"even {SEEDS_MAXIMUM} seeds per arm would not decide it {condition}"
        more = self.seeds_needed - self.test.scores_AxK.shape[1]
        return (
            f"about {more} more {'seed' if more == 1 else 'seeds'} per arm would decide it ({POWER:z.0%} power "
            f"at {self.seeds_needed} seeds if the true effect is the observed one; an estimate)"
        )

    @cached_property
    def resolution(self) -> float | None:
        """The smallest effect that is found with 80% power at this level and number of seeds, given the scatter of the
        scores; None if there is none, or if the kind of claim comes from another package and failed to give it.
        """
        if self.test is None or self.level is None:
            return None
        test, equivalence = self.test, self.claim.margin_on_both_sides
        margin = 0.0 if equivalence else self.claim.margin or 0.0
        arguments = (test.scores_AxK, test.comparison.effect, test.form, self.level)
        size = attempted(self.claim, partial(resolution, *arguments, margin=margin, equivalence=equivalence))
        return None if isinstance(size, str) else size

    @property
    def resolution_text(self) -> str:
        """The smallest effect that is found with 80% power, in words; empty if there is none."""
        if self.resolution is None:
            return ""
        size = f"{self.resolution:z.2g}"
        if self.claim.margin_on_both_sides:
            return f"with this scatter, equal arms are found equal to within {size} with {POWER:z.0%} power"
        beyond = " beyond the margin" if self.claim.margin else ""
        return f"with this scatter, an effect of {size}{beyond} is found with {POWER:z.0%} power"

    def record(self) -> VerdictRecord:
        """Returns the verdict as it is stored; an infinite end of an interval becomes None."""
        contrast = self.contrast
        return VerdictRecord(
            claim=self.claim.name,
            text=self.claim.text,
            paper=self.claim.paper,
            kind=self.claim.kind,
            margin=self.claim.margin,
            negligible=self.claim.negligible,
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
            outlook=self.seeds_needed_text,
        )


def finite(end: float) -> float | None:
    """Returns the end of an interval, or None if it is infinite."""
    return end if np.isfinite(end) else None


def standing(judgement: Judgement) -> str:
    """Returns the verdict, or `not tested` for a claim without an effect, whose verdict is stored as inconclusive."""
    return judgement.verdict if judgement.contrast else UNTESTED


def effect_with_interval(judgement: Judgement) -> str:
    """Returns an effect with its interval, as `+0.250, 95% interval +0.100 to +0.400`; empty for an untested claim."""
    contrast = judgement.contrast
    if not (contrast and judgement.level):
        return ""
    numbers = (contrast.difference, contrast.low, contrast.high)
    difference, low, high = (signed_number(number, *numbers) for number in numbers)
    return f"{difference}, {100 * (1 - judgement.level):zg}% interval {low} to {high}"


def sentence(judgement: Judgement) -> str:
    """Returns a verdict on one line: the claim, the effect with its interval, and the reason."""
    numbers = effect_with_interval(judgement)
    effect = f"{judgement.claim.effect_name} {numbers}; " if numbers else ""
    reasons = "; ".join(part for part in (judgement.reason, judgement.seeds_needed_text) if part)
    return f"{standing(judgement).upper()}: {judgement.claim.text} ({effect}{reasons})"
