"""Checks of the files and folders that a command is to write, made before it does any work."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from generators.foundation.errors import UserError

FILE_ENDINGS = (
    *(".csv", ".html", ".json", ".jsonl", ".md", ".parquet", ".pdf", ".png", ".safetensors", ".svg", ".txt", ".xlsx"),
    *(".bz2", ".gz", ".tar", ".tgz", ".xz", ".zip", ".zst"),
)
"""Endings of files. No command creates a folder with such a name, because whoever gives it expects a file."""


def check_output_file(option: str, path: Path, endings: Sequence[str], alternative: str = "") -> None:
    """Checks that a file can be written.

    Args:
        option: the option that the path was given with, or the argument; named in the error.
        endings: the formats that the command offers, such as `.csv`.
        alternative: what else the path may be, as the error says it.

    Raises:
        UserError: the path has another ending or is a folder, or its folder cannot be written to.
    """
    if path.suffix not in endings:
        raise UserError(f"{option} {path}: should end in {' or '.join(endings)}{alternative}")
    try:
        is_folder = path.is_dir()
    except OSError as error:  # a name that is too long
        raise UserError(f"{option} {path}: cannot be written ({error.strerror}); give another path") from None
    if is_folder:
        raise UserError(f"{option} {path}: is a folder; give the path of a file")
    _check_place(option, path, path.absolute().parent)


def check_output_folder(option: str, path: Path, *, empty: bool = False) -> None:
    """Checks that a folder can be written to, or created. It is not created yet.

    Args:
        option: the option that the path was given with, or the argument; named in the error.
        empty: refuses a folder that holds something.

    Raises:
        UserError: the path is a file or has the ending of a file, or the folder cannot be written to.
    """
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except OSError as error:  # a name that is too long
        raise UserError(f"{option} {path}: cannot be made a folder ({error.strerror}); give another path") from None
    if exists and not is_folder:
        raise UserError(f"{option} {path}: is a file; give a folder")
    if not exists and path.suffix.lower() in FILE_ENDINGS:
        raise UserError(
            f"{option} {path}: should be a folder, which gets several files; give a name that does not end in "
            f"{path.suffix}"
        )
    _check_place(option, path, path.absolute())
    if empty and exists and any(path.iterdir()):
        raise UserError(f"{option} {path}: is not empty; give a folder that is empty or does not exist yet")


def make_output_folder(option: str, path: Path, folder: Path) -> None:
    """Creates the folder of an output.

    Raises:
        UserError: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_folder(option, path, error.strerror) from None


def _check_place(option: str, path: Path, folder: Path) -> None:
    """Checks that files can be created in a folder, or in the nearest folder above it that exists."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir():
        raise _no_folder(option, path, os.strerror(errno.ENOTDIR))
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"{option} {path}: {existing} cannot be written to; give another path")


def _no_folder(option: str, path: Path, reason: str | None) -> UserError:
    return UserError(f"{option} {path}: the folder cannot be created ({reason}); give another path")
