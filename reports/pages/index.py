"""Many studies on one page: how many claims hold, the scoreboard, and the answer of each study, by chapter.

The page lies in one folder with the pages of its studies, and links to them by file name.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.run.files import write_atomically
from reports.exhibits.drawn import ExhibitProblems, drawn_on
from reports.frames.claim_lines import ClaimLine
from reports.frames.matrix.results import MatrixResults
from reports.frames.numbers import signed
from reports.frames.study_summary import StudySummary
from reports.frames.text import as_sentence
from reports.frames.wording import VERDICTS, interval, tally
from reports.pages.html import fill_template
from studies.declared.study import Study
from studies.judging.controls import Control, controls_text
from studies.judging.judgement import UNTESTED, standing

INDEX = "index.html"


@dataclass(frozen=True)
class IndexChapter:
    """A part of an index.

    Attributes:
        title: heading.
        text: paragraph below it, or empty.
        studies: the studies that ran.
        absent: name of each study that did not run -> the command that runs it.
    """

    title: str
    text: str
    studies: Sequence[Study]
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass
class StudyIndex:
    """Studies in chapters.

    Attributes:
        title: of the page.
        question: the question that all of them answer.
        chapters: in order.
        requested: the names that the user gave.
        summaries: (name, scale) -> summary of each study, in the order of the chapters.
        left_out: name of a study that cannot be read -> why.
        controls: the controls of the catalog, with their verdicts in the home of the studies.
        matrix: the results of a matrix, whose exhibits replace the scoreboard; None for any other index.
    """

    title: str
    question: str
    chapters: Sequence[IndexChapter]
    requested: Sequence[str]
    summaries: dict[tuple[str, str], StudySummary]
    left_out: Mapping[str, str] = field(default_factory=dict)
    controls: Sequence[Control] = ()
    matrix: MatrixResults | None = None

    @property
    def lines(self) -> list[ClaimLine]:
        """All claims, numbered in the order of the chapters."""
        lines: list[ClaimLine] = []
        for summary in self.summaries.values():
            lines += summary.lines(len(lines) + 1)
        return lines


@dataclass(frozen=True)
class ClaimEntry:
    """A claim as the index lists it under its study."""

    number: int
    verdict: str
    text: str
    details: str


def write_index(
    folder: Path, index: StudyIndex, refresh_seconds: int | None = None, problems: ExhibitProblems | None = None
) -> None:
    """Writes an index into the folder of its studies' pages. Its arguments are those of `render_index`."""
    write_atomically(folder / INDEX, render_index(index, refresh_seconds, problems).encode())


def render_index(index: StudyIndex, refresh_seconds: int | None = None, problems: ExhibitProblems | None = None) -> str:
    """Returns an index.

    Args:
        index: the studies.
        refresh_seconds: interval after which a browser loads the page again, while studies are still running.
        problems: collects the exhibits of other packages that the page cannot show, with the reasons.
    """
    problems = problems or ExhibitProblems()
    lines = index.lines
    verdicts = [standing(line.judgement) for line in lines]
    source = index.matrix or lines
    sections = drawn_on("matrix" if index.matrix else "index", source, problems) if source else {}
    return fill_template(
        "index.html",
        index.title,
        refresh_seconds,
        question=index.question,
        answer=as_sentence(tally(verdicts)) if lines else "No study has run yet.",
        counts=[
            (verdict, verdicts.count(verdict)) for verdict in (*VERDICTS, UNTESTED) if verdict in (*VERDICTS, *verdicts)
        ],
        controls=controls_text(index.controls) if index.controls else "",
        cautions=_cautions(index.summaries.values()),
        left_out=index.left_out,
        left_out_exhibits=problems.left_out,
        sections=sections,
        chapters=[(chapter, _studies(index, chapter, lines)) for chapter in index.chapters],
        commands=_commands(index),
    )


def _studies(
    index: StudyIndex, chapter: IndexChapter, lines: Sequence[ClaimLine]
) -> list[tuple[StudySummary, list[ClaimEntry]]]:
    """Returns the studies of a chapter with their claims."""
    return [
        (
            index.summaries[study.name, study.scale],
            [_entry(line) for line in lines if (line.study.name, line.study.scale) == (study.name, study.scale)],
        )
        for study in chapter.studies
    ]


def _entry(line: ClaimLine) -> ClaimEntry:
    judgement, contrast, details = line.judgement, line.judgement.contrast, line.judgement.reason
    if contrast:
        effect = signed(contrast.difference, contrast.low, contrast.high)
        details = f"{effect} on {line.measure}, {interval(judgement)}"
    return ClaimEntry(line.number, standing(judgement), judgement.claim.text, details)


def _cautions(summaries: Iterable[StudySummary]) -> list[tuple[str, list[StudySummary]]]:
    """Returns each caution with the studies it concerns.

    Cautions that differ only in the name of their study, as in the command that it advises, are one with NAME in place.
    """
    groups: dict[str, list[tuple[str, StudySummary]]] = {}
    for summary in summaries:
        for caution in summary.cautions:
            groups.setdefault(caution.replace(summary.study.name, "NAME"), []).append((caution, summary))
    return [
        (general if len(dict(group)) > 1 else group[0][0], [summary for _, summary in group])
        for general, group in groups.items()
    ]


def _commands(index: StudyIndex) -> list[str]:
    """Returns the commands that write this page and its data."""
    scales = {study.scale for chapter in index.chapters for study in chapter.studies}
    option = f" --scale {shlex.quote(scales.pop())}" if len(scales) == 1 else ""
    names = " ".join(["", *map(shlex.quote, index.requested)])
    return [f"lab report{names}{option}", f"lab results{names}{option} --out runs.csv"]
