"""The files that a study or a search keeps beside its runs.

    studies/<name>/<scale>/
        study.json       the study as it last ran
        ledger.json      its cells: trials, winner and confirming runs, with scores and failures
        journal.log      the same trials for optuna's tools
        verdicts.json    the verdicts on its claims, written last
        looks.json       the numbers of seeds at which it was ever judged, and the looks declared then
        search.json      the current state of a search
        shards/i-of-k/   study.json, ledger.json and journal.log of a part of the cells, until the whole study runs

Everything but the looks can be written again from the runs. Reading imports nothing that trains or judges.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from studies.ledger.records import (
    CellRecord,
    LedgerRecord,
    LooksRecord,
    R,
    StudyRecord,
    VerdictsRecord,
)
from studies.ledger.search_records import SearchRecord

if TYPE_CHECKING:
    from studies.declared.study import Study

STUDY, LEDGER, JOURNAL, SEARCH = "study.json", "ledger.json", "journal.log", "search.json"
VERDICTS, LOOKS, SHARDS = "verdicts.json", "looks.json", "shards"


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

    @classmethod
    def all_stored(cls, home: Path, name: str | None = None, scale: str | None = None) -> list[Self]:
        """Returns the folders of studies that ran, whole or in shards, in the order of names and scales.

        Args:
            name: a study's name or the path of its file; any study where None.
            scale: any scale where None.
        """
        pattern = f"studies/{Path(name).stem if name else '*'}/{scale or '*'}"
        paths = {path.parent for path in home.glob(f"{pattern}/{STUDY}")}
        paths |= {path.parents[2] for path in home.glob(f"{pattern}/{SHARDS}/*/{STUDY}")}
        return [cls(home, path.parent.name, path.name) for path in sorted(paths)]

    @classmethod
    def all_searches(cls, home: Path, name: str | None = None, scale: str | None = None) -> list[Self]:
        """Returns the folders of searches that ran, as `all_stored` does of studies."""
        paths = home.glob(f"studies/{Path(name).stem if name else '*'}/{scale or '*'}/{SEARCH}")
        return [cls(home, path.parent.parent.name, path.parent.name) for path in sorted(paths)]

    @classmethod
    def latest(cls, home: Path, name: str, scale: str | None) -> Self:
        """Returns the folder of a study; without a scale, of the scale that ran last.

        Raises:
            UserError: the study never ran.
        """
        folders = cls.all_stored(home, name, scale)
        if not folders:
            at_scale = f" at scale {scale}" if scale else ""
            stem = Path(name).stem
            raise UserError(f"study {stem!r} never ran{at_scale} under {home}; run it first: lab study run {name}")
        return max(folders, key=lambda folder: folder._newest(STUDY).stat().st_mtime)

    def files(self) -> list[Path]:
        """Returns the JSON files of a study and its shards that exist; they change whenever the study advances."""
        paths = [
            self.path / STUDY,
            self.path / LEDGER,
            *sorted(self.path.glob(f"{SHARDS}/*/*.json")),
            self.path / VERDICTS,
        ]
        return [path for path in paths if path.exists()]

    def read_study(self) -> StudyRecord:
        """Returns the study as it last ran, whole or in shards."""
        return _parse(StudyRecord, self._newest(STUDY), self.of_another_version())

    def of_another_version(self, reason: str = "") -> UserError:
        """Returns the error for a stored study that cannot be read here, with the reason if it is known."""
        detail = f" ({reason})" if reason else ""
        return UserError(
            f"study {self.name!r} under {self.home} was stored by another version of the lab, or with a package that "
            f"is missing here{detail}; run it again, which keeps its runs: lab study run {self.name}"
        )

    def write_study(self, record: StudyRecord) -> None:
        """Writes study.json."""
        self._write(STUDY, record.tree())

    def read_cells(self) -> list[CellRecord]:
        """Returns the cells as last written. The ledger of a shard is later than that of the whole study."""
        shards = sorted(self.path.glob(f"{SHARDS}/*/{LEDGER}"), key=lambda path: path.stat().st_mtime)
        whole = [self.path / LEDGER] if (self.path / LEDGER).exists() else []
        damaged = UserError(f"{self.path}: its ledger is damaged; run the study again, which rewrites it")
        ledgers = [_parse(LedgerRecord, path, damaged) for path in [*whole, *shards]]
        return list({cell.label: cell for ledger in ledgers for cell in ledger.cells}.values())

    def read_cells_of(self, study: "Study") -> list[CellRecord]:
        """Returns the cells of a study's grid as last written, in the order of the grid."""
        cells = {cell.label: cell for cell in self.read_cells()}
        return [cells[cell.label] for cell in study.cells if cell.label in cells]

    def write_cells(self, cells: list[CellRecord]) -> None:
        """Writes ledger.json."""
        self._write(LEDGER, LedgerRecord(cells=cells).tree())

    @property
    def has_verdicts(self) -> bool:
        """True where the study was judged when it last ran."""
        return (self.path / VERDICTS).exists()

    def read_verdicts(self) -> VerdictsRecord | None:
        """Returns the verdicts of the last time the study ended; None where it has not ended since."""
        return self._read(VERDICTS, VerdictsRecord)

    def write_verdicts(self, record: VerdictsRecord) -> None:
        """Writes verdicts.json."""
        self._write(VERDICTS, record.tree())

    def delete_verdicts(self) -> None:
        """Discards the verdicts of an earlier end."""
        (self.path / VERDICTS).unlink(missing_ok=True)

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

    def _newest(self, name: str) -> Path:
        paths = [path for path in (self.path / name, *self.path.glob(f"{SHARDS}/*/{name}")) if path.exists()]
        return max(paths, key=lambda path: path.stat().st_mtime)

    def _read(self, name: str, model: type[R]) -> R | None:
        path = self.path / name
        damaged = UserError(f"{path}: is damaged; delete it and run the study again, which rewrites it")
        return _parse(model, path, damaged) if path.exists() else None

    def _write(self, name: str, tree: Tree) -> None:
        from lab.run.files import json_bytes, write_atomically

        write_atomically(self.path / name, json_bytes(tree))


def _parse(model: type[R], path: Path, damaged: UserError) -> R:
    """Returns the record in a file, which is written whole or not at all.

    Raises:
        UserError: the file is not valid JSON, or `damaged` where it does not have the form of the record.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] != "json_invalid":
            raise damaged from None
    raise UserError(f"{path}: not valid JSON; delete it and run the study again, which rewrites it")
