"""The verdicts of a study that ran, from its stored runs."""

from pathlib import Path

from lab.run.store import RunFolder
from studies.declared.study import Study
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.ledger.declared_study import cells_of
from studies.ledger.scores import reasons_lacking, scores_for


def judge_stored(home: Path, study: Study) -> list[Judgement]:
    """Judges a study by the scores in its ledger.

    Args:
        home: the folder that the study ran under.

    Raises:
        UserError: the ledger is damaged or of another version of the study, or a run has another format than this
            version of the lab reads.
    """
    cells = cells_of(home, study)
    for cell in cells:
        for run in cell.runs:
            if run.score is not None:
                RunFolder(home, run.identity).check_format()
    return judge(study, scores_for(study, cells), reasons_lacking(study, cells))
