"""The coordinator of a study: settings are chosen for each cell within an equal budget, then rerun on fresh seeds.

Only the confirming runs count. Optuna proposes settings and displays trials. Its journal is rewritten from the store
at every start, so it can be neither torn nor stale: proposals depend on the cell, the sampler's seed and the scores so
far, never on the number of workers or on the clock.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

from optuna.trial import Trial, TrialState

from generators.foundation.errors import UserError
from generators.foundation.options import note
from lab.analysis.table import SAMPLES
from lab.run.files import lock_folder
from lab.run.store import RESULT, RunFolder
from lab.run.stored_run import CHECKPOINTS
from studies.declared.analyses import analyses_of, sampled_cells
from studies.declared.measures import main_measure
from studies.declared.scales import SMOKE
from studies.declared.study import TUNING_SEED, Cell, Study
from studies.judging.from_ledger import judge_ledger
from studies.judging.judgement import Judgement
from studies.judging.looks import claims_to_pursue
from studies.judging.study_code import OldRuns, StudyCode
from studies.ledger.declared_study import record_of
from studies.ledger.folder import JOURNAL, StudyFolder
from studies.ledger.places import check_seeds, mark_finished, place_for, take_place
from studies.ledger.records import CellRecord, LedgerRecord, Phase, RunRecord, VerdictsRecord
from studies.running.cell_runs import CellRun, CellState, RunEvent
from studies.running.coordinator import Coordinator
from studies.running.executors.executor import Analyses, Outcome
from studies.running.scoring import score_of, with_every_analysis
from studies.running.shard import WHOLE, Shard
from studies.running.tuning import new_journal, tuning_of
from studies.statistics.interim import level_at, looks_until

ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Sweep(Coordinator[CellRun, list[Judgement]]):
    """The coordinator of one study, or of one shard of its cells.

    Shards divide the study by cells, because tuning proceeds within a cell. `run` returns the verdicts on the study's
    claims, which it also writes; a shard has none.

    Args:
        notify: called with every run that ended.
        announce: called with a sentence when the study goes on to its next look.
    """

    def __init__(
        self,
        study: Study,
        home: Path,
        notify: Callable[[RunEvent], None],
        shard: Shard = WHOLE,
        old_runs: OldRuns = "keep",
        announce: Callable[[str], None] = note,
    ) -> None:
        super().__init__(home, StudyFolder(home, study.name, study.scale), old_runs)
        self.mixed_code = old_runs == "mix"
        self.study, self.notify, self.announce, self.shard = study, notify, announce, shard
        self.sign = main_measure(study.declaration).sign
        self.analyses = analyses_of(study.declaration)
        self.sampled_cells = sampled_cells(study)
        self.part = self.folder if shard == WHOLE else self.folder.shard(shard.number, shard.count)
        self.cells = shard.of(study.cells)
        self.looks = looks_until(study.seeds, study.declaration.looks)
        self.states: list[CellState] = []
        self.done = 0

    @property
    def runs(self) -> int:
        """The planned runs of these cells, without those that turned out not to be needed."""
        return len(self.cells) * (self.study.tuning_runs + self.study.seeds) - sum(
            state.record.saved for state in self.states
        )

    @property
    def records(self) -> list[CellRecord]:
        """The cells as they stand."""
        return [state.record for state in self.states]

    @property
    def ledger(self) -> LedgerRecord:
        """The ledger as it stands, with the versions of the code that made its runs."""
        used = {run.code for record in self.records for run in record.runs}
        codes = {digest: code for digest, code in self.codes.items() if digest in used}
        return LedgerRecord(cells=self.records, codes=codes, mixed_code=self.mixed_code)

    @property
    def code(self) -> StudyCode:
        """The code that made the runs so far."""
        return StudyCode(self.ledger, self.folder.run_command)

    @property
    def complete(self) -> bool:
        return all(run.ended for record in self.records for run in record.runs)

    @property
    def progress(self) -> str:
        return f"{self.done} of {self.runs} runs"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Locks the study for one coordinator, or for one coordinator per shard."""
        with ExitStack() as stack:
            stack.enter_context(lock_folder(self.folder.path, "running this study", shared=self.shard != WHOLE))
            if self.shard != WHOLE:
                activity = f"running shard {self.shard.number}/{self.shard.count} of this study"
                stack.enter_context(lock_folder(self.part.path, activity))
            yield

    def begin(self) -> None:
        """Marks the study as unfinished and writes it. Earlier verdicts stay until there are new ones.

        Raises:
            UserError: the study's name belongs to another file; or the study was judged before, and seeds were added
                that its looks did not declare, or begin elsewhere.
        """
        study, declaration = self.study, self.study.declaration
        edited = place_for(self.home, study).changed
        if self.old_runs == "keep" and not edited:
            with suppress(UserError):  # a damaged ledger is written again
                self.mixed_code = self.folder.read_ledger().mixed_code
        if self.mixed_code:
            self.old_runs = "mix"
        if study.scale != SMOKE:
            check_seeds(self.folder, study, edited)
            level_at(declaration.level, study.seeds, declaration.looks, self.folder.read_looks(), study.source)
        take_place(self.folder, study)
        storage = new_journal(self.part.path / JOURNAL)
        for cell in self.cells:
            record = CellRecord(label=cell.label, levels=dict(cell.levels))
            self.states.append(CellState(cell, tuning_of(study, cell, self.sign, storage), record))
        self.part.write_study(record_of(study))

    def work(self) -> None:
        for cell in self.study.cells:  # what is stored is known before anything is trained
            self._note_stored_code(cell)
        for state in self.states:
            self._next_trial(state)
        self.wait()
        if self.shard == WHOLE and self.complete:
            self._take_further_looks()

    def _take_further_looks(self) -> None:
        """Adds seeds, look by look, to the cells of the claims that these could decide."""
        for earlier, look in pairwise(self.looks):
            self._write_look(earlier)
            judgements = judge_ledger(self.study, self.ledger)
            undecided = claims_to_pursue(self.study, judgements, earlier)
            labels = {label for judgement in undecided for label in judgement.cells}
            states = [state for state in self.states if state.cell.label in labels]
            if undecided:
                names = ", ".join(judgement.claim.name for judgement in undecided)
                self.announce(f"look at {earlier} seeds: {names} not decided yet; going on to {look} seeds")
            elif any(judgement.verdict == "inconclusive" for judgement in judgements):
                self.announce(f"look at {earlier} seeds: no more seeds are added for the claims that are not decided")
            for state in states:
                self._confirm(state, self.study.fresh_seeds(earlier, look))
            self.wait()
            if not states or not self.complete:
                break
        if self.complete:
            for state in self.states:
                if state.record.winner is not None:
                    run = sum(run.phase == "confirm" for run in state.record.runs)
                    state.record.saved += self.study.seeds - run

    def handle(self, request: CellRun, outcome: Outcome, *, trained: bool) -> None:
        run = request.run
        folder = RunFolder(self.home, run.identity)
        analyses = self.analyses if run.phase == "confirm" else ()
        outcome = with_every_analysis(outcome, analyses, self.home, run.identity)
        run.score, run.failure, run.measures = score_of(self.study, run.phase, outcome, folder)
        run.analysis_failures = dict(outcome.analysis_failures)
        if outcome.result is not None:
            run.code = self.note_code(folder.code())
        self.done += 1
        self.notify(RunEvent(request.state.cell.label, run, self.done, self.runs, trained))
        if request.trial is not None:
            self._continue_trial(request.state, run, request.trial)

    def write_ledger(self) -> None:
        self.part.write_ledger(self.ledger)

    def finish(self) -> list[Judgement]:
        """Judges a whole study; returns no verdicts for a shard.

        The looks are written before the verdicts, so that a kill between the two leaves no verdict without its look.
        Shards are deleted last: their runs are all in the ledger of the whole study.
        """
        if self.shard != WHOLE:
            return []
        judgements = judge_ledger(self.study, self.ledger)
        self._write_look(self.study.seeds)
        verdicts = [judgement.record() for judgement in judgements]
        self.folder.write_verdicts(VerdictsRecord(study=self.study.name, scale=self.study.scale, verdicts=verdicts))
        self.folder.delete_shards()
        mark_finished(self.folder)
        return judgements

    def _write_look(self, seeds: int) -> None:
        """Writes that the study is judged at a number of seeds, so that its looks can no longer be changed."""
        self.folder.write_looks(self.folder.read_looks() | {seeds: self.study.declaration.looks})

    def _note_stored_code(self, cell: Cell) -> None:
        """Notes the code of the first run of a cell, a trial or without trials its first seed, if it is stored."""
        if self.old_runs == "keep":
            seed = TUNING_SEED if self.study.trials else self.study.declaration.first_seed
            first = RunFolder(self.home, self.study.spec(cell, self.study.middle, seed).identity)
            with suppress(UserError):  # a damaged run fails where it is requested
                self.note_code(first.code() if (first.path / RESULT).exists() else None)

    def _next_trial(self, state: CellState) -> None:
        """Requests the next trial of a cell, or its confirming runs once the budget is spent.

        The trials of a cell follow each other, as do the seeds of a trial, so that a proposal never depends on which
        worker was faster.
        """
        if len(state.tuning.get_trials(deepcopy=False, states=ENDED)) == self.study.trials:
            self._choose(state)
            self._confirm(state, self.study.fresh_seeds(0, self.looks[0]))
            return
        trial = state.tuning.ask()
        settings = {
            key: trial.suggest_float(key, span.low, span.high, log=span.log)
            for key, span in self.study.declaration.tuning.search.items()
        }
        self._request_run(state, "tune", TUNING_SEED, settings, trial)

    def _continue_trial(self, state: CellState, run: RunRecord, trial: Trial) -> None:
        """Requests the next seed of a trial, or the next trial.

        The score of a trial is the mean over its seeds; a trial that was pruned, or has a failed run, has no score.
        """
        seeds = self.study.declaration.tuning.seeds
        scores = [earlier.score for earlier in state.record.runs[TUNING_SEED - run.seed - 1 :]]
        trial.set_user_attr("run", run.identity)
        if run.score is None:
            self._end_early(state, trial, TrialState.FAIL, seeds - len(scores))
        else:
            trial.report(run.score, len(scores) - 1)
            if len(scores) < seeds and not trial.should_prune():
                self._request_run(state, "tune", run.seed + 1, run.settings, trial)
                return
            if len(scores) < seeds:
                self._end_early(state, trial, TrialState.PRUNED, seeds - len(scores))
            else:
                mean = sum(score for score in scores if score is not None) / seeds
                state.scored.append((mean, run.settings))
                state.tuning.tell(trial, mean)
        self._next_trial(state)

    def _end_early(self, state: CellState, trial: Trial, how: TrialState, saved: int) -> None:
        state.record.saved += saved
        state.tuning.tell(trial, state=how)

    def _choose(self, state: CellState) -> None:
        """Chooses the settings of the best trial: none if no trial has a score, those of the middle without trials."""
        if not self.study.trials:
            state.record.winner = dict(self.study.middle)
        elif state.scored:
            state.record.winner = max(state.scored, key=lambda trial: self.sign * trial[0])[1]

    def _confirm(self, state: CellState, seeds: range) -> None:
        """Requests the winner on fresh seeds, which tuning never saw."""
        if state.record.winner is not None:
            for seed in seeds:
                self._request_run(state, "confirm", seed, state.record.winner, None)

    def _request_run(
        self, state: CellState, phase: Phase, seed: int, settings: dict[str, float], trial: Trial | None
    ) -> None:
        spec = self.study.spec(state.cell, settings, seed)
        run = RunRecord(phase=phase, seed=seed, settings=settings, identity=spec.identity)
        state.record.runs.append(run)
        analyses = self._analyses_of(state, run) if phase == "confirm" else ()
        self.request(CellRun(state, run, trial), spec, analyses)

    def _analyses_of(self, state: CellState, run: RunRecord) -> Analyses:
        """Returns the analyses of a confirming run: those that claims use, and the samples that reports show.

        The samples are those of the first seed. They are left out if the run is stored and its weights were deleted.
        """
        checkpoint = self.study.declaration.checkpoint
        path = RunFolder(self.home, run.identity).path
        weights_deleted = (path / RESULT).exists() and not (path / CHECKPOINTS[checkpoint]).exists()
        sampled = run.seed == self.study.declaration.first_seed and state.cell.label in self.sampled_cells
        if weights_deleted or not sampled:
            return self.analyses
        return (*self.analyses, (SAMPLES, checkpoint))
