"""The coordinator of a search: optuna proposes settings, and the front in quality and cost is rerun on fresh seeds.

Proposals are requested in batches, whose size the file declares, and reported to optuna in the order of the requests.
They therefore depend on the file and on the results, never on the number of workers or on which run ends first.
Optuna's state is in memory and the store decides which runs exist, so running a finished search again trains nothing.
Quality is measured on validation while searching, and on test for the front. A search explores; it judges no claim.

A search has no shards: each batch depends on the results of all earlier batches.
"""

from collections.abc import Callable
from pathlib import Path

from generators.foundation.code.version import changed_parts, conflicting_parts, parts_text
from lab.run.store import TIMING, RunFolder
from studies.declared.catalog import SEARCHES
from studies.declared.ranges import Range
from studies.declared.search import Search
from studies.declared.study import TUNING_SEED
from studies.judging.study_code import OldRuns
from studies.ledger.folder import StudyFolder
from studies.ledger.origins import origin_of
from studies.ledger.search_places import remarks_on_search
from studies.ledger.search_records import ProposalRecord, RangeRecord, SearchRecord, SearchRunRecord
from studies.ledger.versions import search_content
from studies.running.coordinator import Coordinator
from studies.running.executors.executor import Outcome
from studies.running.front import CAVEAT, front, proposal_line
from studies.running.sampling import ProposalSampler

RunOnSplit = tuple[SearchRunRecord, str]
"""A run and the split on which its quality is read."""


class SearchCoordinator(Coordinator[RunOnSplit, SearchRecord]):
    """The coordinator of one search.

    Args:
        notify: called with one line for every trial that ended.
    """

    noun = "search"

    def __init__(self, search: Search, home: Path, notify: Callable[[str], None], old_runs: OldRuns = "keep") -> None:
        super().__init__(home, StudyFolder(home, search.name, search.scale), old_runs)
        self.search, self.notify = search, notify
        self.sampler = ProposalSampler(search)
        self.proposals: list[ProposalRecord] = []

    @property
    def complete(self) -> bool:
        runs = [run for proposal in self.proposals for run in [*proposal.runs, *proposal.confirmed]]
        confirmed = any(proposal.confirmed for proposal in self.proposals)
        return confirmed and len(self.proposals) == self.search.trials and all(run.ended for run in runs)

    @property
    def progress(self) -> str:
        ended = sum(proposal.values is not None for proposal in self.proposals)
        return f"{ended} of {self.search.trials} trials"

    def begin(self) -> None:
        """Checks that the search's name belongs to its file, and notes the keys that were edited since it last ran.

        Raises:
            UserError: the name belongs to another file.
        """
        for line in remarks_on_search(self.home, self.search):
            self.notify(line)

    def work(self) -> None:
        while len(self.proposals) < self.search.trials and not self.interrupts.times:
            self._run_batch(min(self.search.batch, self.search.trials - len(self.proposals)))
        if not self.interrupts.times:
            self._confirm_front()

    def handle(self, request: RunOnSplit, outcome: Outcome, *, trained: bool) -> None:
        run, split = request
        if outcome.result is not None:
            self.note_code(RunFolder(self.home, run.identity).code())
        declaration, result = self.search.declaration, outcome.result
        if result is None or result["status"] != "complete":
            run.failure = outcome.failure or str(result and result["reason"])
            return
        scores = result["scores"][declaration.checkpoint][split]
        if declaration.metric not in scores:
            run.failure = f"the run has no metric {declaration.metric!r}; it has: {', '.join(scores)}"
            return
        run.quality = scores[declaration.metric]
        if declaration.cost == "parameters":
            run.cost = float(sum(result["parameters"].values()))
        else:
            run.cost = sum(line["train_seconds"] for line in RunFolder(self.home, run.identity).lines(TIMING))

    def write_ledger(self) -> None:
        self.folder.write_search(self.record(complete=False))

    def finish(self) -> SearchRecord:
        if parts := sorted({part for code in self.codes.values() for part in changed_parts(code)}):
            self.notify(
                f"some runs were made by code other than the installed code ({parts_text(parts)}); "
                "the same command with --retrain trains them again"
            )
        if parts := conflicting_parts(self.codes.values()):
            self.notify(f"some runs were made by different code than others ({parts_text(parts)})")
        record = self.record(complete=True)
        self.folder.write_search(record)
        return record

    def _run_batch(self, count: int) -> None:
        """Asks for proposals, runs them, and reports them to optuna in the order in which they were proposed."""
        trials = [self.sampler.ask() for _ in range(count)]
        first = len(self.proposals)
        for number, trial in enumerate(trials, first):
            runs = self._new_runs(trial.params, range(TUNING_SEED, TUNING_SEED + self.search.declaration.seeds))
            self.proposals.append(ProposalRecord(number=number, settings=trial.params, runs=runs))
        batch = self.proposals[first:]
        for proposal in batch:
            self._request_runs(proposal, proposal.runs, "validation")
        self.wait()
        for proposal in batch:
            proposal.summarise()
        if self.interrupts.times:
            return
        for trial, proposal in zip(trials, batch, strict=True):
            self.sampler.tell(trial, proposal.values)
            line = proposal_line(proposal, self.search.declaration.cost)
            self.notify(f"[{proposal.number + 1}/{self.search.trials}] {line}")
        self.write()

    def _confirm_front(self) -> None:
        """Runs the front on fresh seeds."""
        for proposal in front(self.proposals):
            proposal.front = True
            proposal.confirmed = self._new_runs(proposal.settings, range(self.search.confirm_seeds))
            self._request_runs(proposal, proposal.confirmed, "test")
        self.wait()

    def _new_runs(self, settings: dict[str, bool | int | float | str], seeds: range) -> list[SearchRunRecord]:
        return [SearchRunRecord(seed=seed, identity=self.search.spec(settings, seed).identity) for seed in seeds]

    def _request_runs(self, proposal: ProposalRecord, runs: list[SearchRunRecord], split: str) -> None:
        for run in runs:
            self.request((run, split), self.search.spec(proposal.settings, run.seed))

    def record(self, *, complete: bool) -> SearchRecord:
        """Returns the current state of the search; its front is sorted by cost."""
        search, declaration = self.search, self.search.declaration
        scored = [proposal for proposal in self.proposals if proposal.values is not None]
        chosen = sorted((proposal for proposal in scored if proposal.front), key=lambda proposal: proposal.cost or 0.0)
        return SearchRecord(
            name=search.name,
            scale=search.scale,
            source=search.source,
            origin=origin_of(self.home, Path(search.source), SEARCHES),
            content=search_content(search),
            title=declaration.title,
            question=declaration.question,
            metric=declaration.metric,
            cost=declaration.cost,
            sampler=declaration.sampler,
            summary=declaration.scales[search.scale].summary,
            space={
                key: RangeRecord(low=values.low, high=values.high, log=values.log)
                if isinstance(values, Range)
                else values
                for key, values in search.space.items()
            },
            budget=search.trials,
            complete=complete,
            caveat=CAVEAT,
            refused=self.sampler.refused,
            failed=sum(proposal.failure is not None for proposal in self.proposals),
            dominated=len(scored) - len(chosen) if complete else None,
            front=[proposal.number for proposal in chosen],
            trials=self.proposals,
        )
