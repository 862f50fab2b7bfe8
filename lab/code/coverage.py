"""The code that makes a run: the modules that can change a number of it.

The modules are those that the classes of task, trunk and objective use through their imports, and those of the
training loop, the optimiser step and the evaluation. Among the lab's own files, only those below count, because code
that reads, stores, reports or checks runs does not change their numbers. All modules of another package count.
"""

from functools import cache
from importlib.metadata import Distribution
from typing import Any

from generators.foundation.code.registration import MAIN
from generators.foundation.code.source import import_closure
from generators.foundation.code.version import module_versions, provided_part
from generators.foundation.kinds import SettingsRegistry
from generators.foundation.outside import AFTER_REGISTRATION
from generators.table import TASKS
from lab.model.table import MODELS
from lab.objectives.table import OBJECTIVES

ROOMS = ("generators", "lab")
LOOP = "lab.run.training"
COVERED = (
    "generators.foundation.randomness",
    "generators.material",
    "generators.task",
    "generators.tasks",
    "lab.loss",
    "lab.model",
    "lab.objectives",
    LOOP,
    "lab.run.assembly",
    "lab.run.evaluation",
    "lab.run.loop",
    "lab.run.optimisers",
    "lab.run.schedule",
    "lab.run.step",
    "lab.run.training_data",
)
COVERED_IN_FINETUNING = "lab.run.finetuning"
COVERED_IN_STACKS = "lab.run.stacking"
LEFT_OUT = (
    "lab.model.cache",
    "lab.model.caches",
    "lab.model.table",
    "lab.objectives.check",
    "lab.objectives.checks",
    "lab.objectives.table",
)
"""Files among the covered that no run depends on."""


@cache
def code_of_kinds(
    tasks: frozenset[str],
    models: frozenset[str],
    objectives: frozenset[str],
    *,
    finetuned: bool = False,
    stacked: bool = False,
) -> dict[str, str]:
    """Returns the version of the code that makes a run, as it is installed.

    Args:
        tasks: the kinds of its task, and of that of the run that it starts from.
        models: the kinds of the trunks, likewise.
        objectives: the kinds of the objectives, likewise.
        finetuned: whether the run starts from the weights of another one.
        stacked: whether it may be trained in a stack.
    """
    covered = (*COVERED, *[COVERED_IN_FINETUNING][:finetuned], *[COVERED_IN_STACKS][:stacked])
    roots, packages, provided = {LOOP}, set(ROOMS), {}
    registries = (TASKS, tasks), (MODELS, models), (OBJECTIVES, objectives)
    for registry, kind in [(registry, kind) for registry, kinds in registries for kind in kinds]:
        modules = defining_modules(registry, kind) - {MAIN}
        roots |= modules
        packages |= {module.partition(".")[0] for module in modules}
        if kind not in registry.rows:
            packages |= top_level_names(registry.package(kind))
            provided[provided_part(registry.group, kind)] = registry.outside[kind][0].value

    def covers(module: str) -> bool:
        if module.partition(".")[0] not in ROOMS:
            return True
        return is_under(module, covered) and not is_under(module, LEFT_OUT)

    return module_versions(import_closure(roots, frozenset(packages), covers)) | provided


AFTER_REGISTRATION.append(code_of_kinds.cache_clear)


def defining_modules(registry: SettingsRegistry, kind: str) -> set[str]:
    """Returns the modules that define the class of a kind, its settings, and the classes that they extend."""
    kinds: tuple[type[Any], ...] = (registry.find(kind, ""), registry.config_of(kind, ""))
    general: tuple[type[Any], ...] = (registry.base, registry.config_base)
    return {
        ancestor.__module__
        for extended, base in zip(kinds, general, strict=True)
        for ancestor in extended.__mro__
        if issubclass(ancestor, base)
    }


def top_level_names(package: Distribution | None) -> set[str]:
    """Returns the names under which an installed package is imported, as far as it lists them."""
    try:
        listed = package.read_text("top_level.txt") if package else None
        return set((listed or "").split())
    except Exception:  # a damaged installation
        return set()


def is_under(module: str, folders: tuple[str, ...]) -> bool:
    """Tells whether a module is one of some modules, or in one of some packages."""
    return any(module == folder or module.startswith(f"{folder}.") for folder in folders)
