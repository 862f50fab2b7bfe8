"""Explore, then confirm: each cell's settings are chosen within an equal budget, then rerun on fresh seeds.

Only the confirming runs count. Optuna proposes settings and shows trials; what exists is decided by the store. Its
journal is written anew from the store at every start, so it can be neither torn nor stale: proposals depend on the
cell, its sampler's seed and the scores so far, never on the number of workers or on the clock.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.trial import Trial, TrialState

from generators.foundation.errors import UserError, WorkFailed
from lab.analysis.measure_store import place_of
from lab.analysis.table import SAMPLES
from lab.run.files import lock_folder
from lab.run.store import RunFolder
from lab.run.stored_run import CHECKPOINTS
from studies.declared.analyses import SAMPLED_SEED, analyses_of, sampled_cells
from studies.declared.measures import main_measure
from studies.declared.scales import SMOKE
from studies.declared.study import TUNING_SEED, Cell, Study
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.ledger.declared_study import record_of
from studies.ledger.folder import JOURNAL, StudyFolder
from studies.ledger.records import CellRecord, Phase, RunRecord, VerdictsRecord
from studies.ledger.scores import scores_for
from studies.running.executors.executor import Executor, Outcome
from studies.running.interrupts import interruptible
from studies.running.scoring import score_of
from studies.running.tuning import storage_at, tuning_of
from studies.statistics.interim import level_at

LEDGER_EVERY_SECONDS = 2.0
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass
class CellState:
    """A cell as it stands: its trials so far, the winner, the confirming runs."""

    cell: Cell
    tuning: optuna.Study
    record: CellRecord
    scored: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    """Score and settings of each trial that ended with one."""


@dataclass(frozen=True)
class Event:
    """One run ended."""

    cell: str
    entry: RunRecord
    done: int
    total: int
    trained: bool


@dataclass(frozen=True)
class Shard:
    """The part of a study's cells that one of several coordinators takes: number 1, 2, ... of so many."""

    number: int
    count: int

    def of(self, cells: list[Cell]) -> list[Cell]:
        """Its cells."""
        return cells[self.number - 1 :: self.count]


WHOLE = Shard(1, 1)


class Interrupted(WorkFailed):
    """By Ctrl-C, before everything had ended."""


Key = tuple[CellState, RunRecord, Trial | None]


class Sweep:
    """The coordinator of one study, or of a shard of its cells: tuning goes on inside a cell, so that cells are what
    can be shared out."""

    def __init__(self, study: Study, home: Path, tell: Callable[[Event], None], shard: Shard = WHOLE) -> None:
        self.study, self.home, self.tell, self.shard = study, home, tell, shard
        self.sign = main_measure(study.declaration).sign
        self.analyses = analyses_of(study.declaration)
        self.shown = sampled_cells(study)
        self.folder = StudyFolder(home, study.name, study.scale)
        self.part = self.folder if shard == WHOLE else self.folder.shard(shard.number, shard.count)
        self.cells = shard.of(study.cells)
        self.runs = len(self.cells) * (study.tuning_runs + study.seeds)
        self.states: list[CellState] = []
        self.stored: deque[tuple[Key, Outcome]] = deque()
        self.done = 0
        self.next_writing = 0.0

    @property
    def records(self) -> list[CellRecord]:
        """The cells as they stand."""
        return [state.record for state in self.states]

    def run(self, executor: Executor[Key]) -> list[Judgement]:
        """Runs what is missing, then judges a whole study and writes its verdicts; a shard has none.

        Returns:
            the verdicts on the study's claims.

        Raises:
            UserError: another process is running this study at this scale.
            Interrupted: by Ctrl-C.
        """
        with self._held():
            self._begin()
            with interruptible(executor.stop) as interrupts:
                try:
                    with executor:
                        self._run(executor)
                except KeyboardInterrupt:
                    pass
                finally:
                    self._write_ledger()
            if interrupts.times and not all(run.ended for record in self.records for run in record.runs):
                done = f"{self.done} of {self.runs} runs"
                raise Interrupted(f"interrupted after {done}, which are kept; the same command goes on from here")
            return self._finish() if self.shard == WHOLE else []

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The whole study for one coordinator, or for one a shard."""
        with ExitStack() as stack:
            stack.enter_context(lock_folder(self.folder.path, "running this study", shared=self.shard != WHOLE))
            if self.shard != WHOLE:
                what = f"running shard {self.shard.number}/{self.shard.count} of this study"
                stack.enter_context(lock_folder(self.part.path, what))
            yield

    def _begin(self) -> None:
        """The plan, with nothing done yet; what was judged of an earlier one no longer holds.

        Raises:
            UserError: seeds were added to a study that was judged, and that was not declared beforehand.
        """
        declaration = self.study.declaration
        if self.study.scale != SMOKE:
            looks = self.folder.read_looks()
            level_at(declaration.level, self.study.seeds, declaration.looks, looks, self.study.source)
        self.folder.delete_verdicts()
        storage = storage_at(self.part.path / JOURNAL)
        self.states = [
            CellState(
                cell,
                tuning_of(self.study, cell, self.sign, storage),
                CellRecord(label=cell.label, levels=dict(cell.levels)),
            )
            for cell in self.cells
        ]
        self.part.write_study(record_of(self.study))

    def _run(self, executor: Executor[Key]) -> None:
        for state in self.states:
            self._explore(state, executor)
        while self.stored or executor.pending:
            while self.stored:
                self._ended(*self.stored.popleft(), executor, trained=False)
            for ended, outcome in executor.outcomes():
                self._ended(ended, outcome, executor, trained=True)

    def _finish(self) -> list[Judgement]:
        """Judges the study and writes its looks, then its verdicts; shards, whose runs are all in the ledger, go."""
        self.folder.write_looks(self.folder.read_looks() | {self.study.seeds: self.study.declaration.looks})
        judgements = judge(self.study, scores_for(self.study, self.records))
        verdicts = [judgement.record() for judgement in judgements]
        self.folder.write_verdicts(VerdictsRecord(study=self.study.name, scale=self.study.scale, verdicts=verdicts))
        self.folder.delete_shards()
        return judgements

    def _explore(self, state: CellState, executor: Executor[Key]) -> None:
        """The next trial of a cell, or its confirming runs once the budget is spent. Trials of a cell follow each
        other, and a trial's seeds, so that a proposal never depends on which worker was faster."""
        study = self.study
        if len(state.tuning.get_trials(deepcopy=False, states=ENDED)) == study.trials:
            self._confirm(state, executor)
            return
        trial = state.tuning.ask()
        settings = {
            key: trial.suggest_float(key, span.low, span.high, log=span.log)
            for key, span in study.declaration.tuning.search.items()
        }
        self._start(state, "tune", TUNING_SEED, settings, trial, executor)

    def _tried(self, state: CellState, entry: RunRecord, trial: Trial, executor: Executor[Key]) -> None:
        """A run of a trial ended: its next seed, or the next trial. A trial's score is the mean over its seeds; one
        with a failed run has none, nor has one that was pruned."""
        seeds = self.study.declaration.tuning.seeds
        scores = [each.score for each in state.record.runs[TUNING_SEED - entry.seed - 1 :]]
        trial.set_user_attr("run", entry.identity)
        if entry.score is None:
            self._ended_early(state, trial, TrialState.FAIL, seeds - len(scores))
        else:
            trial.report(entry.score, len(scores) - 1)
            if len(scores) < seeds and not trial.should_prune():
                self._start(state, "tune", entry.seed + 1, entry.settings, trial, executor)
                return
            if len(scores) < seeds:
                self._ended_early(state, trial, TrialState.PRUNED, seeds - len(scores))
            else:
                mean = sum(score for score in scores if score is not None) / seeds
                state.scored.append((mean, entry.settings))
                state.tuning.tell(trial, mean)
        self._explore(state, executor)

    def _ended_early(self, state: CellState, trial: Trial, how: TrialState, saved: int) -> None:
        self.runs -= saved
        state.tuning.tell(trial, state=how)

    def _confirm(self, state: CellState, executor: Executor[Key]) -> None:
        """The winner on fresh seeds, which tuning never saw."""
        if not state.scored:
            return
        state.record.winner = max(state.scored, key=lambda trial: self.sign * trial[0])[1]
        for seed in range(self.study.seeds):
            self._start(state, "confirm", seed, state.record.winner, None, executor)

    def _start(
        self,
        state: CellState,
        phase: Phase,
        seed: int,
        settings: dict[str, float],
        trial: Trial | None,
        executor: Executor[Key],
    ) -> None:
        """Take a run's result from the store, or have it trained."""
        spec = self.study.spec(state.cell, settings, seed)
        entry = RunRecord(phase=phase, seed=seed, settings=settings, identity=spec.identity)
        state.record.runs.append(entry)
        key = state, entry, trial
        try:
            stored = RunFolder(self.home, spec.identity).result()
        except UserError as error:  # a damaged run is a failed one; the others have nothing to do with it
            self.stored.append((key, Outcome(None, str(error))))
            return
        analyses = self.analyses if phase == "confirm" else ()
        if (phase, seed) == ("confirm", SAMPLED_SEED) and state.cell.label in self.shown:
            analyses += self._samples(spec.identity, trained=stored is not None)
        to_take = any(not place_of(self.home, spec.identity, of, name).exists() for name, of in analyses)
        if stored is None or (to_take and stored["status"] == "complete"):
            executor.submit(key, spec, analyses)
        else:
            self.stored.append((key, Outcome(stored)))

    def _samples(self, run: str, *, trained: bool) -> tuple[tuple[str, str], ...]:
        """What is shown of a run; nothing where its weights were taken away."""
        checkpoint = self.study.declaration.checkpoint
        gone = trained and not (RunFolder(self.home, run).path / CHECKPOINTS[checkpoint]).exists()
        return () if gone else ((SAMPLES, checkpoint),)

    def _ended(self, key: Key, outcome: Outcome, executor: Executor[Key], *, trained: bool) -> None:
        state, entry, trial = key
        folder = RunFolder(self.home, entry.identity)
        entry.score, entry.failure, entry.measures = score_of(self.study, entry.phase, outcome, folder)
        self.done += 1
        self.tell(Event(state.cell.label, entry, self.done, self.runs, trained))
        if time.monotonic() > self.next_writing:
            self._write_ledger()
        if trial is not None:
            self._tried(state, entry, trial, executor)

    def _write_ledger(self) -> None:
        """The ledger as it stands. The larger it is, the more rarely: writing takes a twentieth of the time at most."""
        before = time.monotonic()
        self.part.write_cells(self.records)
        after = time.monotonic()
        self.next_writing = after + max(LEDGER_EVERY_SECONDS, 20 * (after - before))
