"""A study as one file: what it stored and what its runs stored, without weights, to be read elsewhere.

The archive (tar, xz) has the layout of a lab's home, and the same study gives the same bytes. Unpacked into a home it
is read, reported and judged as if it had run there; nothing that is there already is written over.
"""

import io
import json
import re
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from generators.foundation.errors import UserError
from lab.run.store import ENVIRONMENT, METRICS, RESULT, SPEC, TIMING, make_folder, write_whole
from studies.ledger.files import LEDGER, LOOKS, STUDY, VERDICTS, ledger_cells, stored_study, study_folder

OF_A_STUDY = (STUDY, LEDGER, VERDICTS, LOOKS)
OF_A_RUN = (SPEC, ENVIRONMENT, RESULT, METRICS, TIMING)
ANALYSES = "analysis-*.json"
MEMBER = re.compile(
    r"studies/[^/.][^/]*/[^/.][^/]*/(study|ledger|verdicts|looks)\.json"
    r"|runs/[0-9a-f]{16}/(spec\.json|environment\.json|result\.json|metrics\.jsonl|timing\.jsonl|analysis-[a-z0-9-]+\.json)"
)
"""What an archive may hold."""
BYTES_MAXIMUM = 2**26


def pack(home: Path, name: str, scale: str | None) -> tuple[str, bytes]:
    """The file name `NAME-SCALE.tar.xz` of a study that ran, and its content.

    Raises:
        UserError: it never ran, or has not ended: what was judged is what is shared.
    """
    study = stored_study(home, name, scale)
    folder = study_folder(home, study["name"], study["scale"])
    if not (folder / VERDICTS).exists():
        raise UserError(
            f"{study['name']}, scale {study['scale']}: has not come to its verdicts; "
            f"go on first: lab study run {name} --scale {study['scale']}"
        )
    runs = sorted({entry["run"] for cell in ledger_cells(folder) for entry in cell["entries"]})
    paths = [folder / each for each in OF_A_STUDY]
    for run in runs:
        stored = home / "runs" / run
        paths += [stored / each for each in OF_A_RUN]
        paths += sorted(stored.glob(ANALYSES))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", format=tarfile.PAX_FORMAT) as archive:
        for path in filter(Path.exists, paths):
            content = path.read_bytes()
            member = tarfile.TarInfo(path.relative_to(home).as_posix())
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return f"{study['name']}-{study['scale']}.tar.xz", packed.getvalue()


def unpack(path: Path, home: Path) -> tuple[str, str, int]:
    """Put the study of an archive into a home.

    Returns:
        its name and scale, and how many runs are new here.

    Raises:
        UserError: it is no such archive, or the home has that study with other content.
    """
    files = read(path)
    studies = {name.parts[1:3] for name in files if name.parts[0] == "studies"}
    if len(studies) != 1:
        raise UserError(f"{path}: holds {len(studies)} studies; should be an archive that lab study pack wrote, of one")
    ((study, scale),) = studies
    examine(path, files, study, scale)
    for name, content in files.items():
        there = home / name
        compared = name.parts[0] == "studies" or name.name in (SPEC, RESULT, METRICS)
        if compared and there.exists() and there.read_bytes() != content:
            what = f"study {study} at scale {scale}" if name.parts[0] == "studies" else f"run {name.parts[1]}"
            raise UserError(f"{path}: {home} has {what} already, with other content; give another --home")
    new = {name.parts[1] for name in files if name.parts[0] == "runs" and not (home / "runs" / name.parts[1]).exists()}
    # The study last: until its file is there, nothing reads the runs as its own.
    for name, content in sorted(files.items(), key=lambda item: item[0].parts[0]):
        if name.parts[0] == "studies" or name.parts[1] in new:
            make_folder((home / name).parent)
            write_whole(home / name, content)
    return study, scale, len(new)


def examine(path: Path, files: dict[PurePosixPath, bytes], study: str, scale: str) -> None:
    """Refuse an archive whose files are not those of the study that it says, each run whole.

    Raises:
        UserError: what is wrong first.
    """
    trees: dict[str, Any] = {}
    for name, content in files.items():
        try:
            lines = content.splitlines() if name.suffix == ".jsonl" else [content]
            trees[str(name)] = [json.loads(line) for line in lines][-1] if lines else {}
        except ValueError:
            raise UserError(f"{path}: {name}: not valid JSON; nothing is unpacked") from None
    stem = f"studies/{study}/{scale}"
    try:
        form, cells = trees[f"{stem}/{STUDY}"], trees[f"{stem}/{LEDGER}"]["cells"]
        if (form["name"], form["scale"]) != (study, scale):
            raise UserError(f"{path}: {stem}/{STUDY}: is of another study; nothing is unpacked")
        for entry in (entry for cell in cells for entry in cell["entries"] if entry["score"] is not None):
            result = trees[f"runs/{entry['run']}/{RESULT}"]
            if result["run"] != entry["run"] or f"runs/{entry['run']}/{SPEC}" not in trees:
                raise UserError(f"{path}: runs/{entry['run']}: is not the run it should be; nothing is unpacked")
    except (KeyError, TypeError, IndexError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else "its ledger or a result is damaged"
        raise UserError(f"{path}: is not a whole study: {what}; nothing is unpacked") from None


def read(path: Path) -> dict[PurePosixPath, bytes]:
    """The files of an archive, of which none is trusted to say where it goes."""
    found: dict[PurePosixPath, bytes] = {}
    left = BYTES_MAXIMUM
    try:
        with tarfile.open(path, "r:xz") as archive:
            for member in archive:
                left -= member.size
                expected = MEMBER.fullmatch(member.name) and member.isreg() and left >= 0
                file = archive.extractfile(member) if expected else None
                if file is None:
                    raise UserError(f"{path}: {member.name!r}: lab study pack writes no such file; nothing is unpacked")
                if PurePosixPath(member.name) in found:
                    raise UserError(f"{path}: has {member.name} twice; nothing is unpacked")
                found[PurePosixPath(member.name)] = file.read()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give an archive that lab study pack wrote") from None
    except (OSError, tarfile.TarError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as an archive of a study ({error})") from None
    return found
