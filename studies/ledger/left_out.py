"""Studies that a command leaves out because it cannot read them; it names them and continues with the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from generators.foundation.errors import UserError
from generators.foundation.options import note
from studies.declared.collection import is_collection
from studies.ledger.collection_members import foreign_members


@dataclass
class LeftOut:
    """The studies that a command leaves out.

    Attributes:
        single: True if the command names a single study; if that study cannot be read, the command fails.
        reasons: name of a study -> the reason, as a sentence.
        noted: the sentences that were printed to standard error.
    """

    single: bool = False
    reasons: dict[str, str] = field(default_factory=dict)
    noted: set[str] = field(default_factory=set, repr=False)

    @classmethod
    def among(cls, names: list[str], scale: str | None, home: Path) -> Self:
        """Creates the list for a command's arguments, with the members of collections that came from other files."""
        left_out = cls(single=len(names) == 1 and not is_collection(names[0]))
        for name, reason in foreign_members(names, scale, home).items():
            left_out.add(name, reason)
        return left_out

    @contextmanager
    def unless_readable(self, name: str) -> Iterator[None]:
        """Leaves a study out if the block cannot read it: it is damaged, or has the format of another version of the
        lab.

        Raises:
            UserError: the study cannot be read, and the command names no other.
        """
        try:
            yield
        except UserError as error:
            if self.single:
                raise
            self.add(name, str(error))
        else:
            self.reasons.pop(name, None)

    def add(self, name: str, reason: str) -> None:
        """Leaves a study out and prints the reason to standard error, once."""
        sentence = f"{name} is left out: {reason}"
        if sentence not in self.noted:
            note(sentence)
        self.noted.add(sentence)
        self.reasons[name] = reason

    def check_any(self, readable: object) -> None:
        """Checks that a command could read at least one study.

        Raises:
            UserError: nothing could be read.
        """
        if not readable and self.reasons:
            name, reason = next(iter(self.reasons.items()))
            raise UserError(f"none of the studies can be read; the first, {name}: {reason}")
