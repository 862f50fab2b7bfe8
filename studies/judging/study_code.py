"""The versions of the code that made the runs of a study: which runs are old, and which cannot be compared.

Runs of the same older version can be compared with each other. Two runs cannot be compared if they used different
versions of the same part of the code. Runs of unknown code, made before versions were stored, are compared with all
others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from generators.foundation.code.version import CodeVersion, changed_parts, conflicting_parts, parts_text
from generators.foundation.settings import Tree
from studies.ledger.records import LedgerRecord

OldRuns = Literal["keep", "retrain", "mix"]
"""The treatment of stored runs that were made by code other than the installed code, when their study runs again.

keep: they stand, and no run is trained whose code would differ from theirs. retrain: they are trained again, and so are
runs of unknown code. mix: they stand, missing runs are trained beside them, and claims compare both.
"""


@dataclass(frozen=True)
class StudyCode:
    """The code that made the runs of a ledger. Only runs that have a score count.

    Attributes:
        command: the command that runs the study.
    """

    ledger: LedgerRecord
    command: str = ""

    @cached_property
    def changed(self) -> dict[str, list[str]]:
        """Digest of a version -> its parts whose installed code differs; versions without such parts are left out."""
        used = {digest for digests in self._by_cell.values() for digest in digests}
        parts = {digest: changed_parts(code) for digest, code in self.ledger.codes.items() if digest in used}
        return {digest: changed for digest, changed in parts.items() if changed}

    @cached_property
    def _by_cell(self) -> dict[str, dict[str, int]]:
        """Label of a cell -> digest of a version -> number of runs that have a score."""
        counts: dict[str, dict[str, int]] = {}
        for cell in self.ledger.cells:
            versions = counts.setdefault(cell.label, {})
            for run in cell.runs:
                if run.score is not None and run.code in self.ledger.codes:
                    versions[run.code] = versions.get(run.code, 0) + 1
        return counts

    @property
    def changed_parts(self) -> list[str]:
        """Parts of the code of any run whose installed code differs, in alphabetical order."""
        return sorted({part for parts in self.changed.values() for part in parts})

    @property
    def old_runs(self) -> dict[str, int]:
        """Label of a cell -> number of runs made by code other than the installed code; other cells are left out."""
        counts = {
            label: sum(count for digest, count in versions.items() if digest in self.changed)
            for label, versions in self._by_cell.items()
        }
        return {label: count for label, count in counts.items() if count}

    @property
    def unknown_runs(self) -> int:
        """Number of runs that have a score and are of unknown code."""
        known = sum(count for versions in self._by_cell.values() for count in versions.values())
        return sum(run.score is not None for cell in self.ledger.cells for run in cell.runs) - known

    def versions(self, labels: Iterable[str] | None = None) -> list[CodeVersion]:
        """Returns the versions that made the runs of some cells, by default of all."""
        chosen = self._by_cell if labels is None else labels
        digests = {digest for label in chosen for digest in self._by_cell.get(label, {})}
        return [self.ledger.codes[digest] for digest in sorted(digests)]

    def conflict(self, labels: Iterable[str] | None = None) -> list[str]:
        """Returns the parts of the code that are not the same in all runs of some cells, by default of all."""
        return conflicting_parts(self.versions(labels))

    def obstacle(self, labels: Sequence[str]) -> str:
        """Returns why cells cannot be compared, or ""; `judge` takes this as its `obstacle`."""
        parts = [] if self.ledger.mixed_code else self.conflict(labels)
        return f"its runs were made by different code and are not compared ({parts_text(parts)})" if parts else ""

    def remarks(self) -> list[str]:
        """Returns a sentence about old runs and one about runs of different code, if there are any."""
        sentences, old = [], self.old_runs
        if old:
            runs = sum(old.values())
            sentences.append(
                f"{runs} run{'s' if runs > 1 else ''} of {len(old)} cell{'s' if len(old) > 1 else ''} "
                f"{'were' if runs > 1 else 'was'} made by code other than the installed code "
                f"({parts_text(self.changed_parts)}); {self.command} --retrain trains them again"
            )
        if parts := self.conflict():
            asked = "claims compare them, as --mix-code asked"
            default = "a claim about both is not tested unless --mix-code is given"
            sentences.append(
                f"some runs were made by different code than others ({parts_text(parts)}); "
                f"{asked if self.ledger.mixed_code else default}"
            )
        return sentences

    def remark_on_superseded(self, count: int) -> str:
        """Returns the sentence about runs that were trained again after their scores were taken; "" if there
        are none.
        """
        runs = f"{count} runs were" if count > 1 else "1 run was"
        return f"{runs} trained again after {self.command} took their scores; it takes the new ones" if count else ""

    def tree(self) -> Tree:
        """Returns the keys that commands add to their answers in JSON."""
        return {
            "changed_code": self.changed_parts,
            "old_runs": self.old_runs,
            "different_code": self.conflict(),
            "mixed_code": self.ledger.mixed_code,
        }
