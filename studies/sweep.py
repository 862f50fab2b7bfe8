"""Explore, then confirm: each cell's settings are chosen within an equal budget, then rerun on fresh seeds.

Only the confirming runs count. Optuna proposes settings and shows trials; what exists is decided by the store. Its
journal is written anew from the store at every start, so it can be neither torn nor stale: proposals depend on the
cell, its sampler's seed and the scores so far, never on the number of workers or on the clock.
"""

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import Trial, TrialState

from generators.errors import UserError
from generators.randomness import word
from generators.settings import Tree
from lab.store import RunFolder, dump, exclusive, write_whole
from studies.executors import LocalWorkers, Outcome
from studies.measures import Phase, main_measure, measure_of, score_of
from studies.study import TUNING_SEED, Cell, Claim, Declaration, Study

optuna.logging.set_verbosity(optuna.logging.WARNING)
STUDY, LEDGER = "study.json", "ledger.json"
LEDGER_EVERY_SECONDS = 2.0
SAMPLERS = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}


@dataclass
class Entry:
    """One run of a study. score: of the study's metric, on validation for tuning and on the study's split for
    confirming; measures: what else claims are about, by name."""

    phase: Phase
    seed: int
    settings: dict[str, float]
    run: str
    score: float | None = None
    failure: str | None = None
    measures: dict[str, float] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether it came to a score or a failure."""
        return self.score is not None or self.failure is not None


@dataclass
class CellState:
    """A cell as it stands: its trials so far, the winner, the confirming runs."""

    cell: Cell
    tuning: optuna.Study
    entries: list[Entry] = field(default_factory=list)
    winner: dict[str, float] | None = None

    def tree(self) -> Tree:
        """As JSON types."""
        entries = [vars(entry) for entry in self.entries]
        return {"cell": self.cell.label, "levels": dict(self.cell.levels), "winner": self.winner, "entries": entries}


@dataclass(frozen=True)
class Event:
    """One run ended."""

    cell: str
    entry: Entry
    done: int
    total: int
    trained: bool


Key = tuple[CellState, Entry, Trial | None]


class Sweep:
    """The coordinator of one study."""

    def __init__(self, study: Study, home: Path, tell: Callable[[Event], None]) -> None:
        self.study, self.home, self.tell = study, home, tell
        self.sign = main_measure(study.declaration).sign
        self.folder = study_folder(home, study.name, study.scale)
        self.states: list[CellState] = []
        self.stored: deque[tuple[Key, Outcome]] = deque()
        self.done = 0
        self.written = 0.0

    def _tuning(self, cell: Cell, storage: JournalStorage) -> optuna.Study:
        """The optuna study of one cell. Its first trial is the middle of the ranges."""
        seed = int(word(f"{self.study.name} {cell.label}")) % 2**32
        sampler = SAMPLERS[self.study.declaration.tuning.sampler](seed=seed, n_startup_trials=3)
        direction = StudyDirection.MAXIMIZE if self.sign > 0 else StudyDirection.MINIMIZE
        tuning = optuna.create_study(storage=storage, sampler=sampler, study_name=cell.label, direction=direction)
        tuning.enqueue_trial(self.study.middle)
        return tuning

    def run(self, workers: int) -> list[CellState]:
        """Do what is missing; the cells as they stand at the end.

        Raises:
            UserError: another process is running this study at this scale.
        """
        with exclusive(self.folder, "running this study"):
            journal = self.folder / "journal.log"
            journal.unlink(missing_ok=True)
            storage = JournalStorage(JournalFileBackend(str(journal)))
            self.states = [CellState(cell, self._tuning(cell, storage)) for cell in self.study.cells]
            write_whole(self.folder / STUDY, dump(stored_form(self.study)))
            return self._run(workers)

    def _run(self, workers: int) -> list[CellState]:
        with LocalWorkers[Key](self.home, workers) as executor:
            for state in self.states:
                self._explore(state, executor)
            while self.stored or executor.pending:
                if self.stored:
                    self._ended(*self.stored.popleft(), executor, trained=False)
                    continue
                for ended, outcome in executor.outcomes():
                    self._ended(ended, outcome, executor, trained=True)
        self._write_ledger()
        return self.states

    def _explore(self, state: CellState, executor: LocalWorkers[Key]) -> None:
        """The next trial of a cell, or its confirming runs once the budget is spent. Trials of a cell follow each
        other, so that a proposal never depends on which worker was faster."""
        study = self.study
        if len(state.entries) == study.trials:
            self._confirm(state, executor)
            return
        trial = state.tuning.ask()
        settings = {
            key: trial.suggest_float(key, span.low, span.high, log=span.log)
            for key, span in study.declaration.tuning.search.items()
        }
        self._start(state, "tune", TUNING_SEED, settings, trial, executor)

    def _confirm(self, state: CellState, executor: LocalWorkers[Key]) -> None:
        """The winner on fresh seeds, which tuning never saw."""
        scored = [entry for entry in state.entries if entry.score is not None]
        if not scored:
            return
        state.winner = max(scored, key=lambda entry: self.sign * (entry.score or 0.0)).settings
        for seed in range(self.study.seeds):
            self._start(state, "confirm", seed, state.winner, None, executor)

    def _start(
        self,
        state: CellState,
        phase: Phase,
        seed: int,
        settings: dict[str, float],
        trial: Trial | None,
        executor: LocalWorkers[Key],
    ) -> None:
        """Take a run's result from the store, or have it trained."""
        spec = self.study.spec(state.cell, settings, seed)
        entry = Entry(phase, seed, settings, spec.identity)
        state.entries.append(entry)
        stored = RunFolder(self.home, spec.identity).result()
        if stored is None:
            executor.submit((state, entry, trial), spec)
        else:
            self.stored.append(((state, entry, trial), Outcome(stored)))

    def _ended(self, key: Key, outcome: Outcome, executor: LocalWorkers[Key], *, trained: bool) -> None:
        state, entry, trial = key
        folder = RunFolder(self.home, entry.run)
        entry.score, entry.failure, entry.measures = score_of(self.study, entry.phase, outcome, folder)
        self.done += 1
        self.tell(Event(state.cell.label, entry, self.done, self.study.runs, trained))
        if time.monotonic() - self.written > LEDGER_EVERY_SECONDS:
            self._write_ledger()
        if trial is not None:
            trial.set_user_attr("run", entry.run)
            if entry.score is None:
                state.tuning.tell(trial, state=TrialState.FAIL)
            else:
                state.tuning.tell(trial, entry.score)
            self._explore(state, executor)

    def _write_ledger(self) -> None:
        self.written = time.monotonic()
        write_whole(self.folder / LEDGER, dump({"cells": [state.tree() for state in self.states]}))


def study_folder(home: Path, name: str, scale: str) -> Path:
    """Where a study keeps its declaration, ledger and journal."""
    return home / "studies" / name / scale


def stored_form(study: Study) -> Tree:
    """What is needed to read a study again, and to run it again."""
    plain = {each.name: getattr(study, each.name) for each in fields(study) if each.name != "declaration"}
    return plain | {"declaration": study.declaration.model_dump(mode="json")}


def find_study(home: Path, name: str, scale: str | None) -> Study:
    """A study as it last ran, from what it stored; without a scale, the one that ran last.

    Raises:
        UserError: it never ran.
    """
    stem = Path(name).stem
    found = sorted((home / "studies" / stem).glob(f"{scale or '*'}/{STUDY}"), key=lambda path: path.stat().st_mtime)
    if not found:
        at = f" at scale {scale}" if scale else ""
        raise UserError(f"study {stem!r} never ran{at} under {home}; run it first: lab study run {name}")
    form = json.loads(found[-1].read_bytes())
    declaration = Declaration.model_validate_json(json.dumps(form.pop("declaration")))
    return Study(declaration=declaration, **{**form, "assignments": tuple(form["assignments"])})


def read_ledger(home: Path, study: Study) -> list[Tree]:
    """The cells of a study as last written."""
    path = study_folder(home, study.name, study.scale) / LEDGER
    cells: list[Tree] = json.loads(path.read_bytes())["cells"] if path.exists() else []
    return cells


def confirmed(cells: list[Tree], measure: str | None = None) -> dict[str, dict[int, float]]:
    """The scores that count: cell label -> seed -> score, or the measure of that name where a run has it."""
    found: dict[str, dict[int, float]] = {}
    for cell in cells:
        ended = [each for each in cell["entries"] if each["phase"] == "confirm" and each["score"] is not None]
        values = {each["seed"]: each.get("measures", {}).get(measure) if measure else each["score"] for each in ended}
        found[cell["cell"]] = {seed: value for seed, value in values.items() if value is not None}
    return found


def scores_for(study: Study, cells: list[Tree]) -> Callable[[Claim], dict[str, dict[int, float]]]:
    """What each claim is judged by: cell label -> seed -> its measure, negated where less is better."""
    main = main_measure(study.declaration)

    def scores(claim: Claim) -> dict[str, dict[int, float]]:
        wanted = measure_of(study.declaration, claim)
        values = confirmed(cells, None if wanted == main else wanted.name)
        return {cell: {seed: wanted.sign * value for seed, value in each.items()} for cell, each in values.items()}

    return scores
