"""Runs that are trained again because their code changed.

They are trained in a folder within their own, `anew`. The old results stay readable until the new ones are complete,
and are then replaced: a kill at any moment leaves the old ones, the new ones, or no result and `anew`, from which the
next training puts the new ones in place.
"""

import shutil

from lab.run.files import make_folder
from lab.run.other_code.standing import OtherCode, standing_result
from lab.run.store import BEST, ENVIRONMENT, LAST, METRICS, RESULT, TIMING, RunFolder

DERIVED = ("analysis-*.json", "weights-*.safetensors")
"""Files that follow from the weights of a run."""


def begin_anew(folder: RunFolder) -> None:
    """Makes the next training of a run that ended begin anew, unless it is known to be made by the installed code."""
    if (folder.path / RESULT).exists() and (folder.code() is None or folder.changed_code()):
        make_folder(folder.anew.path)


def training_folder(folder: RunFolder, other_code: OtherCode) -> RunFolder:
    """Returns the folder in which a run is trained: its own, or `anew` within it if it has a result of different code.

    The caller holds the lock of the run's folder. Checkpoints of different code are deleted.
    """
    put_in_place(folder)
    if (folder.path / RESULT).exists() and standing_result(folder, other_code) is None:
        make_folder(folder.anew.path)
        clear_unless_resumable(folder.anew, other_code)
        return folder.anew
    clear_unless_resumable(folder, other_code)
    return folder


def clear_unless_resumable(folder: RunFolder, other_code: OtherCode) -> None:
    """Deletes the checkpoints and logs of a run that has not ended, if different code began it."""
    if (folder.path / RESULT).exists() or not (folder.path / LAST).exists():
        return
    unknown = folder.code() is None and other_code in ("renew", "retrain")
    if unknown or folder.changed_code():
        delete(folder, LAST, BEST, *DERIVED, METRICS, TIMING, ENVIRONMENT)


def put_in_place(folder: RunFolder) -> None:
    """Replaces the results of a run by those in `anew`, if a training has ended there.

    Files derived from the old weights are deleted first and the old result last; then the new files move in, the new
    result last.
    """
    anew = folder.anew
    if not (anew.path / RESULT).exists():
        return
    if (folder.path / RESULT).exists():
        delete(folder, *DERIVED, LAST, BEST, RESULT)
    for path in sorted(anew.path.iterdir(), key=lambda path: path.name == RESULT):
        path.replace(folder.path / path.name)
    shutil.rmtree(anew.path)


def delete(folder: RunFolder, *patterns: str) -> None:
    """Deletes the files of a run that match patterns, in the order of the patterns."""
    for pattern in patterns:
        for path in sorted(folder.path.glob(pattern)):
            path.unlink()
