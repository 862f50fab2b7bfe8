"""The table of tasks."""

from functools import lru_cache
from typing import cast

from generators.kinds import Kinds
from generators.task import Task, TaskConfig

TASKS = Kinds(
    "task",
    {
        "induction": "generators.induction:Induction",
        "induction_corpus": "generators.induction_corpus:InductionCorpus",
        "choice": "generators.choice:Choice",
        "markov": "generators.markov:Markov",
        "polynomial": "generators.polynomial:Polynomial",
        "star": "generators.star:Star",
        "text": "generators.text:Text",
    },
    Task,
)


@lru_cache(maxsize=8)
def build_task(config: TaskConfig) -> Task:
    """The task of a configuration. A task never changes, so the runs of one process share it.

    Raises:
        UserError: the settings, or the file they name, cannot give one.
    """
    return cast(Task, TASKS.find(config.kind, "settings")(config))
