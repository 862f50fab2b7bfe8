"""A search: optuna proposes settings, and what is not dominated in quality and cost is run again on fresh seeds.

Proposals are asked in batches whose size the file declares, and told in the order they were asked, so that they
depend on the file and on the results, never on how many workers there are or which was faster. Optuna's state is
in memory; what exists is decided by the store, so a search that ran is read again and trains nothing. Quality is on
validation while searching; of the front, on test and on seeds the search never saw. A search explores: its front is
the best of many, and it decides no claim.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import Trial, TrialState

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.randomness import word
from generators.foundation.settings import Tree
from lab.run.files import lock_folder
from lab.run.store import TIMING, RunFolder
from studies.declared.ranges import Range
from studies.declared.search import Search, label
from studies.declared.search_file import Choices, Sampler
from studies.declared.study import TUNING_SEED
from studies.ledger.folder import StudyFolder
from studies.ledger.search_records import ProposalRecord, RangeRecord, SearchRecord, SearchRunRecord
from studies.running.executors.executor import Executor, Outcome
from studies.running.interrupts import interruptible

optuna.logging.set_verbosity(optuna.logging.WARNING)
OWN_DRAWS, DRAWS_MAXIMUM = 5, 200
"""Proposals in a row that may refuse themselves: so many of the sampler, which may insist, the others at random."""
CAVEAT = "A search explores and decides no claim: its front is the best of many. A study with a claim decides one."


Tell = Callable[[str], None]


class Searching:
    """The coordinator of one search.

    Args:
        tell: is given one line whenever a trial or a confirming run ended.
    """

    def __init__(self, search: Search, home: Path, tell: Tell) -> None:
        self.search, self.home, self.tell = search, home, tell
        self.folder = StudyFolder(home, search.name, search.scale)
        self.proposals: list[ProposalRecord] = []
        self.refused = 0
        self.trained = 0
        self.sampler, self.random = sampler(search, search.declaration.sampler), sampler(search, "random")
        self.sampling = optuna.create_study(directions=["maximize", "minimize"], sampler=self.sampler)
        self.sampling.enqueue_trial(search.first)

    def run(self, executor: Executor[tuple[SearchRunRecord, str]]) -> SearchRecord:
        """Do what is missing; what there is at the end.

        Raises:
            UserError: another process is running this search, or nearly all of the space refuses itself.
            WorkFailed: it was interrupted.
        """
        with lock_folder(self.folder.path, "running this search"), interruptible(executor.stop) as interrupts:
            try:
                with executor:
                    self._explore(executor, lambda: interrupts.times > 0)
                    if not interrupts.times:
                        self._confirm(executor)
            except KeyboardInterrupt:
                pass
            done = not interrupts.times or self._complete()
            self.folder.write_search(self.record(done))
            if not done:
                told = sum(one.values is not None for one in self.proposals)
                raise WorkFailed(
                    f"interrupted after {told} of {self.search.trials} trials; their runs are kept, "
                    "and the same command goes on from here"
                )
        return self.record(done)

    def _complete(self) -> bool:
        runs = [run for one in self.proposals for run in [*one.runs, *one.confirmed]]
        ended = all(run.quality is not None or run.failure is not None for run in runs)
        return ended and len(self.proposals) == self.search.trials and any(one.confirmed for one in self.proposals)

    def _explore(self, executor: Executor[tuple[SearchRunRecord, str]], stopped: Callable[[], bool]) -> None:
        """Batch after batch: ask, run, and tell in the order of asking."""
        while len(self.proposals) < self.search.trials and not stopped():
            count = min(self.search.batch, self.search.trials - len(self.proposals))
            asked = [self._ask() for _ in range(count)]
            wanted = []
            for trial in asked:
                first = TUNING_SEED
                seeds = range(first, first + self.search.declaration.seeds)
                runs = [
                    SearchRunRecord(seed=seed, identity=self.search.spec(trial.params, seed).identity) for seed in seeds
                ]
                proposal = ProposalRecord(number=len(self.proposals), settings=trial.params, runs=runs)
                self.proposals.append(proposal)
                wanted += [(run, proposal.settings, "validation") for run in runs]
            self._do(executor, wanted)
            for proposal in self.proposals[-count:]:
                proposal.summarise()
            if stopped():
                return
            for trial, proposal in zip(asked, self.proposals[-count:], strict=True):
                if proposal.values is None:
                    self.sampling.tell(trial, state=TrialState.FAIL)
                else:
                    self.sampling.tell(trial, list(proposal.values))
                self.tell(f"[{proposal.number + 1}/{self.search.trials}] {self.told(proposal)}")
            self.folder.write_search(self.record(False))

    def _ask(self) -> Trial:
        """A proposal that can run. One that cannot is told as failed, and another is drawn at no cost."""
        for draw in range(DRAWS_MAXIMUM):
            self.sampling.sampler = self.sampler if draw < OWN_DRAWS else self.random
            trial = self.sampling.ask(distributions(self.search.space))
            reason = self.search.refusal(trial.params)
            if reason is None:
                return trial
            self.refused += 1
            self.sampling.tell(trial, state=TrialState.FAIL)
        raise UserError(
            f"{self.search.source}: space: {DRAWS_MAXIMUM} proposals in a row cannot run, the last because {reason}; "
            "take choices out that refuse each other"
        )

    def _do(self, executor: Executor[Any], wanted: Sequence[tuple[SearchRunRecord, Tree, str]]) -> None:
        """Take runs from the store, or have them trained, and wait until all have ended."""
        for run, settings, split in wanted:
            try:
                stored = RunFolder(self.home, run.identity).result()
            except UserError as error:  # a damaged run is a failed one
                run.failure = str(error)
                continue
            if stored is None:
                executor.submit((run, split), self.search.spec(settings, run.seed))
            else:
                self._ended(run, split, Outcome(stored))
        while executor.pending:
            for (run, split), outcome in executor.outcomes():
                self.trained += 1
                self._ended(run, split, outcome)

    def _ended(self, run: SearchRunRecord, split: str, outcome: Outcome) -> None:
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

    def _confirm(self, executor: Executor[Any]) -> None:
        """The front on fresh seeds."""
        for one in front(self.proposals):
            one.front = True
            seeds = range(self.search.confirm_seeds)
            one.confirmed = [
                SearchRunRecord(seed=seed, identity=self.search.spec(one.settings, seed).identity) for seed in seeds
            ]
        chosen = [one for one in self.proposals if one.front]
        self._do(executor, [(run, one.settings, "test") for one in chosen for run in one.confirmed])

    def told(self, proposal: ProposalRecord) -> str:
        """A trial in one line."""
        if proposal.values is None:
            return f"{label(proposal.settings)}: failed ({proposal.failure})"
        quality, cost = proposal.values
        return f"{label(proposal.settings)}: {quality:.3f}, {cost_words(cost, self.search.declaration.cost)}"

    def record(self, complete: bool) -> SearchRecord:
        """Returns the search as it stands."""
        search, declaration = self.search, self.search.declaration
        scored = [proposal for proposal in self.proposals if proposal.values is not None]
        chosen = sorted(
            (proposal for proposal in self.proposals if proposal.front), key=lambda proposal: proposal.cost or 0.0
        )
        return SearchRecord(
            name=search.name,
            scale=search.scale,
            source=search.source,
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
            refused=self.refused,
            failed=sum(proposal.failure is not None for proposal in self.proposals),
            dominated=len(scored) - len(chosen) if complete else None,
            front=[proposal.number for proposal in chosen],
            trials=self.proposals,
        )


def sampler(search: Search, name: Sampler) -> optuna.samplers.BaseSampler:
    """The sampler of a name; its draws depend on the search's name and scale."""
    seed = int(word(f"{search.name} {search.scale}")) % 2**32
    match name:
        case "gp":
            return optuna.samplers.GPSampler(seed=seed)
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "tpe":
            return optuna.samplers.TPESampler(seed=seed)


def distributions(space: Mapping[str, Choices | Range | RangeRecord]) -> dict[str, BaseDistribution]:
    """What each setting may be."""
    return {
        key: FloatDistribution(one.low, one.high, log=one.log)
        if isinstance(one, Range | RangeRecord)
        else CategoricalDistribution(one)
        for key, one in space.items()
    }


def front(proposals: Sequence[ProposalRecord]) -> Iterator[ProposalRecord]:
    """Those that no other beats in one of quality and cost without losing in the other; of equal settings one."""
    scored = [(one, one.values) for one in proposals if one.values is not None]
    seen: list[Tree] = []
    for one, (quality, cost) in scored:
        better = (pair for _, pair in scored if pair[0] >= quality and pair[1] <= cost and pair != (quality, cost))
        if not any(better) and one.settings not in seen:
            seen.append(one.settings)
            yield one


def cost_words(cost: float, kind: str) -> str:
    """A cost with its unit."""
    return f"{cost:.3g} s" if kind == "seconds" else f"{cost:,.0f} parameters"


def table(record: SearchRecord) -> list[str]:
    """Returns the front of a complete search, in lines."""
    trials = {proposal.number: proposal for proposal in record.trials}
    rows = [f"{record.metric} on test, mean of fresh seeds (lowest to highest); {record.cost}; on validation before"]
    for number in record.front:
        proposal = trials[number]
        scores = [run.quality for run in proposal.confirmed if run.quality is not None]
        costs = [run.cost for run in proposal.confirmed if run.cost is not None]
        if not scores:
            rows.append(f"  no fresh run ended well: {label(proposal.settings)}")
            continue
        lost = len(proposal.confirmed) - len(scores)
        rows.append(
            f"  {fmean(scores):.3f} ({min(scores):.3f} to {max(scores):.3f})  {cost_words(fmean(costs), record.cost)}"
            f"  {proposal.quality:.3f}  {label(proposal.settings)}" + (f"  ({lost} failed)" if lost else "")
        )
    rows.append(
        f"{len(record.trials)} trials: {len(record.front)} on the front, {record.dominated} dominated, "
        f"{record.failed} failed; proposals that refused themselves, at no cost: {record.refused}"
    )
    if record.cost == "seconds":
        rows.append("Seconds are those of this machine, as busy as it was.")
    return [*rows, CAVEAT]
