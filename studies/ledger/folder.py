"""The files that a study or a search keeps beside its runs.

    studies/<name>/<scale>/
        study.json       the study as it last ran
        ledger.json      its cells: trials, winner and confirming runs, with scores and failures
        journal.log      the same trials for optuna's tools
        verdicts.json    the verdicts on its claims, kept until a later run ends
        looks.json       the numbers of seeds at which it was ever judged, and the looks declared then
        state.json       the file that ran last, and whether that run ended; written first and last
        search.json      a search as it stands
        shards/i-of-k/   study.json, ledger.json and journal.log of a part of the cells, until the whole study runs

Everything but the looks can be written again from the runs. Reading imports nothing that trains or judges.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree, suggestion
from studies.declared.catalog import COLLECTIONS, STUDIES, hint_at_command
from studies.declared.names import run_command_line
from studies.ledger.records import CellRecord, LedgerRecord, LooksRecord, R, StateRecord, StudyRecord, VerdictsRecord
from studies.ledger.search_records import SearchRecord

STUDY, LEDGER, JOURNAL, SEARCH = "study.json", "ledger.json", "journal.log", "search.json"
VERDICTS, LOOKS, STATE, SHARDS = "verdicts.json", "looks.json", "state.json", "shards"


class StudyFolder:
    """Reads and writes the files of a study or search at one scale, or of one shard of a study.

    Reading raises a UserError where a file is not valid JSON or does not have the form of its record.

    Args:
        shard: `1-of-3`, or empty for the whole study.
    """

    def __init__(self, home: Path, name: str, scale: str, shard: str = "") -> None:
        self.home, self.name, self.scale = home, name, scale
        whole = home / "studies" / name / scale
        self.path = whole / SHARDS / shard if shard else whole

    def shard(self, number: int, count: int) -> "StudyFolder":
        """Returns the folder of one shard of the study."""
        return StudyFolder(self.home, self.name, self.scale, f"{number}-of-{count}")

    def delete_shards(self) -> None:
        """Deletes what the shards of the study wrote."""
        shutil.rmtree(self.path / SHARDS, ignore_errors=True)

    @property
    def is_stored(self) -> bool:
        """True if the study ran, whole or in shards."""
        return bool(self._parts(STUDY))

    @classmethod
    def all_stored(cls, home: Path, name: str | None = None, scale: str | None = None) -> list[Self]:
        """Returns the folders of studies that ran, whole or in shards, in the order of names and scales.

        Args:
            name: a study's name; None for any study.
            scale: the scale; None for any scale.
        """
        return [folder for folder in cls._places(home, name, scale) if folder.is_stored]

    @classmethod
    def all_searches(cls, home: Path, name: str | None = None, scale: str | None = None) -> list[Self]:
        """Returns the folders of searches that ran, as `all_stored` does of studies."""
        return [folder for folder in cls._places(home, name, scale) if (folder.path / SEARCH).exists()]

    @classmethod
    def latest(cls, home: Path, name: str, scale: str | None, argument: str | None = None) -> Self:
        """Returns the folder of a study; without a scale, of the scale that ran last.

        Args:
            argument: the argument of the command, if it was a path; an error message repeats it.

        Raises:
            UserError: the study never ran.
        """
        folders = cls.all_stored(home, name, scale)
        if not folders:
            hint = hint_at_command(name, STUDIES.run_command)
            if not hint and cls.all_searches(home, name):
                command = run_command_line(argument or f"{name}.toml", None, home, "study search")
                hint = f"is a search that ran under {home}; its command is: {command}"
            names = sorted({folder.name for folder in cls.all_stored(home)} | {*STUDIES.names, *COLLECTIONS.names})
            if not hint and not argument and name not in names:
                hint = f"never ran under {home}; {suggestion(name, names)}"
            if hint:
                raise UserError(f"study {name!r}: {hint}")
            place, command = f" at scale {scale}" if scale else "", run_command_line(argument or name, scale, home)
            raise UserError(f"study {name!r} never ran{place} under {home}; run it first: {command}")
        return max(folders, key=lambda folder: folder._newest(STUDY).stat().st_mtime)

    @classmethod
    def _places(cls, home: Path, name: str | None, scale: str | None) -> Iterator[Self]:
        """Yields the folders that exist, in the order of names and scales."""
        for study in _folders_in(home / "studies", name):
            for place in _folders_in(study, scale):
                yield cls(home, study.name, place.name)

    def files(self) -> list[Path]:
        """Returns the existing JSON files of a study and its shards; they change whenever the study advances."""
        paths = [
            self.path / STUDY,
            self.path / LEDGER,
            *sorted(self.path.glob(f"{SHARDS}/*/*.json")),
            self.path / VERDICTS,
            self.path / STATE,
        ]
        return [path for path in paths if path.exists()]

    def read_study(self) -> StudyRecord:
        """Returns the study as it last ran, whole or in shards.

        Raises:
            UserError: it cannot be read here, or its folder was renamed.
        """
        path = self._newest(STUDY)
        record = _parse(StudyRecord, path, self.of_another_version())
        if (record.name, record.scale) != (self.name, self.scale):
            raise UserError(
                f"{path}: is study {record.name!r} at scale {record.scale}, but its folder has another name; give the "
                "folder its name back"
            )
        return record

    def of_another_version(self, reason: str = "") -> UserError:
        """Returns the error for a stored study that cannot be read here, with the reason if it is known."""
        detail = f" ({reason})" if reason else ""
        return UserError(
            f"study {self.name!r} under {self.home} was stored by another version of the lab, or with a package that "
            f"is missing here{detail}; run it again, which keeps its runs: {self.run_command}"
        )

    @property
    def run_command(self) -> str:
        """The command that runs the study again, from the file that ran last if it is known."""
        origin, argument, assignments = self.read_state().origin, self.name, []
        if self.is_stored:
            with suppress(ValidationError):
                record = StudyRecord.model_validate_json(self._newest(STUDY).read_bytes())
                argument = self.name if record.is_of_catalog else f"{self.name}.toml"
                assignments = record.assignments
        if origin:
            argument = os.path.relpath(self.home.resolve() / origin)
        return run_command_line(argument, self.scale, self.home, assignments=assignments)

    def write_study(self, record: StudyRecord) -> None:
        """Writes study.json. Another version's ledger is emptied first, so that it is never read as this version's."""
        if (self.path / LEDGER).exists() and not self._has_version(record):
            self.write_cells([])
        self._write(STUDY, record.tree())

    def read_ledger(self) -> LedgerRecord:
        """Returns the ledger as last written, by whichever version of the study. A shard's ledger is later than the
        whole study's.

        A ledger that another version of the study wrote, such as that of a shard that ran before an edit, is left out.
        """
        damaged = UserError(f"{self.path}: its ledger is damaged; run the study again, which rewrites it")
        version = self._version_in(self._newest(STUDY).parent) if self.is_stored else None
        current = (path for path in self._parts(LEDGER) if self._version_in(path.parent) == version)
        ledgers = [_parse(LedgerRecord, path, damaged) for path in current]
        cells = {cell.label: cell for ledger in ledgers for cell in ledger.cells}
        codes = {digest: code for ledger in ledgers for digest, code in ledger.codes.items()}
        return LedgerRecord(cells=[*cells.values()], codes=codes, mixed_code=any(part.mixed_code for part in ledgers))

    def _has_version(self, record: StudyRecord) -> bool:
        try:
            return self._version_in(self.path) == record.version
        except UserError:  # it is damaged
            return False

    def _version_in(self, folder: Path) -> Tree | None:
        path = folder / STUDY
        return _parse(StudyRecord, path, self.of_another_version()).version if path.exists() else None

    def read_cells(self) -> list[CellRecord]:
        """Returns the cells of the ledger."""
        return self.read_ledger().cells

    def write_cells(self, cells: list[CellRecord]) -> None:
        """Writes ledger.json with cells whose runs are of unknown code."""
        self.write_ledger(LedgerRecord(cells=cells))

    def write_ledger(self, ledger: LedgerRecord) -> None:
        """Writes ledger.json."""
        self._write(LEDGER, ledger.tree())

    def read_state(self) -> StateRecord:
        """Returns the state of the study. If no state was ever written, the study counts as finished if it has
        verdicts.
        """
        path = self.path / STATE
        if not path.exists():
            return StateRecord(origin=None, finished=(self.path / VERDICTS).exists())
        try:
            return StateRecord.model_validate_json(path.read_bytes())
        except ValidationError:
            return StateRecord(origin=None, finished=False)

    def write_state(self, record: StateRecord) -> None:
        """Writes state.json."""
        self._write(STATE, record.tree())

    @property
    def has_verdicts(self) -> bool:
        """True if the study was judged when it last ran; False if the stored verdicts are of an earlier run."""
        return (self.path / VERDICTS).exists() and self.read_state().finished

    @property
    def standing(self) -> str:
        """Says that the study is unfinished, and whether its verdicts are of an earlier run; empty once it ended."""
        if self.has_verdicts:
            return ""
        earlier = "; the verdicts in verdicts.json are of an earlier run" if (self.path / VERDICTS).exists() else ""
        return f"unfinished: it is running, or was stopped before its verdicts{earlier}"

    def outdated_parts(self) -> list[str]:
        """Returns the parts whose cells are left out because another version of the study wrote them."""
        version = self._version_in(self._newest(STUDY).parent)
        folders = [path.parent for path in self._parts(LEDGER) if self._version_in(path.parent) != version]
        return ["the whole study" if folder == self.path else f"shard {folder.name}" for folder in folders]

    def read_verdicts(self) -> VerdictsRecord | None:
        """Returns the verdicts of the last run that ended, or None; `has_verdicts` says whether they are current."""
        return self._read(VERDICTS, VerdictsRecord)

    def write_verdicts(self, record: VerdictsRecord) -> None:
        """Writes verdicts.json."""
        self._write(VERDICTS, record.tree())

    def read_looks(self) -> dict[int, list[int] | None]:
        """Returns number of seeds -> the looks declared when the study was judged at it; empty if it never was."""
        record = self._read(LOOKS, LooksRecord)
        return record.root if record else {}

    def write_looks(self, looks: dict[int, list[int] | None]) -> None:
        """Writes looks.json."""
        self._write(LOOKS, LooksRecord(looks).model_dump(mode="json"))

    def read_search(self) -> SearchRecord | None:
        """Returns the current state of the search; None if it never ran."""
        return self._read(SEARCH, SearchRecord)

    def write_search(self, record: SearchRecord) -> None:
        """Writes search.json."""
        self._write(SEARCH, record.tree())

    def _parts(self, name: str) -> list[Path]:
        """Returns the files of this name in the whole study and its shards, if they exist, from oldest to newest."""
        paths = [path for path in self.path.glob(f"{SHARDS}/*/{name}") if path.exists()]
        whole = [self.path / name] if (self.path / name).exists() else []
        return [*whole, *sorted(paths, key=lambda path: path.stat().st_mtime)]

    def _newest(self, name: str) -> Path:
        return max(self._parts(name), key=lambda path: path.stat().st_mtime)

    def _read(self, name: str, model: type[R]) -> R | None:
        path = self.path / name
        damaged = UserError(f"{path}: is damaged; delete it and run the study again, which rewrites it")
        return _parse(model, path, damaged) if path.exists() else None

    def _write(self, name: str, tree: Tree) -> None:
        from lab.run.files import json_bytes, write_atomically

        write_atomically(self.path / name, json_bytes(tree))


def _folders_in(folder: Path, name: str | None) -> list[Path]:
    """Returns the folders in a folder, or only the folder of that name; the name is never interpreted as a pattern."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in paths if name in (None, path.name) and path.is_dir()]


def _parse(model: type[R], path: Path, damaged: UserError) -> R:
    """Returns the record in a file, which is written whole or not at all.

    Raises:
        UserError: the file is not valid JSON; or `damaged`, if its content does not fit the record.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] != "json_invalid":
            raise damaged from None
    raise UserError(f"{path}: not valid JSON; delete it and run the study again, which rewrites it")
