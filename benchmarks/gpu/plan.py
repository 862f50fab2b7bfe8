"""The conditions under which a part of the GPU script measures, and the file that keeps its rows."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
RESULTS, LOG, SUMMARY = "results.jsonl", "log.txt", "summary.md"
"""The only files of an output folder: the rows of all parts, all that they print, and the tables."""


@dataclass(frozen=True)
class Plan:
    """The conditions of one part.

    Attributes:
        part: the name of the part.
        folder: the output folder.
        device: the torch device to measure.
        quick: replaces every size by a tiny one, which checks the code and measures nothing of interest.
        deadline: `time.time()` at which the part is killed.
    """

    part: str
    folder: Path
    device: str
    quick: bool
    deadline: float

    @property
    def on_gpu(self) -> bool:
        """Returns whether the device is a CUDA device."""
        return self.device.startswith("cuda")

    def write(self, **row: Any) -> None:
        """Appends a row to the results."""
        with (self.folder / RESULTS).open("a", encoding="utf-8") as results:
            results.write(json.dumps({"part": self.part, **row}) + "\n")

    def write_detail(self, **row: Any) -> None:
        """Appends a row that the summary leaves out."""
        self.write(detail=True, **row)

    def rows(self, part: str) -> list[Row]:
        """Returns the rows that a part has written so far."""
        return [row for row in read_rows(self.folder) if row["part"] == part]

    def seconds_left(self) -> float:
        """Returns the seconds until the part is killed."""
        return self.deadline - time.time()


def read_rows(folder: Path) -> list[Row]:
    """Reads all rows; the last line of a part that was killed may be incomplete and is then skipped."""
    path = folder / RESULTS
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows
