"""The choice behind `training.compile = "auto"`: a study compiles its steps if it estimates that this saves time.

All runs of a study make the same choice, which is stored with it: a study that continues on a busier machine trains
the same runs. A study chooses only if its file leaves `training.compile` open.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from generators.foundation.errors import UserError
from lab.loss.compiler import require_compiler
from studies.declared.study import Study
from studies.ledger.folder import StudyFolder
from studies.running.executors.table import usual_workers
from studies.running.plan.cost import StudyPlan, TimeEstimate, duration_text, estimate_time, plan_study

COMPILED_SHARE = 0.8
"""The time of a compiled step as a share of an eager one; 0.66, 0.81 and 0.86 on a CPU at widths 28, 64 and 128."""
COMPILING_SECONDS = 40.0
"""Core-seconds that it takes to compile one network."""
LOADING_SECONDS = 5.0
"""Core-seconds that it takes one worker to load a compiled network from the cache."""
WORTHWHILE = 2.0
"""The time that compiling has to save, as a multiple of the time that it takes; an estimate can err by half."""
MIN_STEPS = 1000
"""Optimiser steps per cell below which compiling is not considered, and no step is timed: it needs steps of 0.2 s."""


@dataclass(frozen=True)
class CompileChoice:
    """The choice whether the steps of a study are compiled, with its reason in words."""

    compiled: bool
    reason: str


def resolve_compile(study: Study, home: Path, *, choose: bool) -> tuple[Study, str]:
    """Decides `training.compile` of a study that is about to run; a study that ran before keeps its earlier choice.

    Args:
        choose: whether to choose if the study never ran; shards, which could choose differently, do not compile.

    Returns:
        the study; a sentence to print if the study has just chosen to compile, otherwise an empty text.
    """
    if not study.leaves_compile_open:
        return study, ""
    folder = StudyFolder(home, study.name, study.scale)
    if folder.is_stored:
        try:
            return replace(study, compiled=folder.read_study().compiled), ""
        except UserError:  # is overwritten
            pass
    if not choose:
        return study, ""
    choice = choose_compile(study)
    sentence = f"{study.name}: {choice.reason}" if choice.compiled else ""
    return replace(study, compiled=choice.compiled), sentence


def choose_compile(study: Study) -> CompileChoice:
    """Decides from an estimate whether compiled steps would save a study time on this machine."""
    steps = [study.spec(cell, study.middle, 0).training.steps for cell in study.cells]
    if sum(steps) * (study.tuning_runs + study.seeds) < MIN_STEPS * len(steps):
        return CompileChoice(False, "steps are not compiled, because they are few")
    plan = plan_study(study)
    time = estimate_time(plan, None, probe=True)
    assert time is not None
    return choice_for(plan, time, usual_workers(study))


def choice_for(plan: StudyPlan, time: TimeEstimate, workers: int) -> CompileChoice:
    """Decides from the plan of a study, the estimated time of its eager steps, and the number of its workers."""
    saved = (1 - COMPILED_SHARE) * time.seconds
    spent = plan.networks * (COMPILING_SECONDS + LOADING_SECONDS * workers)
    try:
        require_compiler()
    except UserError:
        return CompileChoice(False, "steps are not compiled, because this machine has no C++ compiler")
    networks = f"{plan.networks} network{'s'[: plan.networks > 1]}"
    times = [f"about {duration_text(seconds)}" for seconds in (spent, saved, time.seconds)]
    if saved > WORTHWHILE * spent:
        return CompileChoice(
            True, "steps are compiled: compiling {} takes {} and saves {} of {}".format(networks, *times)
        )
    comparison = "compiling {} would take {} and save {} of {}".format(networks, *times)
    return CompileChoice(False, f"steps are not compiled: {comparison}")
