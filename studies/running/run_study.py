"""Studies run from a command: one, or a collection of them in turn."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.options import note
from generators.foundation.settings import Tree
from lab.run.files import make_folder
from studies.declared.collection import Collection
from studies.declared.loading import load
from studies.declared.study import Study
from studies.judging.judgement import Judgement
from studies.ledger.folder import StudyFolder
from studies.ledger.scores import failures
from studies.running.executors.executor import Executor
from studies.running.executors.table import Setup, executor
from studies.running.progress import Reporter
from studies.running.sweep import WHOLE, Interrupted, Shard, Sweep


@dataclass(frozen=True)
class Place:
    """Where a command runs things. executor: its name; home: of the store."""

    executor: str
    setup: Setup
    home: Path

    def workers(self, study: Study) -> Executor[Any]:
        """What runs the runs of a study.

        Raises:
            UserError: there is no such executor, or it cannot be reached.
        """
        folder = StudyFolder(self.home, study.name, study.scale).path
        return executor(self.executor, self.setup, self.home, folder, usual_workers(study))


@dataclass(frozen=True)
class Ran:
    """What became of a study. ended and runs: of its part, if it is a shard."""

    trained: int
    ended: int
    runs: int
    failed: list[str]
    verdicts: list[Judgement]

    def tree(self) -> Tree:
        """As JSON types."""
        return {
            "trained": self.trained,
            "failed": self.failed,
            "verdicts": [judgement.record().tree() for judgement in self.verdicts],
        }


def usual_workers(study: Study) -> int:
    """Runs at once where nobody says how many: one a core, one on a GPU."""
    return (os.cpu_count() or 1) if study.base.get("training", {}).get("device", "cpu") == "cpu" else 1


def run_study(study: Study, workers: Executor[Any], home: Path, part: Shard = WHOLE) -> Ran:
    """Run what is missing of a study, or of a shard of it; a whole one is judged.

    Raises:
        UserError: it is being run by another process.
        Interrupted: by Ctrl-C.
    """
    with Reporter(study, part.of(study.cells), workers.count) as reporter:
        sweep = Sweep(study, home, reporter.ended, part)
        judgements = sweep.run(workers)
    return Ran(reporter.trained, sweep.done, sweep.runs, failures(sweep.records), judgements)


def run_collection(
    collection: Collection, scale: str, assignments: list[str], place: Place, tell: Callable[[str, Ran], None]
) -> tuple[dict[str, Ran], dict[str, str]]:
    """Every study of a collection in turn; `tell` hears of each that ended.

    All of them are read and refused before the first one runs. One that fails as it runs leaves the others to run; a
    place where nothing can run ends it at once.

    Returns:
        what became of each study, and why those failed that did.

    Raises:
        UserError: a study cannot be run as asked, or nothing can at that place.
        Interrupted: by Ctrl-C; the same command goes on.
    """
    studies = [load(name, scale, given) for name, given in collection.assigned(assignments).items()]
    make_folder(place.home)
    ran: dict[str, Ran] = {}
    failed: dict[str, str] = {}
    for study in studies:
        workers = place.workers(study)
        try:
            ran[study.name] = run_study(study, workers, place.home)
        except Interrupted:
            raise
        except (UserError, WorkFailed) as error:
            failed[study.name] = str(error)
            note(f"{study.name}: {error}")
            continue
        tell(study.name, ran[study.name])
        if runs := ran[study.name].failed:
            failed[study.name] = f"{len(runs)} failed, the first: {runs[0]}"
    return ran, failed
