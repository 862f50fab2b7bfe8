"""The names that people read: the labels that a study file gives to factors, levels, arms, metrics, the
shortcut and claims.

Whatever has no label keeps the name that it has in the study file.
"""

from dataclasses import dataclass
from re import escape, sub

from studies.declared.levels import Level, claim_key, level_key, short
from studies.declared.study import Cell, Study


@dataclass(frozen=True)
class Labels:
    """The labels of a study."""

    study: Study

    def factor(self, key: str) -> str:
        """Returns the name of a factor: its label, or the last part of its key."""
        return self._labels.get(key, short(key))

    def level(self, key: str, level: Level) -> str:
        """Returns the name of a level."""
        return self._labels.get(level_key(key, level), str(level))

    def assignment(self, key: str, level: Level, equals: str = "=") -> str:
        """Returns the name of a level where its factor is not named: its label, or `n=2`."""
        return self._labels.get(level_key(key, level), f"{self.factor(key)}{equals}{level}")

    def cell(self, cell: Cell) -> str:
        """Returns the name of a cell: its label, or the names of its levels."""
        if cell.label in self._labels:
            return self._labels[cell.label]
        names = [self.assignment(key, level) for key, level in cell.levels]
        return (", " if any(level_key(*pair) in self._labels for pair in cell.levels) else " ").join(names)

    def arm(self, label: str) -> str:
        """Returns the name of the cell with a label; another text as it is."""
        return next((self.cell(cell) for cell in self.study.cells if cell.label == label), label)

    def metric(self, metric: str) -> str:
        """Returns the name of a metric, or of the shortcut."""
        return self._labels.get(metric, metric)

    def claim(self, name: str) -> str:
        """Returns the name of a claim: its label, or `small gains` for `small_gains`."""
        return self._labels.get(claim_key(name), name.replace("_", " "))

    def in_text(self, text: str) -> str:
        """Returns a text in which every cell, and every level written as `n=2`, has the name that people read."""
        if not self._labels:
            return text
        names = {cell.label: self.cell(cell) for cell in self.study.cells}
        for key, levels in self.study.factors.items():
            names |= {f"{short(key)}={level}": self.assignment(key, level) for level in levels}
        written = sorted(names, key=len, reverse=True)
        return sub("|".join(map(escape, written)), lambda match: names[match[0]], text)

    @property
    def _labels(self) -> dict[str, str]:
        return self.study.declaration.labels
