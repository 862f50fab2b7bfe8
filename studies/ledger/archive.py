"""Archives of studies: a study's files and those of its runs, without weights, in one file for other homes.

The archive (tar, xz) has the layout of a home, and the same study gives the same bytes. Once unpacked it is read,
reported and judged as if it had run in that home; existing files are never overwritten.
"""

import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from generators.foundation.errors import UserError
from lab.home import home_folder
from lab.run.files import make_folder, write_atomically
from lab.run.store import ENVIRONMENT, METRICS, RESULT, SPEC, TIMING
from studies.declared.collection import is_collection
from studies.declared.names import refusal_of_name
from studies.ledger.folder import LEDGER, LOOKS, STUDY, VERDICTS, StudyFolder
from studies.ledger.records import LedgerRecord, R, Record, StudyRecord

STUDY_FILES = (STUDY, LEDGER, VERDICTS, LOOKS)
RUN_FILES = (SPEC, ENVIRONMENT, RESULT, METRICS, TIMING)
ANALYSES = "analysis-*.json"
MEMBER = re.compile(
    r"studies/[^/.][^/]*/[^/.][^/]*/(study|ledger|verdicts|looks)\.json"
    r"|runs/[0-9a-f]{16}/(spec\.json|environment\.json|result\.json|metrics\.jsonl|timing\.jsonl|analysis-[a-z0-9_-]+\.json)"
)
"""Paths that an archive may hold."""
BYTES_MAXIMUM = 2**26


def pack(home: Path, name: str, scale: str | None) -> tuple[str, bytes]:
    """Returns the file name `NAME-SCALE.tar.xz` and the content of a study's archive.

    Raises:
        UserError: the study never ran, or has no verdicts yet.
    """
    folder = StudyFolder.latest(home, name, scale)
    if not folder.has_verdicts:
        raise UserError(
            f"{folder.name}, scale {folder.scale}: has no verdicts yet; finish it first: {folder.run_command}"
        )
    runs = sorted({run.identity for cell in folder.read_cells() for run in cell.runs})
    paths = [folder.path / file for file in STUDY_FILES]
    for run in runs:
        stored = home / "runs" / run
        paths += [stored / file for file in RUN_FILES]
        paths += sorted(stored.glob(ANALYSES))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", format=tarfile.PAX_FORMAT) as archive:
        for path in filter(Path.exists, paths):
            content = path.read_bytes()
            member = tarfile.TarInfo(path.relative_to(home).as_posix())
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return f"{folder.name}-{folder.scale}.tar.xz", packed.getvalue()


def unpack(path: Path | str, home: Path | str | None = None) -> tuple[str, str, int]:
    """Puts the study of an archive into a home.

    Args:
        path: a file that `lab study pack` wrote.
        home: the folder for runs and studies; by default LAB_HOME or `experiments`, as on the command line.

    Returns:
        the study's name and scale, and the number of its runs that the home did not have.

    Raises:
        UserError: the file is not such an archive, or the home has the study, or one of its runs, with different
            content.
    """
    path, home = Path(path), home_folder(home)
    files = read(path)
    studies = {name.parts[1:3] for name in files if name.parts[0] == "studies"}
    if len(studies) != 1:
        raise UserError(f"{path}: holds {len(studies)} studies; should be an archive of one, as lab study pack writes")
    ((study, scale),) = studies
    reason = "a collection has it" if is_collection(study) else refusal_of_name(study) or refusal_of_name(scale)
    if reason:
        raise UserError(f"{path}: {study!r} at scale {scale!r} cannot be the name of a study: {reason}")
    examine(path, files, study, scale)
    for name, content in files.items():
        target = home / name
        compared = name.parts[0] == "studies" or name.name in (SPEC, RESULT, METRICS)
        if compared and target.exists() and target.read_bytes() != content:
            what = f"study {study} at scale {scale}" if name.parts[0] == "studies" else f"run {name.parts[1]}"
            raise UserError(f"{path}: {home} has {what} already, with other content; give another --home")
    new = {name.parts[1] for name in files if name.parts[0] == "runs" and not (home / "runs" / name.parts[1]).exists()}
    # The study comes last: until its file exists, nothing reads the runs as belonging to it.
    for name, content in sorted(files.items(), key=lambda item: item[0].parts[0]):
        if name.parts[0] == "studies" or name.parts[1] in new:
            make_folder((home / name).parent)
            write_atomically(home / name, content)
    return study, scale, len(new)


def examine(path: Path, files: dict[PurePosixPath, bytes], study: str, scale: str) -> None:
    """Refuses an incomplete archive: one without its study, its ledger or the runs that have scores in the ledger.

    Raises:
        UserError: the first thing that is wrong.
    """
    contents = {str(name): _last_value(path, name, content) for name, content in files.items()}
    stem = f"studies/{study}/{scale}"
    record = _record(path, StudyRecord, contents, f"{stem}/{STUDY}")
    if (record.name, record.scale) != (study, scale):
        raise UserError(f"{path}: {stem}/{STUDY}: is of another study; nothing is unpacked")
    for cell in _record(path, LedgerRecord, contents, f"{stem}/{LEDGER}").cells:
        for run in cell.runs:
            if run.score is None:
                continue
            result = _record(path, ResultRecord, contents, f"runs/{run.identity}/{RESULT}")
            if result.run != run.identity or f"runs/{run.identity}/{SPEC}" not in contents:
                raise UserError(f"{path}: runs/{run.identity}: does not hold the run of that name; nothing is unpacked")


class ResultRecord(Record):
    """The part of a run's result that says which run it belongs to."""

    run: str


def _last_value(path: Path, name: PurePosixPath, content: bytes) -> Any:
    """Returns the value in a JSON file, or on the last line of a log."""
    try:
        lines = content.splitlines() if name.suffix == ".jsonl" else [content]
        return [json.loads(line) for line in lines][-1] if lines else {}
    except ValueError:
        raise UserError(f"{path}: {name}: not valid JSON; nothing is unpacked") from None


def _record(path: Path, model: type[R], contents: Mapping[str, Any], name: str) -> R:
    if name not in contents:
        raise UserError(f"{path}: is not a whole study: {name} is missing; nothing is unpacked")
    try:
        return model.model_validate_json(json.dumps(contents[name]))
    except ValidationError:
        raise UserError(f"{path}: is not a whole study: {name} is damaged; nothing is unpacked") from None


def read(path: Path) -> dict[PurePosixPath, bytes]:
    """Returns the files of an archive, after checking the name, kind and size of every member."""
    files: dict[PurePosixPath, bytes] = {}
    left = BYTES_MAXIMUM
    try:
        with tarfile.open(path, "r:xz") as archive:
            for member in archive:
                left -= member.size
                expected = MEMBER.fullmatch(member.name) and member.isreg() and left >= 0
                file = archive.extractfile(member) if expected else None
                if file is None:
                    raise UserError(f"{path}: {member.name!r}: lab study pack writes no such file; nothing is unpacked")
                if PurePosixPath(member.name) in files:
                    raise UserError(f"{path}: has {member.name} twice; nothing is unpacked")
                files[PurePosixPath(member.name)] = file.read()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give an archive that lab study pack wrote") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; give an archive that lab study pack wrote") from None
    except (OSError, tarfile.TarError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"{path}: cannot be read as an archive of a study ({reason})") from None
    return files
