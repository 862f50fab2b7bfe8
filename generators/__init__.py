"""Tasks: sources of samples whose labels can be trusted. Needs no torch.

The names below are the public ones: what a notebook or another package's task imports.

    from generators import Batch, Integers, Stream, Task, TaskConfig
"""

from typing import TYPE_CHECKING

from generators.foundation.lazy import lazy_exports

if TYPE_CHECKING:
    from generators.check import TaskCheck, check_task
    from generators.foundation.errors import UserError, WorkFailed
    from generators.foundation.randomness import Floats, Integers, Stream, Words, sample_keys
    from generators.foundation.settings import Settings
    from generators.material.items import Items, items
    from generators.protocols import (
        ChoicePoints,
        ChoicePointTask,
        Information,
        ItemSource,
        ItemTask,
        KnownDistribution,
        KnownInformation,
        KnownPairs,
        LearntVocabulary,
    )
    from generators.table import TASKS, build_task
    from generators.task import Batch, HeldOutSamples, Mask, Rule, Task, TaskConfig, TrainingSamples
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "generators.check": ("TaskCheck", "check_task"),
            "generators.foundation.errors": ("UserError", "WorkFailed"),
            "generators.foundation.randomness": ("Floats", "Integers", "Stream", "Words", "sample_keys"),
            "generators.foundation.settings": ("Settings",),
            "generators.material.items": ("Items", "items"),
            "generators.protocols": (
                "ChoicePointTask",
                "ChoicePoints",
                "Information",
                "ItemSource",
                "ItemTask",
                "KnownDistribution",
                "KnownInformation",
                "KnownPairs",
                "LearntVocabulary",
            ),
            "generators.table": ("TASKS", "build_task"),
            "generators.task": ("Batch", "HeldOutSamples", "Mask", "Rule", "Task", "TaskConfig", "TrainingSamples"),
        },
    )

__all__ = [
    "TASKS",
    "Batch",
    "ChoicePointTask",
    "ChoicePoints",
    "Floats",
    "HeldOutSamples",
    "Information",
    "Integers",
    "ItemSource",
    "ItemTask",
    "Items",
    "KnownDistribution",
    "KnownInformation",
    "KnownPairs",
    "LearntVocabulary",
    "Mask",
    "Rule",
    "Settings",
    "Stream",
    "Task",
    "TaskCheck",
    "TaskConfig",
    "TrainingSamples",
    "UserError",
    "Words",
    "WorkFailed",
    "build_task",
    "check_task",
    "items",
    "sample_keys",
]
