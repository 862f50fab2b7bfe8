"""A search: optuna proposes settings, and what is not dominated in quality and cost is run again on fresh seeds.

Proposals are asked in batches whose size the file declares, and told in the order they were asked, so that they
depend on the file and on the results, never on how many workers there are or which was faster. Optuna's state is
in memory; what exists is decided by the store, so a search that ran is read again and trains nothing. Quality is on
validation while searching; of the front, on test and on seeds the search never saw. A search explores: its front is
the best of many, and it decides no claim.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import Trial, TrialState

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.randomness import word
from generators.foundation.settings import Tree
from lab.run.store import TIMING, RunFolder, dump, exclusive, write_whole
from studies.declared.search import Choices, Sampler, Search, label
from studies.declared.study import TUNING_SEED, Range
from studies.ledger.files import study_folder
from studies.running.executors.executor import Executor, Outcome
from studies.running.interrupts import interruptible

optuna.logging.set_verbosity(optuna.logging.WARNING)
SEARCH = "search.json"
OWN_DRAWS, DRAWS_MAXIMUM = 5, 200
"""Proposals in a row that may refuse themselves: so many of the sampler, which may insist, the others at random."""
CAVEAT = "A search explores and decides no claim: its front is the best of many. A study with a claim decides one."


@dataclass
class SearchRun:
    """One run of a search, and what it came to: quality and cost, or why not."""

    seed: int
    run: str
    quality: float | None = None
    cost: float | None = None
    failure: str | None = None


@dataclass
class Proposal:
    """One trial: its settings and runs. quality, cost: means over its runs, none where one failed."""

    number: int
    settings: Tree
    runs: list[SearchRun]
    front: bool = False
    confirmed: list[SearchRun] = field(default_factory=list)

    @property
    def failure(self) -> str | None:
        """Why it has no values."""
        return next((run.failure for run in self.runs if run.failure is not None), None)

    @property
    def values(self) -> tuple[float, float] | None:
        """Quality and cost, once all its runs ended well."""
        pairs = [(run.quality, run.cost) for run in self.runs if run.quality is not None and run.cost is not None]
        if len(pairs) < len(self.runs):
            return None
        return fmean(quality for quality, _ in pairs), fmean(cost for _, cost in pairs)

    def tree(self) -> Tree:
        """As JSON types."""
        values = self.values or (None, None)
        said = {"number": self.number, "settings": self.settings, "quality": values[0], "cost": values[1]}
        runs = {name: [vars(run) for run in getattr(self, name)] for name in ("runs", "confirmed")}
        return said | {"failure": self.failure, "front": self.front} | runs


Tell = Callable[[str], None]


class Searching:
    """The coordinator of one search.

    Args:
        tell: is given one line whenever a trial or a confirming run ended.
    """

    def __init__(self, search: Search, home: Path, tell: Tell) -> None:
        self.search, self.home, self.tell = search, home, tell
        self.folder = study_folder(home, search.name, search.scale)
        self.proposals: list[Proposal] = []
        self.refused = 0
        self.trained = 0
        self.sampler, self.random = sampler(search, search.declaration.sampler), sampler(search, "random")
        self.sampling = optuna.create_study(directions=["maximize", "minimize"], sampler=self.sampler)
        self.sampling.enqueue_trial(search.first)

    def run(self, executor: Executor[tuple[SearchRun, str]]) -> Tree:
        """Do what is missing; what there is at the end.

        Raises:
            UserError: another process is running this search, or nearly all of the space refuses itself.
            WorkFailed: it was interrupted.
        """
        with exclusive(self.folder, "running this search"), interruptible(executor.stop) as interrupts:
            try:
                with executor:
                    self._explore(executor, lambda: interrupts.times > 0)
                    if not interrupts.times:
                        self._confirm(executor)
            except KeyboardInterrupt:
                pass
            done = not interrupts.times or self._complete()
            write_whole(self.folder / SEARCH, dump(self.tree(done)))
            if not done:
                told = sum(one.values is not None for one in self.proposals)
                raise WorkFailed(
                    f"interrupted after {told} of {self.search.trials} trials; their runs are kept, "
                    "and the same command goes on from here"
                )
        return self.tree(done)

    def _complete(self) -> bool:
        runs = [run for one in self.proposals for run in [*one.runs, *one.confirmed]]
        ended = all(run.quality is not None or run.failure is not None for run in runs)
        return ended and len(self.proposals) == self.search.trials and any(one.confirmed for one in self.proposals)

    def _explore(self, executor: Executor[tuple[SearchRun, str]], stopped: Callable[[], bool]) -> None:
        """Batch after batch: ask, run, and tell in the order of asking."""
        while len(self.proposals) < self.search.trials and not stopped():
            count = min(self.search.batch, self.search.trials - len(self.proposals))
            asked = [self._ask() for _ in range(count)]
            wanted = []
            for trial in asked:
                first = TUNING_SEED
                seeds = range(first, first + self.search.declaration.seeds)
                runs = [SearchRun(seed, self.search.spec(trial.params, seed).identity) for seed in seeds]
                proposal = Proposal(len(self.proposals), trial.params, runs)
                self.proposals.append(proposal)
                wanted += [(run, proposal.settings, "validation") for run in runs]
            self._do(executor, wanted)
            if stopped():
                return
            for trial, proposal in zip(asked, self.proposals[-count:], strict=True):
                if proposal.values is None:
                    self.sampling.tell(trial, state=TrialState.FAIL)
                else:
                    self.sampling.tell(trial, list(proposal.values))
                self.tell(f"[{proposal.number + 1}/{self.search.trials}] {self.told(proposal)}")
            write_whole(self.folder / SEARCH, dump(self.tree(False)))

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

    def _do(self, executor: Executor[Any], wanted: Sequence[tuple[SearchRun, Tree, str]]) -> None:
        """Take runs from the store, or have them trained, and wait until all have ended."""
        for run, settings, split in wanted:
            try:
                stored = RunFolder(self.home, run.run).result()
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

    def _ended(self, run: SearchRun, split: str, outcome: Outcome) -> None:
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
            run.cost = sum(line["train_seconds"] for line in RunFolder(self.home, run.run).lines(TIMING))

    def _confirm(self, executor: Executor[Any]) -> None:
        """The front on fresh seeds."""
        for one in front(self.proposals):
            one.front = True
            seeds = range(self.search.confirm_seeds)
            one.confirmed = [SearchRun(seed, self.search.spec(one.settings, seed).identity) for seed in seeds]
        chosen = [one for one in self.proposals if one.front]
        self._do(executor, [(run, one.settings, "test") for one in chosen for run in one.confirmed])

    def told(self, proposal: Proposal) -> str:
        """A trial in one line."""
        if proposal.values is None:
            return f"{label(proposal.settings)}: failed ({proposal.failure})"
        quality, cost = proposal.values
        return f"{label(proposal.settings)}: {quality:.3f}, {cost_words(cost, self.search.declaration.cost)}"

    def tree(self, complete: bool) -> Tree:
        """The search as it stands, as JSON types; the front is in order of cost."""
        search, declaration = self.search, self.search.declaration
        scored = [one for one in self.proposals if one.values is not None]
        chosen = sorted(
            (one for one in self.proposals if one.front), key=lambda one: one.values[1] if one.values else 0.0
        )
        space = {key: vars(one) if isinstance(one, Range) else one for key, one in search.space.items()}
        return {
            "search": search.name,
            "scale": search.scale,
            "source": search.source,
            **{name: getattr(declaration, name) for name in ("title", "question", "metric", "cost", "sampler")},
            "summary": declaration.scales[search.scale].summary,
            "space": space,
            "budget": search.trials,
            "complete": complete,
            "caveat": CAVEAT,
            "refused": self.refused,
            "failed": sum(one.failure is not None for one in self.proposals),
            "dominated": len(scored) - len(chosen) if complete else None,
            "front": [one.number for one in chosen],
            "trials": [one.tree() for one in self.proposals],
        }


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


def distributions(space: dict[str, Choices | Range]) -> dict[str, BaseDistribution]:
    """What each setting may be."""
    return {
        key: FloatDistribution(one.low, one.high, log=one.log)
        if isinstance(one, Range)
        else CategoricalDistribution(one)
        for key, one in space.items()
    }


def front(proposals: Sequence[Proposal]) -> Iterator[Proposal]:
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


def table(tree: Tree) -> list[str]:
    """The front of a search that ended, in lines."""
    trials = {one["number"]: one for one in tree["trials"]}
    rows = [f"{tree['metric']} on test, mean of fresh seeds (lowest to highest); {tree['cost']}; on validation before"]
    for number in tree["front"]:
        one = trials[number]
        ended = [run for run in one["confirmed"] if run["quality"] is not None]
        if not ended:
            rows.append(f"  no fresh run ended well: {label(one['settings'])}")
            continue
        scores, costs = [run["quality"] for run in ended], [run["cost"] for run in ended]
        lost = len(one["confirmed"]) - len(ended)
        rows.append(
            f"  {fmean(scores):.3f} ({min(scores):.3f} to {max(scores):.3f})  {cost_words(fmean(costs), tree['cost'])}"
            f"  {one['quality']:.3f}  {label(one['settings'])}" + (f"  ({lost} failed)" if lost else "")
        )
    count = len(tree["trials"])
    rows.append(
        f"{count} trials: {len(tree['front'])} on the front, {tree['dominated']} dominated, {tree['failed']} failed; "
        f"proposals that refused themselves, at no cost: {tree['refused']}"
    )
    if tree["cost"] == "seconds":
        rows.append("Seconds are those of this machine, as busy as it was.")
    return [*rows, CAVEAT]
