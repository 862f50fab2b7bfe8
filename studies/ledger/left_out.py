"""Studies that a command over several cannot read: it names them and goes on with the others."""

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
        single: True where the command names one study, which is then an error as it would be anywhere.
        reasons: name of a study -> the sentence that says why.
        noted: what was already said on standard error.
    """

    single: bool = False
    reasons: dict[str, str] = field(default_factory=dict)
    noted: set[str] = field(default_factory=set, repr=False)

    @classmethod
    def among(cls, names: list[str], scale: str | None, home: Path) -> Self:
        """Returns the beginning for the checked arguments of a command: members of collections that other files are."""
        left_out = cls(single=len(names) == 1 and not is_collection(names[0]))
        for name, reason in foreign_members(names, scale, home).items():
            left_out.add(name, reason)
        return left_out

    @contextmanager
    def unless_readable(self, name: str) -> Iterator[None]:
        """Leaves a study out if what the block reads of it is damaged, of another format or of another version.

        Raises:
            UserError: it cannot be read, and is the only one asked for.
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
        """Leaves a study out, and says so on standard error, once for the same reason."""
        sentence = f"{name} is left out: {reason}"
        if sentence not in self.noted:
            note(sentence)
        self.noted.add(sentence)
        self.reasons[name] = reason

    def check_any(self, readable: object) -> None:
        """Checks that a command has something left to answer with.

        Raises:
            UserError: nothing could be read.
        """
        if not readable and self.reasons:
            name, reason = next(iter(self.reasons.items()))
            raise UserError(f"none of the studies can be read; the first, {name}: {reason}")
