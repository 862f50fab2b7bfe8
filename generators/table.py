"""The table of tasks. A new task of this lab is one file and one row here."""

from functools import lru_cache
from typing import cast

from generators.foundation.kinds import SettingsRegistry
from generators.task import Task, TaskConfig

TASKS = SettingsRegistry(
    "task",
    {
        "induction": "generators.tasks.induction:Induction",
        "induction_corpus": "generators.tasks.induction_corpus:InductionCorpus",
        "choice": "generators.tasks.choice:Choice",
        "countdown": "generators.tasks.countdown:Countdown",
        "group": "generators.tasks.group:Group",
        "markov": "generators.tasks.markov:Markov",
        "plan": "generators.tasks.plan:Plan",
        "polynomial": "generators.tasks.polynomial:Polynomial",
        "satisfiability": "generators.tasks.satisfiability:Satisfiability",
        "star": "generators.tasks.star:Star",
        "suffix": "generators.tasks.suffix:Suffix",
        "text": "generators.tasks.text:Text",
    },
    Task,
    plural="tasks",
)
"""The registry of tasks."""


@lru_cache(maxsize=8)
def build_task(config: TaskConfig) -> Task:
    """Builds the task of a configuration. A task never changes, so all runs of one process share it.

    Raises:
        UserError: the task cannot be built from these settings, or from a file that they name.
    """
    return cast(Task, TASKS.find(config.kind, "settings")(config))
