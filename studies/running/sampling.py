"""Optuna as a search uses it: in memory, it proposes settings from a space to increase quality and reduce cost."""

from collections.abc import Mapping

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import Trial, TrialState

from generators.foundation.errors import UserError
from generators.foundation.randomness import hash_name
from studies.declared.ranges import Range
from studies.declared.search import Search
from studies.declared.search_file import Choices, Sampler
from studies.ledger.search_records import RangeRecord

optuna.logging.set_verbosity(optuna.logging.WARNING)
SAMPLER_DRAWS, DRAWS_MAXIMUM = 5, 200
"""Proposals in a row that may be refused: a few of the sampler's, which may insist on them, the others random."""


class ProposalSampler:
    """Proposes settings that can run.

    Attributes:
        refused: number of proposals that could not run; they use up no trial.
    """

    def __init__(self, search: Search) -> None:
        self.search = search
        self.sampler = build_sampler(search, search.declaration.sampler)
        self.random = build_sampler(search, "random")
        self.study = optuna.create_study(directions=["maximize", "minimize"], sampler=self.sampler)
        self.study.enqueue_trial(search.first)
        self.refused = 0

    def ask(self) -> Trial:
        """Returns a proposal that can run.

        Raises:
            UserError: `DRAWS_MAXIMUM` proposals in a row cannot run.
        """
        for draw in range(DRAWS_MAXIMUM):
            self.study.sampler = self.sampler if draw < SAMPLER_DRAWS else self.random
            trial = self.study.ask(distributions(self.search.space))
            reason = self.search.refusal(trial.params)
            if reason is None:
                return trial
            self.refused += 1
            self.study.tell(trial, state=TrialState.FAIL)
        raise UserError(
            f"{self.search.source}: space: {DRAWS_MAXIMUM} proposals in a row cannot run, the last because {reason}; "
            "remove choices that exclude each other"
        )

    def tell(self, trial: Trial, values: tuple[float, float] | None) -> None:
        """Tells optuna the quality and cost of a proposal, or that it failed."""
        if values is None:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, list(values))


def build_sampler(search: Search, name: Sampler) -> optuna.samplers.BaseSampler:
    """Returns the sampler of a name; its draws depend on the search's name and scale."""
    seed = int(hash_name(f"{search.name} {search.scale}")) % 2**32
    match name:
        case "gp":
            return optuna.samplers.GPSampler(seed=seed)
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "tpe":
            return optuna.samplers.TPESampler(seed=seed)


def distributions(space: Mapping[str, Choices | Range | RangeRecord]) -> dict[str, BaseDistribution]:
    """Returns the distribution of each setting of a space."""
    return {
        key: FloatDistribution(values.low, values.high, log=values.log)
        if isinstance(values, Range | RangeRecord)
        else CategoricalDistribution(values)
        for key, values in space.items()
    }
