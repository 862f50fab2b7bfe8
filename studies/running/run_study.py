"""One study, run from a command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generators.foundation.options import note
from generators.foundation.settings import Tree
from lab.home import home_folder
from studies.declared.study import Study
from studies.judging.judgement import Judgement, standing
from studies.judging.study_code import OldRuns, StudyCode
from studies.ledger.places import place_for
from studies.ledger.scores import analysis_failures, failures
from studies.running.executors.executor import Executor
from studies.running.executors.here import InProcess
from studies.running.plan.compiling import resolve_compile
from studies.running.plan.stacking import stacking_lines
from studies.running.progress import Reporter
from studies.running.shard import WHOLE, Shard
from studies.running.sweep import Sweep

LINES_MAXIMUM = 5
"""The most failures of one kind that a sentence lists."""
PLURALS = {"run": "runs", "analysis of a run": "analyses of runs", "claim": "claims"}


@dataclass(frozen=True, repr=False)
class StudyResult:
    """The result of running a study or one shard of it.

    Attributes:
        changed: the keys in which the study differs from the version that ran before.
        trained: runs that were trained, not taken from the store.
        ended: runs that ended, of `runs`.
        failures: a line for each failed run.
        analysis_failures: a line for each analysis of a run that could not be computed.
        judgements: the verdicts on the claims; a shard has none.
        code: the code that made the runs.
    """

    changed: list[str]
    trained: int
    ended: int
    runs: int
    failures: list[str]
    analysis_failures: list[str]
    judgements: list[Judgement]
    code: StudyCode

    def __repr__(self) -> str:
        verdicts = "".join(f"; {judgement.claim.name} {standing(judgement)}" for judgement in self.judgements)
        return f"<{self.ended} of {self.runs} runs ended, {self.trained} trained now{verdicts}>"

    def tree(self) -> Tree:
        """Returns the result as JSON types."""
        verdicts = [judgement.record().tree() for judgement in self.judgements]
        return {
            "changed": self.changed,
            "trained": self.trained,
            "failed": self.failures,
            "failed_analyses": self.analysis_failures,
            **self.code.tree(),
            "verdicts": verdicts,
        }

    @property
    def problem(self) -> str:
        """The failures in one sentence; empty if there are none."""
        broken = [judgement for judgement in self.judgements if judgement.failure]
        listed = [
            ("run", self.failures),
            ("analysis of a run", self.analysis_failures),
            ("claim", [f"{judgement.claim.name}: {judgement.failure}" for judgement in broken]),
        ]
        return "; ".join(
            f"{len(lines)} {noun if len(lines) == 1 else PLURALS[noun]} failed: {'; '.join(lines[:LINES_MAXIMUM])}"
            for noun, lines in listed
            if lines
        )


def run_study(
    study: Study,
    executor: Executor[Any] | None = None,
    home: Path | str | None = None,
    shard: Shard = WHOLE,
    old_runs: OldRuns = "keep",
) -> StudyResult:
    """Trains the missing runs of a study or shard and shows progress; judges the claims unless it ran only a shard.

    Args:
        executor: where runs are trained; by default in this process, one after the other.
        home: the folder for runs and studies; by default LAB_HOME or `experiments`, as on the command line.
        old_runs: the treatment of stored runs that were made by code other than the installed code.

    Raises:
        UserError: the study's name belongs to another file in this home; another process is running the study; or runs
            are missing, different code made the stored ones, and `old_runs` is "keep".
        Interrupted: Ctrl-C was pressed.
    """
    home = home_folder(home)
    executor = InProcess(home) if executor is None else executor
    place = place_for(home, study)
    if place.remark:
        note(place.remark)
    study, remark = resolve_compile(study, home, choose=shard == WHOLE)
    if remark:
        note(remark)
    for line in stacking_lines(study):
        note(f"{study.name}: {line}")
    with Reporter(study, shard.of(study.cells), executor.count) as reporter:
        sweep = Sweep(study, home, reporter.show, shard, old_runs, reporter.announce)
        judgements = sweep.run(executor)
    for remark in sweep.code.remarks():
        note(remark)
    return StudyResult(
        changed=place.changed,
        trained=sweep.trained,
        ended=sweep.done,
        runs=sweep.runs,
        failures=failures(sweep.records),
        analysis_failures=analysis_failures(sweep.records),
        judgements=judgements,
        code=sweep.code,
    )
