"""Loads the results of a study for a notebook."""

from pathlib import Path

from lab.home import home_folder
from studies.declared.study import Study
from studies.ledger.declared_study import find_study
from studies.reading.judged import JudgedStudy, read_judged


def load(study: str | Path | Study, home: Path | str | None = None, scale: str | None = None) -> JudgedStudy:
    """Returns the results of a study that ran: its runs and curves as frames, and the verdicts on its claims.

    The claims are judged from the scores stored so far, so a study that is still running can be loaded too.

    Args:
        study: the name of a stored study, the path of its file, or the declared study.
        home: the folder that the study ran under; by default LAB_HOME or `experiments`, as on the command line.
        scale: by default the scale that ran last.

    Raises:
        UserError: the study never ran there, or what is stored cannot be read.
    """
    folder = home_folder(home)
    declared = study if isinstance(study, Study) else find_study(folder, str(study), scale)
    return read_judged(folder, declared)
