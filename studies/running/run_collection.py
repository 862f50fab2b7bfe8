"""A collection, run from a command: its studies one after the other."""

from collections.abc import Callable
from dataclasses import dataclass, field

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.options import note
from lab.run.files import make_folder
from studies.declared.collection import Collection
from studies.declared.loading import declare
from studies.judging.study_code import OldRuns
from studies.running.coordinator import Interrupted
from studies.running.executors.table import ExecutorChoice
from studies.running.run_study import StudyResult, run_study


@dataclass
class CollectionResult:
    """The result of each study of a collection, or the reason why it failed, by name."""

    studies: dict[str, StudyResult] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def run_collection(
    collection: Collection,
    scale: str,
    assignments: list[str],
    choice: ExecutorChoice,
    notify: Callable[[StudyResult], None],
    old_runs: OldRuns = "keep",
) -> CollectionResult:
    """Runs every study of a collection in turn.

    All study files are validated before the first study runs. A study that fails does not stop the others; an executor
    that cannot be reached stops the collection.

    Args:
        notify: called with the result of every study.
        old_runs: the treatment of stored runs that were made by code other than the installed code.

    Raises:
        UserError: a study cannot be run as asked, or the executor cannot be used.
        Interrupted: Ctrl-C was pressed; the same command continues.
    """
    studies = [declare(name, scale, own) for name, own in collection.assigned(assignments).items()]
    make_folder(choice.home)
    result = CollectionResult()
    for study in studies:
        executor = choice.create(study)
        try:
            outcome = run_study(study, executor, choice.home, old_runs=old_runs)
        except Interrupted:
            raise
        except (UserError, WorkFailed) as error:
            result.failures[study.name] = str(error)
            note(f"{study.name}: {error}")
            continue
        result.studies[study.name] = outcome
        notify(outcome)
        if outcome.problem:
            result.failures[study.name] = outcome.problem
    return result
