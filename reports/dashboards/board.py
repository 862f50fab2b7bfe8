"""What is stored, as trials for optuna-dashboard: one optuna study a lab study and scale, one trial a run.

A reader. The storage is in memory and made anew at every start, so that nothing beside the runs is written and no
file is shared with the process that runs the study. A board looks again every few seconds: runs that ended since, or
got further, are added, which is what makes it live beside a sweep. One thread looks, and nothing else writes.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from math import ceil
from pathlib import Path
from typing import Protocol
from urllib.parse import quote
from warnings import catch_warnings, simplefilter

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from generators.foundation.errors import UserError
from generators.foundation.options import note
from generators.foundation.settings import Tree
from lab.run.store import ENVIRONMENT, METRICS, RESULT, SPEC, TIMING, RunFolder
from reports.frames import formatting as words
from studies.declared.study import Study
from studies.ledger.declared_study import find_study
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord, RunRecord, VerdictRecord

PAGES = "/reports/"
CURVES_MAXIMUM = 500
Trials = Iterator[tuple[Hashable, Callable[[], FrozenTrial]]]
"""What tells a trial from the others, and how it is made; it is made again until it has ended."""


@dataclass(frozen=True)
class Shape:
    """What an optuna study is beside its trials; where it changes, the study is shown anew."""

    name: str
    directions: tuple[StudyDirection, ...]
    values: tuple[str, ...]
    said: dict[str, str]
    made_of: object = None


class Source(Protocol):
    """Something stored that is shown as one optuna study."""

    @property
    def folder(self) -> Path:
        """Where it is stored."""

    def files(self) -> Iterable[Path]:
        """The files that are written whenever anything changed, except in runs that have not ended."""

    def read(self) -> tuple[Shape, Trials, str]:
        """What it is, its trials in order, and its note in Markdown."""


@dataclass
class Shown:
    """What is shown of a source. running: the trials that have not ended, with their numbers in the storage."""

    shape: Shape
    number: int
    ended: set[Hashable] = field(default_factory=set)
    running: dict[Hashable, int] = field(default_factory=dict)
    stamp: tuple[int, ...] = ()
    note: str = ""


class Board:
    """Everything shown.

    Args:
        find: the sources there are at this moment.
    """

    def __init__(self, find: Callable[[], Sequence[Source]]) -> None:
        self.find = find
        self.storage = InMemoryStorage()
        self.shown: dict[Path, Shown] = {}
        self.told: set[str] = set()

    def look(self) -> None:
        """Add what is new. What cannot be read is told once, and does not keep the others from being shown."""
        for source in self.find():
            try:
                self._look(source)
            except OSError:  # a file was taken away meanwhile, as shards are when a study ends: the next look tells
                continue
            except UserError as error:
                if str(error) not in self.told:
                    self.told.add(str(error))
                    note(f"lab: {error}")

    def studies(self) -> list[optuna.Study]:
        """What is shown, in order."""
        return [optuna.load_study(study_name=one.shape.name, storage=self.storage) for one in self.shown.values()]

    def _look(self, source: Source) -> None:
        shown = self.shown.get(source.folder)
        stamp = tuple(path.stat().st_mtime_ns for path in source.files())
        if shown and shown.stamp == stamp and not shown.running:
            return
        shape, trials, text = source.read()
        if shown is None or shown.shape != shape:
            shown = self.shown[source.folder] = self._begin(shape, shown)
        for key, make in trials:
            if key not in shown.ended:
                self._show(shown, key, make())
        if text != shown.note:
            from optuna_dashboard import save_note

            save_note(optuna.load_study(study_name=shape.name, storage=self.storage), text)
        shown.stamp, shown.note = stamp, text

    def _begin(self, shape: Shape, before: Shown | None) -> Shown:
        """A study without trials yet, in the place of an earlier one."""
        if before:
            self.storage.delete_study(before.number)
        number = self.storage.create_new_study(shape.directions, study_name=shape.name)
        for key, value in shape.said.items():
            self.storage.set_study_user_attr(number, key, value)
        with catch_warnings():
            simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.load_study(study_name=shape.name, storage=self.storage).set_metric_names(list(shape.values))
        return Shown(shape, number)

    def _show(self, shown: Shown, key: Hashable, trial: FrozenTrial) -> None:
        """A trial that is new, or what a running one has come to."""
        number = shown.running.pop(key, None)
        if number is None:
            number = self.storage.create_new_trial(shown.number, template_trial=trial)
        else:
            for step, value in trial.intermediate_values.items():
                self.storage.set_trial_intermediate_value(number, step, value)
            for name, said in trial.user_attrs.items():
                self.storage.set_trial_user_attr(number, name, said)
            if trial.state.is_finished():
                self.storage.set_trial_state_values(number, trial.state, trial.values)
        if trial.state.is_finished():
            shown.ended.add(key)
        else:
            shown.running[key] = number


@dataclass(frozen=True)
class StudySource:
    """A lab study at a scale."""

    home: Path
    name: str
    scale: str

    @property
    def folder(self) -> Path:
        """Where it keeps its files."""
        return self.stored.path

    @property
    def stored(self) -> StudyFolder:
        """Its files."""
        return StudyFolder(self.home, self.name, self.scale)

    def files(self) -> Iterable[Path]:
        return self.stored.files()

    def read(self) -> tuple[Shape, Trials, str]:
        study = find_study(self.home, self.name, self.scale)
        cells = self.stored.read_cells_of(study)
        name, metric = f"{study.name}, scale {study.scale}", study.declaration.metric
        said = {"question": study.declaration.question, "report": page(study.name, study.scale)}
        shape = Shape(name, (StudyDirection.MAXIMIZE,), (metric,), said, study)
        return shape, self.trials(study, cells), study_note(study, cells, self.verdicts())

    def trials(self, study: Study, cells: list[CellRecord]) -> Trials:
        """The runs that began, cell by cell, in the order of the ledger."""
        space, every = distributions(study), curve_every(study)
        for number, cell in enumerate(cells):
            for place, run in enumerate(cell.runs):
                if run.ended or (RunFolder(self.home, run.identity).path / SPEC).exists():
                    drawn = (number * (study.trials + study.seeds) + place) % every == 0
                    metric = study.declaration.metric if drawn else None
                    yield (cell.label, place, run.identity), partial(trial_of, self.home, metric, space, cell, run)

    def verdicts(self) -> list[VerdictRecord]:
        """The verdicts of the last time the study ended; empty while it runs."""
        record = self.stored.read_verdicts()
        return record.verdicts if record else []


def distributions(study: Study) -> dict[str, BaseDistribution]:
    """What each factor and each tuned setting may be."""
    levels = {key: CategoricalDistribution(levels) for key, levels in study.factors.items()}
    spans = study.declaration.tuning.search.items()
    return {**levels, **{key: FloatDistribution(span.low, span.high, log=span.log) for key, span in spans}}


def curve_every(study: Study) -> int:
    """Every which run has its curve: with more than `CURVES_MAXIMUM` of them a browser takes minutes to draw."""
    return ceil(study.runs / CURVES_MAXIMUM)


def trial_of(
    home: Path, metric: str | None, space: dict[str, BaseDistribution], cell: CellRecord, run: RunRecord
) -> FrozenTrial:
    """One run as a trial: where it stands in the grid, what it scored, and its curve of a metric, if of one."""
    state = TrialState.FAIL if run.failure else TrialState.COMPLETE if run.ended else TrialState.RUNNING
    folder = RunFolder(home, run.identity)
    said: Tree = {"cell": cell.label, "phase": run.phase, "seed": run.seed, "run": run.identity}
    curve: dict[int, float] = {}
    try:
        curve = validation_curve(folder, metric) if metric else {}
        said["seconds of training"] = round(sum(line["train_seconds"] for line in folder.lines(TIMING)), 3)
    except UserError as error:  # its score stands in the ledger
        said["curve"] = str(error)
    if run.failure:
        said["failure"] = run.failure
    trial = create_trial(
        state=state,
        value=run.score,
        params=cell.levels | run.settings,
        distributions=space,
        user_attrs=said,
        intermediate_values=curve,
    )
    return clocked(trial, [folder])


def validation_curve(folder: RunFolder, metric: str) -> dict[int, float]:
    """A run's metric on validation, by step."""
    lines = [line for line in folder.lines(METRICS) if line["split"] == "validation" and metric in line]
    return {line["step"]: line[metric] for line in lines}


def clocked(trial: FrozenTrial, folders: Sequence[RunFolder]) -> FrozenTrial:
    """A trial with the times its runs were begun, the last time, and ended, as far as their folders tell."""
    begun = [path.stat().st_mtime for folder in folders if (path := folder.path / ENVIRONMENT).exists()]
    done = [path.stat().st_mtime for folder in folders if (path := folder.path / RESULT).exists()]
    if begun:
        trial.datetime_start = datetime.fromtimestamp(min(begun))
    if begun and done and trial.state.is_finished():
        trial.datetime_complete = datetime.fromtimestamp(max(done))
    return trial


def study_note(study: Study, cells: list[CellRecord], verdicts: list[VerdictRecord]) -> str:
    """Question, verdicts and how to read the trials, in Markdown."""
    declaration = study.declaration
    counts = [cell.counts() for cell in cells]
    count, failed = sum(cell.ended for cell in counts), sum(cell.failed for cell in counts)
    every = curve_every(study)
    lines = [
        f"# {plain(declaration.title)}",
        f"**{plain(declaration.question)}**",
        f"Scale {plain(study.scale)}: {plain(declaration.scales[study.scale].summary)}.",
        *(f"- {verdict_line(one)}" for one in verdicts),
        f"{count} of {words.plural(study.runs, 'run')} ended, {failed} failed."
        + ("" if verdicts else " Verdicts come when the study ends."),
        f"[The report, as of now]({page(study.name, study.scale)})",
        f"A trial is a run. Its value is {plain(declaration.metric)}: on validation where `phase` is `tune`, on test "
        "where it is `confirm`, and only confirming runs count for a verdict. Intermediate values are the metric on "
        "validation by step" + (f", here of one run in {every}" if every > 1 else "") + ". What is *running* has begun "
        "and not ended, also where it was killed.",
    ]
    return "\n\n".join(lines)


def verdict_line(verdict: VerdictRecord) -> str:
    """A stored verdict in one line of Markdown."""
    measured = ""
    if verdict.interval and verdict.interval_level is not None:
        low, high = ("without end" if end is None else f"{end:+.3f}" for end in verdict.interval)
        share = f"{100 * (1 - verdict.interval_level):.4g}%"
        measured = f"difference {verdict.difference:+.3f}, {share} interval {low} to {high}; "
    return f"**{verdict.verdict.upper()}** {plain(verdict.text)} ({plain(measured + verdict.reason)})"


def page(name: str, scale: str) -> str:
    """Where the server shows a study's report."""
    return f"{PAGES}{quote(name)}/{quote(scale)}"


def plain(text: str) -> str:
    """A text that Markdown, and the HTML and formulas inside it, leave as it is."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
