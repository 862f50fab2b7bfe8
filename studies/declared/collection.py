"""A collection: studies that answer one larger question together, in chapters. `paper` is the one that is shipped.

A collection runs study by study, each as it would by itself: what is missing and nothing else. A study that needs a
setting of the reader's own (a corpus) is left out where that is not given.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, read_toml, split_assignment, suggestion, validate

COLLECTIONS = Path(__file__).parents[1] / "catalog" / "collections"


class Member(Settings):
    """A study of a chapter."""

    study: str
    needs: list[str] = Field(default_factory=list, description="settings without which it cannot run: task.corpus")


class Chapter(Settings):
    """What several studies are about."""

    title: str = Field(min_length=1)
    text: str = Field(min_length=1, description="what the paper says")
    studies: list[Member] = Field(min_length=1)


class CollectionDeclaration(Settings):
    """The file of a collection."""

    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    chapters: list[Chapter] = Field(min_length=1)


@dataclass(frozen=True)
class Collection:
    """A collection by name."""

    name: str
    declaration: CollectionDeclaration

    @property
    def chapters(self) -> list[Chapter]:
        return self.declaration.chapters

    @cached_property
    def members(self) -> list[Member]:
        """Every study once, in the order of the chapters."""
        found = {member.study: member for chapter in self.chapters for member in chapter.studies}
        return list(found.values())

    def assigned(self, assignments: list[str]) -> dict[str, list[str]]:
        """The assignments that each study gets, which are those it needs; without a study that lacks one.

        Raises:
            UserError: an assignment that no study needs.
        """
        given = {split_assignment(each)[0]: each for each in assignments}
        needed = sorted({key for member in self.members for key in member.needs})
        if others := [key for key in given if key not in needed]:
            raise UserError(
                f"--set {given[others[0]]}: the studies of {self.name} differ in their settings; only what one of "
                f"them cannot run without is set for all: {', '.join(needed) or 'nothing'}"
            )
        return {
            member.study: [given[key] for key in member.needs]
            for member in self.members
            if all(key in given for key in member.needs)
        }

    def left_out(self, assignments: list[str]) -> dict[str, list[str]]:
        """The studies that lack settings, and which."""
        taken = self.assigned(assignments)
        return {member.study: member.needs for member in self.members if member.study not in taken}


def collections() -> list[str]:
    """Names of the collections that are shipped."""
    return sorted(path.stem for path in COLLECTIONS.glob("*.toml"))


def is_collection(name: str) -> bool:
    """Whether a name is that of a collection, not of a study."""
    return name in collections()


def load_collection(name: str) -> Collection:
    """A collection by name.

    Raises:
        UserError: there is none of that name, or its file is wrong.
    """
    if not is_collection(name):
        raise UserError(f"collection {name!r}: not in the catalog; {suggestion(name, collections())}")
    path = COLLECTIONS / f"{name}.toml"
    return Collection(name, validate(CollectionDeclaration, read_toml(path), str(path)))
