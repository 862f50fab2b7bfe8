"""Writes what `lab report` requests: a study's page, or the pages of several studies and their index."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from generators.foundation.outputs import check_output_file, check_output_folder, make_output_folder
from generators.foundation.settings import Tree
from reports.exhibits.drawn import ExhibitProblems
from reports.frames.matrix.results import read_matrix
from reports.frames.numbers import plural
from reports.frames.selection import stored_studies
from reports.frames.study_summary import StudySummary
from reports.frames.wording import VERDICTS
from reports.pages.index import INDEX, IndexChapter, StudyIndex, write_index
from reports.pages.study import page_name, write_page
from studies.declared.collection import is_collection
from studies.declared.names import run_command_line
from studies.declared.study import Study
from studies.judging.controls import controls_in, controls_text
from studies.judging.judgement import UNTESTED, sentence, standing
from studies.ledger.arguments import checked_names
from studies.ledger.collection_members import collection_in
from studies.ledger.folder import StudyFolder
from studies.ledger.left_out import LeftOut
from studies.reading.portable import portable

PAGE_ENDINGS = (".html",)
SummaryKey = tuple[str, str]
"""Name and scale of a study."""


@dataclass
class ReportWriter:
    """Writes pages of stored studies; each call reads the store again.

    Args:
        home: the lab's home.
        names: studies or collections; empty for all stored studies.
        scale: the scale; None for the one that ran last.
        out: the file of one study's page, or the folder of several; None for `reports` in the home.
    """

    home: Path
    names: list[str]
    scale: str | None
    out: Path | None
    written: dict[SummaryKey, tuple[list[int], StudySummary]] = field(default_factory=dict)
    """Summaries of the pages written so far, with the times of the files they were written from."""
    failures: dict[Path, list[str]] = field(default_factory=dict)
    """Page -> the exhibits of other packages that could not be drawn when it was last written."""
    left_out: LeftOut = field(init=False)
    """The studies that cannot be read."""

    def __post_init__(self) -> None:
        self._check_out()
        self.checked = checked_names(self.home, self.names, self.scale)
        self.left_out = LeftOut.among(self.checked, self.scale, self.home)

    @property
    def single(self) -> bool:
        """True if one page of one study was requested."""
        return len(self.names) == 1 and not is_collection(self.names[0])

    @property
    def studies(self) -> list[Study]:
        """The requested studies that ran."""
        return stored_studies(self.home, self.checked, self.scale, self.left_out)

    @property
    def folders(self) -> list[StudyFolder]:
        """The stored files of these studies."""
        return [StudyFolder(self.home, study.name, study.scale) for study in self.studies]

    @property
    def ended(self) -> bool:
        """True once all of these studies have been judged."""
        return all(folder.has_verdicts for folder in self.folders if folder.name not in self.left_out.reasons)

    @cached_property
    def target(self) -> Path:
        """The file of one page, or the folder of several; the folder is created if it is missing.

        Raises:
            UserError: it cannot be created.
        """
        target = self.place
        if self.single and not self.names_file:
            target = target / page_name(self.studies[0])
        make_output_folder("--out", self.out or self.place, target.parent if self.single else target)
        return target

    @property
    def place(self) -> Path:
        """The file or folder that the user gave, or the usual folder."""
        return (self.out or self.home / "reports").absolute()

    @property
    def names_file(self) -> bool:
        """True if the user gave the file of a page."""
        return self.out is not None and bool(self.out.suffix) and not os.path.isdir(self.out)

    @property
    def failed_exhibits(self) -> list[str]:
        """A sentence for each exhibit of another package that could not be drawn on the pages as last written."""
        return [sentence for sentences in self.failures.values() for sentence in sentences]

    def _check_out(self) -> None:
        """Checks the output before anything is read.

        Raises:
            UserError: it has another ending than a page, or cannot be written to.
        """
        if self.single and self.names_file:
            check_output_file("--out", self.out or self.place, PAGE_ENDINGS, ", or be a folder")
        else:
            check_output_folder("--out", self.out or self.place)

    def write(self, refresh_seconds: int | None = None) -> tuple[Tree, list[str]]:
        """Writes the pages.

        Args:
            refresh_seconds: interval after which a browser loads them again; None for never.

        Returns:
            what was written, as JSON types and as lines of text.
        """
        return (self._write_single_page if self.single else self._write_several)(refresh_seconds)

    def _write_single_page(self, refresh_seconds: int | None) -> tuple[Tree, list[str]]:
        study, path = self.studies[0], self.target
        summary = self._write_page(study, path, refresh_seconds)
        value = {"report": str(path), "study": study.name, "scale": study.scale, "runs": summary.complete}
        runs = f"{summary.complete} of {summary.planned} runs complete"
        lines = [*map(sentence, summary.judgements), runs, f"page: {path}"]
        return value | {"verdicts": _verdicts(summary), "failed_exhibits": self.failed_exhibits}, lines

    def _write_page(self, study: Study, path: Path, refresh_seconds: int | None) -> StudySummary:
        problems = ExhibitProblems()
        summary = write_page(self.home, study, path, refresh_seconds, problems)
        self.failures[path] = problems.failures
        return summary

    def _write_several(self, refresh_seconds: int | None) -> tuple[Tree, list[str]]:
        summaries: dict[SummaryKey, StudySummary] = {}
        for study, folder in zip(self.studies, self.folders, strict=True):
            key = study.name, study.scale
            times = [path.stat().st_mtime_ns for path in folder.files()]
            with self.left_out.unless_readable(study.name):
                if self.written.get(key, ([], None))[0] != times or refresh_seconds is None:
                    path = self.target / page_name(study)
                    self.written[key] = times, self._write_page(study, path, refresh_seconds)
                summaries[key] = self.written[key][1]
        self.left_out.check_any(summaries)
        index, problems, path = self._index(summaries), ExhibitProblems(), self.target / INDEX
        write_index(self.target, index, refresh_seconds, problems)
        self.failures[path] = problems.failures
        value = {"index": str(path), "pages": {summary.page: _verdicts(summary) for summary in summaries.values()}}
        value |= {"left_out": self.left_out.reasons, "failed_exhibits": self.failed_exhibits}
        width = max(22, *(len(summary.study.name) + 2 for summary in summaries.values()))
        lines = [f"{summary.study.name:<{width}}{summary.answer}" for summary in summaries.values()]
        return value, [*lines, *_totals(index), f"index: {path}"]

    def _index(self, summaries: dict[SummaryKey, StudySummary]) -> StudyIndex:
        title, question = "Studies of multi-token prediction", "Which claims hold?"
        matrix = None
        if len(self.names) == 1:
            collection = collection_in(self.names[0], self.scale, self.home)
            title, question = collection.declaration.title, collection.declaration.question
            if collection.matrix is not None:
                matrix = read_matrix(self.home, collection.name, summaries.values())
        left_out = {name: portable(reason, self.home) for name, reason in self.left_out.reasons.items()}
        chapters = list(self._chapters(summaries))
        return StudyIndex(title, question, chapters, self.names, summaries, left_out, controls_in(self.home), matrix)

    def _chapters(self, summaries: dict[SummaryKey, StudySummary]) -> Iterator[IndexChapter]:
        """Yields the chapters of the one collection requested, or a single chapter."""
        studies = {summary.study.name: summary.study for summary in summaries.values()}
        if len(self.names) != 1:
            yield IndexChapter("The studies", "", list(studies.values()))
            return
        scale = self.scale or next(iter(studies.values())).scale
        for chapter in collection_in(self.names[0], self.scale, self.home).chapters:
            ran = [studies[member.study] for member in chapter.studies if member.study in studies]
            absent = {
                member.study: run_command_line(member.study, scale)
                + "".join(f" --set {key}=..." for key in member.needs)
                for member in chapter.studies
                if member.study not in studies and member.study not in self.left_out.reasons
            }
            yield IndexChapter(chapter.title, chapter.text, ran, absent)


def _totals(index: StudyIndex) -> list[str]:
    """Returns the lines that sum up an index: what did not run, studies, runs, claims by verdict, and controls."""
    summaries = index.summaries.values()
    absent = [name for chapter in index.chapters for name in chapter.absent]
    lines = [f"not run here: {', '.join(absent)}"] if absent else []
    runs = plural(sum(summary.complete for summary in summaries), "run")
    verdicts = Counter(standing(line.judgement) for line in index.lines)
    counts = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in (*VERDICTS, UNTESTED))
    lines += [f"{plural(len(summaries), 'study')}, {runs}, {plural(len(index.lines), 'claim')}: {counts}"]
    if any(summary.study.declaration.control for summary in summaries):
        lines += [controls_text(index.controls)]
    return lines


def _verdicts(summary: StudySummary) -> list[Tree]:
    return [judgement.record().tree() for judgement in summary.judgements]
