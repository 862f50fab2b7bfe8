"""The cards at the top of a study's page, one for each claim."""

from dataclasses import dataclass

from reports.frames.numbers import signed, unsigned
from reports.frames.summaries import CellScore, scores_judged
from reports.frames.wording import interval, measure_name, shortcut_comparison
from reports.pages.metrics import anchor_of
from studies.declared.measures import Measure, measure_of
from studies.judging.judgement import Judgement, standing
from studies.reading.judged import JudgedStudy
from studies.reading.labels import Labels
from studies.reading.results import Results


@dataclass(frozen=True)
class ClaimCard:
    """One claim as its card shows it.

    Attributes:
        verdict: supported, contradicted, inconclusive or not tested.
        text: the claim.
        paper: what the paper reports.
        effect_name: the kind of effect.
        effect: the measured effect, or `not tested`.
        interval: its interval and the margin; for an unfinished study the difference so far.
        reason: the reason for the verdict, and the number of seeds that would decide an inconclusive claim.
        measure: the measure that the claim is about.
        anchor: the id of its definition on the page.
        direction: a note that lower is better; empty if higher is better.
        arms: label and mean of each cell.
        shortcut: the arms relative to the shortcut, or empty.
    """

    verdict: str
    text: str
    paper: str
    effect_name: str
    effect: str
    interval: str
    reason: str
    measure: str
    anchor: str
    direction: str
    arms: list[tuple[str, str]]
    shortcut: str


def claim_cards(judged: JudgedStudy) -> list[ClaimCard]:
    """Returns the cards of a study's claims."""
    return [_card(judged.results, judgement) for judgement in judged.judgements]


def _card(results: Results, judgement: Judgement) -> ClaimCard:
    claim, contrast, labels = judgement.claim, judgement.contrast, Labels(results.study)
    measure = measure_of(results.study.declaration, claim)
    table = scores_judged(results, judgement)
    arms = [table[label] for label in judgement.cells]
    interval_text = interval(judgement) or _difference_so_far(results, judgement, measure, arms)
    absent = "no score" if results.finished else "no score yet"
    means = [unsigned(arm.mean, *(other.mean for other in arms)) if arm.seeds else absent for arm in arms]
    return ClaimCard(
        verdict=standing(judgement),
        text=claim.text,
        paper=claim.paper,
        effect_name=claim.effect_name,
        effect=signed(contrast.difference, contrast.low, contrast.high) if contrast else "not tested",
        interval=", ".join(part for part in (interval_text, judgement.margin_text) if part),
        reason="; ".join(filter(None, (judgement.reason, judgement.resolution_text, judgement.seeds_needed_text))),
        anchor=anchor_of(measure),
        measure=measure_name(measure, labels),
        direction="" if measure.sign > 0 else "lower is better; effects are sign-flipped",
        arms=[(labels.arm(arm.cell), mean) for arm, mean in zip(arms, means, strict=True)],
        shortcut=shortcut_comparison(results, judgement),
    )


def _difference_so_far(results: Results, judgement: Judgement, measure: Measure, arms: list[CellScore]) -> str:
    """Returns the difference between the means of the two arms of an untested claim while its study is unfinished.

    Returns an empty string if the study is finished, the claim does not compare two arms, or an arm has no score yet.
    """
    if results.finished or judgement.contrast or not judgement.claim.two_arms or len(arms) != 2:
        return ""
    if not all(arm.seeds for arm in arms):
        return ""
    return f"so far {signed(measure.sign * (arms[0].mean - arms[1].mean))}"
