"""Many studies on one page: how many claims hold, the scoreboard, and each study's answer, by chapter.

The page stands in a folder beside the pages of its studies, which it links to by their file names.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from generators.foundation.settings import Tree
from lab.run.files import write_atomically
from reports.exhibits import scoreboard
from reports.exhibits.scoreboard import Line
from reports.frames import formatting as words
from reports.frames.results import Results, read_results
from reports.pages import study as page
from reports.pages.html import filled
from studies.declared.study import Study
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.ledger.scores import scores_for

INDEX = "index.html"


@dataclass(frozen=True)
class Chapter:
    """A part of an index. studies: those that ran. absent: those that did not, by name, with the command that runs
    each."""

    title: str
    text: str
    studies: Sequence[Study]
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A study as an index needs it; its runs are not kept. minutes: of one core, all runs together."""

    study: Study
    page: str
    answer: str
    cautions: list[str]
    judgements: list[Judgement]
    ended: int
    complete: int
    minutes: float

    @property
    def link(self) -> str:
        """Its page, from one beside it."""
        return quote(self.page)

    def lines(self, start: int = 1) -> list[Line]:
        """Its claims, as the scoreboard numbers them."""
        return [
            Line(number, self.study, one, self.minutes, self.link) for number, one in enumerate(self.judgements, start)
        ]


@dataclass
class Index:
    """Studies in chapters. asked: the names it was asked for by. entries: those of the studies of the chapters, by name
    and scale, in their order."""

    title: str
    sentence: str
    chapters: Sequence[Chapter]
    asked: Sequence[str]
    entries: dict[tuple[str, str], Entry]

    @property
    def lines(self) -> list[Line]:
        """The scoreboard: every claim, in the order of the chapters."""
        found: list[Line] = []
        for entry in self.entries.values():
            found += entry.lines(len(found) + 1)
        return found


def page_name(study: Study) -> str:
    """The file of a study's page."""
    return f"{study.name}-{study.scale}.html"


def judged(home: Path, study: Study) -> tuple[Results, list[Judgement]]:
    """A study as it stands."""
    results = read_results(home, study)
    return results, judge(study, scores_for(study, results.cells))


def write_page(home: Path, study: Study, path: Path, refresh_seconds: int | None = None) -> Entry:
    """Write a study's page."""
    results, judgements = judged(home, study)
    write_atomically(path, page.render(results, judgements, home, refresh_seconds).encode())
    return entry_of(results, judgements, home, path.name)


def entry_of(results: Results, judgements: list[Judgement], home: Path, page: str = "") -> Entry:
    """What an index says of a study."""
    seconds = results.runs[["train_seconds", "evaluate_seconds"]].sum().sum()
    return Entry(
        study=results.study,
        page=page,
        answer=words.answer(results, judgements),
        cautions=words.cautions(results, home),
        judgements=judgements,
        ended=results.ended,
        complete=results.complete,
        minutes=float(seconds) / 60,
    )


def write_index(folder: Path, index: Index, refresh_seconds: int | None = None) -> None:
    """Write the index into the folder that the pages of its studies stand in."""
    write_atomically(folder / INDEX, render(index, refresh_seconds).encode())


def render(index: Index, refresh_seconds: int | None = None) -> str:
    """The index, as text."""
    lines = index.lines
    found = [words.standing(line.judgement) for line in lines]
    return filled(
        "index.html",
        index.title,
        refresh_seconds,
        sentence=index.sentence,
        answer=words.sentence(words.tally(found)) if lines else "No study has run yet.",
        counts=[
            (one, found.count(one)) for one in (*words.VERDICTS, words.UNTESTED) if one in (*words.VERDICTS, *found)
        ],
        cautions=list(cautions(index.entries.values())),
        claims=scoreboard.claims(lines),
        effects=scoreboard.effects(lines),
        figure=Markup(scoreboard.drawn(lines)) if lines else "",
        chapters=[chapter(index, each) for each in index.chapters],
        commands=commands(index),
    )


def chapter(index: Index, one: Chapter) -> Tree:
    """A chapter as the template shows it."""
    lines: dict[tuple[str, str], list[Line]] = {}
    for line in index.lines:
        lines.setdefault((line.study.name, line.study.scale), []).append(line)
    keys = [(study.name, study.scale) for study in one.studies]
    shown = [(index.entries[key], [claim(line) for line in lines.get(key, [])]) for key in keys]
    return {"title": one.title, "text": one.text, "studies": shown, "absent": one.absent}


def claim(line: Line) -> Tree:
    """A claim beneath its study."""
    one, found = line.judgement, line.judgement.contrast
    effect = words.signed(found.difference, found.low, found.high) if found else ""
    said = f"{effect} on {line.measure}, {words.interval(one)}" if found else one.reason
    return {"number": line.number, "verdict": words.standing(one), "text": one.claim.text, "said": said}


def cautions(entries: Iterable[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """Why the evidence is thin: what is to be said, and of which studies."""
    said: dict[str, list[Entry]] = {}
    for entry in entries:
        for caution in entry.cautions:
            said.setdefault(caution, []).append(entry)
    yield from said.items()


def commands(index: Index) -> list[str]:
    """The commands that write this page, and its data, again."""
    scales = {study.scale for chapter in index.chapters for study in chapter.studies}
    at = f" --scale {scales.pop()}" if len(scales) == 1 else ""
    said = " ".join(["", *map(shlex.quote, index.asked)])
    return [f"lab report{said}{at}", f"lab results{said}{at} --out runs.csv"]
