"""A collection: studies that together answer one larger question, in chapters. The lab ships `paper`.

A collection runs its studies one after another, each as it would run by itself, so only missing runs are trained. A
study that needs a setting from the user (a corpus) is skipped unless the user gives that setting.
"""

from dataclasses import dataclass, replace
from functools import cached_property

from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.settings import Settings, read_toml, split_assignment, suggestion, validate
from studies.declared.catalog import COLLECTIONS
from studies.declared.matrix.matrix_file import MatrixDeclaration, is_matrix
from studies.declared.matrix.row_names import rows_with, study_of_row


class Member(Settings):
    """A study of a chapter."""

    study: str = Field(description="name of the study in the catalog")
    needs: list[str] = Field(default_factory=list, description="settings without which it cannot run: task.corpus")


class CollectionChapter(Settings):
    """Several studies on one statement of the paper."""

    title: str = Field(min_length=1, description="title of the chapter")
    text: str = Field(min_length=1, description="the paper's statement")
    studies: list[Member] = Field(min_length=1, description="the studies of the chapter, in order")


class CollectionDeclaration(Settings):
    """The content of a collection file."""

    title: str = Field(min_length=1, description="title of the collection's index")
    question: str = Field(min_length=1, description="the question that its studies answer together")
    chapters: list[CollectionChapter] = Field(min_length=1, description="the chapters, in order")


@dataclass(frozen=True)
class Collection:
    """A collection of the catalog.

    Attributes:
        matrix: the file, if it is that of a matrix, whose rows are the studies.
    """

    name: str
    declaration: CollectionDeclaration
    matrix: MatrixDeclaration | None = None

    @property
    def chapters(self) -> list[CollectionChapter]:
        """The chapters, in the order of the file."""
        return self.declaration.chapters

    @cached_property
    def members(self) -> list[Member]:
        """The studies without repetition, in the order of the chapters."""
        members = {member.study: member for chapter in self.chapters for member in chapter.studies}
        return list(members.values())

    def joined(self, rows: list[str]) -> "Collection":
        """Returns a matrix with further rows: installed objectives as `--with` takes them.

        Raises:
            UserError: there are rows, and the collection is no matrix or has one of them already.
        """
        if not rows:
            return self
        if self.matrix is None:
            raise UserError(f"--with {rows[0]}: {self.name} is no matrix, so no objective can join it")
        if standing := [row for row in rows if row in self.matrix.objectives]:
            raise UserError(f"--with {standing[0]}: {self.name} has this objective already; leave the option out")
        return replace(self, declaration=declaration_of_rows(self.name, self.matrix, rows))

    def assigned(self, assignments: list[str]) -> dict[str, list[str]]:
        """Returns study -> the assignments it needs; studies for which an assignment is missing are left out.

        Raises:
            UserError: no study needs one of the assignments.
        """
        by_key = {split_assignment(assignment)[0]: assignment for assignment in assignments}
        needed = sorted({key for member in self.members for key in member.needs})
        if unneeded := [key for key in by_key if key not in needed]:
            raise UserError(
                f"--set {by_key[unneeded[0]]}: the studies of {self.name} have different settings; together they "
                f"take only settings that a study cannot run without: {', '.join(needed) or 'there are none'}"
            )
        return {
            member.study: [by_key[key] for key in member.needs]
            for member in self.members
            if all(key in by_key for key in member.needs)
        }

    def left_out(self, assignments: list[str]) -> dict[str, list[str]]:
        """Returns study -> the settings it needs, for the studies that lack one of these settings."""
        assigned = self.assigned(assignments)
        return {member.study: member.needs for member in self.members if member.study not in assigned}


def is_collection(name: str) -> bool:
    """Tells whether a name is that of a collection in the catalog."""
    return name in COLLECTIONS.names


def load_collection(name: str) -> Collection:
    """Loads a collection of the catalog.

    Raises:
        UserError: the catalog has no such collection, or its file is wrong.
    """
    if not is_collection(name):
        raise UserError(f"collection {name!r}: not in the catalog; {suggestion(name, COLLECTIONS.names)}")
    path = COLLECTIONS.path(name)
    tree = read_toml(path)
    if is_matrix(tree):
        matrix = validate(MatrixDeclaration, tree, str(path))
        return Collection(name, declaration_of_rows(name, matrix, []), matrix)
    return Collection(name, validate(CollectionDeclaration, tree, str(path)))


def declaration_of_rows(name: str, matrix: MatrixDeclaration, joining: list[str]) -> CollectionDeclaration:
    """Returns a matrix as a collection of one chapter, with a study for each of its rows and of those that join it."""
    studies = [Member(study=study_of_row(name, row)) for row in rows_with(matrix, joining)]
    chapter = CollectionChapter(title="Objectives", text=matrix.text, studies=studies)
    return CollectionDeclaration(title=matrix.title, question=matrix.question, chapters=[chapter])
