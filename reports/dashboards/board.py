"""An in-memory optuna storage that follows the stored runs: one or more optuna studies for each lab study or search.

The board only reads. It rebuilds its storage at every start, so that it writes nothing next to the runs and shares
no file with the process that runs a study. `Board.update` adds the runs that ended or advanced since the last call,
which makes the board live during a sweep. One thread calls it; nothing else writes to the storage.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from warnings import catch_warnings, simplefilter

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from generators.foundation.errors import UserError
from generators.foundation.options import note

SourceKey = tuple[str, str, str]
"""`study` or `search`, name, and scale."""
Trials = Iterator[tuple[Hashable, Callable[[], FrozenTrial]]]
"""Pairs of a trial's key and a function that builds the trial, called again until the trial has ended."""


@dataclass(frozen=True)
class BoardHeader:
    """An optuna study without its trials. A source whose header changes is rebuilt.

    Attributes:
        name: of the optuna study.
        directions: one for each objective.
        metric_names: one for each objective.
        attributes: user attributes.
        version: any value that changes when the trials have to be rebuilt.
    """

    name: str
    directions: tuple[StudyDirection, ...]
    metric_names: tuple[str, ...]
    attributes: dict[str, str]
    version: object = None


@dataclass(frozen=True)
class BoardEntry:
    """One optuna study: its header, its trials in order, and a note in Markdown."""

    header: BoardHeader
    trials: Trials
    note: str


class TrialSource(Protocol):
    """Stored runs that are displayed together."""

    @property
    def key(self) -> SourceKey:
        """Identifies the source."""

    def files(self) -> Iterable[Path]:
        """Returns the files that are written whenever anything changes, except in runs that have not ended."""

    def read(self) -> list[BoardEntry]:
        """Returns the optuna studies that display the runs. Values of trials are comparable within each of them."""


@dataclass
class DisplayedStudy:
    """The state of an optuna study on the board.

    Attributes:
        header: the displayed header.
        number: the number of the study in the storage.
        ended: keys of trials that will not change any more.
        running: key of each other trial -> its number in the storage.
        note: the displayed note.
    """

    header: BoardHeader
    number: int
    ended: set[Hashable] = field(default_factory=set)
    running: dict[Hashable, int] = field(default_factory=dict)
    note: str = ""


@dataclass
class DisplayedSource:
    """The state of a source on the board.

    Attributes:
        studies: name -> each of its optuna studies.
        file_times: modification times of the source's files when it was last read.
    """

    studies: dict[str, DisplayedStudy] = field(default_factory=dict)
    file_times: tuple[int, ...] = ()

    @property
    def running(self) -> bool:
        """True while a run has not ended, so that its logs may have grown."""
        return any(study.running for study in self.studies.values())


class Board:
    """All displayed studies.

    Args:
        find_sources: returns the sources that exist at this moment.
    """

    def __init__(self, find_sources: Callable[[], Sequence[TrialSource]]) -> None:
        self.find_sources = find_sources
        self.storage = InMemoryStorage()
        self.displayed: dict[SourceKey, DisplayedSource] = {}
        self.reported_errors: set[str] = set()

    def update(self) -> None:
        """Adds new runs. If a source cannot be read, reports the error once and displays the other sources."""
        for source in self.find_sources():
            try:
                self._update(source)
            except OSError:  # a study deletes its shards when it ends; the next update sees it whole
                continue
            except UserError as error:
                if str(error) not in self.reported_errors:
                    self.reported_errors.add(str(error))
                    note(f"lab: {error}")

    def studies(self) -> list[optuna.Study]:
        """Returns the displayed studies in order."""
        names = [name for displayed in self.displayed.values() for name in displayed.studies]
        return [optuna.load_study(study_name=name, storage=self.storage) for name in names]

    def _update(self, source: TrialSource) -> None:
        displayed = self.displayed.get(source.key)
        file_times = tuple(path.stat().st_mtime_ns for path in source.files())
        if displayed and displayed.file_times == file_times and not displayed.running:
            return
        entries = source.read()
        displayed = self.displayed.setdefault(source.key, DisplayedSource())
        for name in displayed.studies.keys() - {entry.header.name for entry in entries}:
            self.storage.delete_study(displayed.studies.pop(name).number)
        for entry in entries:
            self._update_study(displayed.studies, entry)
        displayed.file_times = file_times

    def _update_study(self, studies: dict[str, DisplayedStudy], entry: BoardEntry) -> None:
        name = entry.header.name
        displayed = studies.get(name)
        if displayed is None or displayed.header != entry.header:
            displayed = studies[name] = self._create(entry.header, displayed)
        for key, build in entry.trials:
            if key not in displayed.ended:
                self._display(displayed, key, build())
        if entry.note != displayed.note:
            from optuna_dashboard import save_note

            save_note(optuna.load_study(study_name=name, storage=self.storage), entry.note)
            displayed.note = entry.note

    def _create(self, header: BoardHeader, replaced: DisplayedStudy | None) -> DisplayedStudy:
        """Creates an optuna study without trials, in place of an earlier one."""
        if replaced:
            self.storage.delete_study(replaced.number)
        number = self.storage.create_new_study(header.directions, study_name=header.name)
        for key, value in header.attributes.items():
            self.storage.set_study_user_attr(number, key, value)
        with catch_warnings():
            simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.load_study(study_name=header.name, storage=self.storage)
            study.set_metric_names(list(header.metric_names))
        return DisplayedStudy(header, number)

    def _display(self, displayed: DisplayedStudy, key: Hashable, trial: FrozenTrial) -> None:
        """Adds a new trial, or brings a running one up to date."""
        number = displayed.running.pop(key, None)
        if number is None:
            number = self.storage.create_new_trial(displayed.number, template_trial=trial)
        else:
            for step, value in trial.intermediate_values.items():
                self.storage.set_trial_intermediate_value(number, step, value)
            for name, attribute in trial.user_attrs.items():
                self.storage.set_trial_user_attr(number, name, attribute)
            if trial.state.is_finished():
                self.storage.set_trial_state_values(number, trial.state, trial.values)
        if trial.state.is_finished():
            displayed.ended.add(key)
        else:
            displayed.running[key] = number
