"""The verdicts of a study that ran, from its stored runs."""

from pathlib import Path

from generators.foundation.code.version import version_digest
from lab.run.store import RunFolder
from studies.declared.study import Study
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.judging.study_code import StudyCode
from studies.ledger.declared_study import ledger_of
from studies.ledger.records import LedgerRecord, RunRecord
from studies.ledger.scores import reasons_lacking, scores_for


def superseded_runs(home: Path, ledger: LedgerRecord) -> list[str]:
    """Returns the identities of runs that were trained again by different code after the ledger took their scores."""
    runs = [run for cell in ledger.cells for run in cell.runs if run.score is not None]
    return [run.identity for run in runs if is_superseded(run, RunFolder(home, run.identity))]


def is_superseded(run: RunRecord, folder: RunFolder) -> bool:
    """Tells whether a stored run was trained again by different code after a ledger took its score."""
    code = folder.code()
    return run.score is not None and code is not None and version_digest(code) != run.code


def judge_ledger(study: Study, ledger: LedgerRecord) -> list[Judgement]:
    """Returns the verdicts on a study's claims by the scores in a ledger of its cells."""
    cells = ledger.cells
    return judge(study, scores_for(study, cells), reasons_lacking(study, cells), StudyCode(ledger).obstacle)


def judge_stored(home: Path, study: Study) -> list[Judgement]:
    """Judges a study by the scores in its ledger.

    Args:
        home: the folder that the study ran under.

    Raises:
        UserError: the ledger is damaged or of another version of the study, or a run has another format than this
            version of the lab reads.
    """
    ledger = ledger_of(home, study)
    for cell in ledger.cells:
        for run in cell.runs:
            if run.score is not None:
                RunFolder(home, run.identity).check_format()
    return judge_ledger(study, ledger)
