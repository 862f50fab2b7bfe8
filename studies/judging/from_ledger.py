"""The verdicts of a study that ran, from its stored runs."""

from pathlib import Path

from studies.declared.study import Study
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.ledger.declared_study import cells_of
from studies.ledger.scores import scores_for


def judge_stored(home: Path, study: Study) -> list[Judgement]:
    """Judges a study by the scores in its ledger.

    Args:
        home: the folder that the study ran under.
    """
    return judge(study, scores_for(study, cells_of(home, study)))
