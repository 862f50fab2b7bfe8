"""Summaries of studies for the index page."""

from dataclasses import dataclass
from urllib.parse import quote

from reports.frames.claim_lines import ClaimLine, claim_lines
from reports.frames.wording import answer, cautions
from studies.declared.study import Study
from studies.judging.controls import is_as_expected
from studies.judging.judgement import Judgement, standing
from studies.reading.judged import JudgedStudy


@dataclass(frozen=True)
class StudySummary:
    """A study without its runs.

    Attributes:
        study: the study.
        page: file name of its page, or empty.
        answer: the verdicts on its claims in one sentence; of a control, also whether they are as they should be.
        cautions: reasons to read the verdicts with caution.
        judgements: the verdict on each claim.
        ended: number of runs that have a score or a failure.
        complete: number of runs that have a score.
        planned: number of runs of the study, without those that turned out not to be needed.
        minutes: training and evaluation of all runs, on one core.
    """

    study: Study
    page: str
    answer: str
    cautions: list[str]
    judgements: list[Judgement]
    ended: int
    complete: int
    planned: int
    minutes: float

    @property
    def link(self) -> str:
        """The address of the study's page, relative to a page in the same folder."""
        return quote(self.page)

    def lines(self, start: int = 1) -> list[ClaimLine]:
        """Returns its claims, numbered from `start`."""
        return claim_lines(self.study, self.judgements, self.minutes, start=start, link=self.link)


def summarise(judged: JudgedStudy, page: str = "") -> StudySummary:
    """Returns the summary of a study.

    Args:
        judged: the study.
        page: file name of its page.
    """
    results = judged.results
    seconds = results.runs[["train_seconds", "evaluate_seconds"]].sum().sum()
    return StudySummary(
        study=results.study,
        page=page,
        answer=answer(results, judged.judgements) + _standing_of_control(judged),
        cautions=cautions(results),
        judgements=judged.judgements,
        ended=results.ended,
        complete=results.complete,
        planned=results.planned,
        minutes=float(seconds) / 60,
    )


def _standing_of_control(judged: JudgedStudy) -> str:
    """Returns whether the verdicts of a control are as they should be; empty until it ends, and for other studies."""
    kind = judged.results.study.declaration.control
    if kind is None or not judged.results.finished:
        return ""
    expected = is_as_expected(kind, [standing(judgement) for judgement in judged.judgements])
    return f" ({kind} control, {'as' if expected else 'not as'} it should be)"
