"""The names of the rows of a matrix: `matrix-joint` is the study of the row `joint`.

A row is an objective of the matrix file, or an installed objective that joins it: `previous_token` with its default
settings, or `multi_token:n=4,head=linear` with others. The row's name says all that its study needs, so that a study
can be declared again from its name alone.
"""

from pathlib import Path

from studies.declared.catalog import STUDIES
from studies.declared.matrix.matrix_file import MatrixDeclaration, matrix_names
from studies.declared.names import is_path, stem_of


def study_of_row(matrix: str, row: str) -> str:
    """Returns the name of the study of a row."""
    return f"{matrix}-{row}"


def split_row(name: str) -> tuple[str, str] | None:
    """Returns the matrix and the row that the name of a study stands for; None if it stands for none."""
    if name not in STUDIES.names:
        for matrix in matrix_names():
            if row := name.removeprefix(f"{matrix}-") if name.startswith(f"{matrix}-") else "":
                return matrix, row
    return None


def row_path(argument: str) -> Path | None:
    """Returns the place in the catalog of the study of a row, where no file is; None for any other argument."""
    return STUDIES.path(argument) if not is_path(argument) and split_row(argument) else None


def row_at(path: Path) -> tuple[str, str] | None:
    """Returns the matrix and the row of a place in the catalog; None if a study file is meant."""
    return split_row(stem_of(path)) if STUDIES.ships(path) and not path.exists() else None


def rows_with(matrix: MatrixDeclaration, joining: list[str]) -> list[str]:
    """Returns the rows of a matrix, followed by those that join it, without repetition."""
    return list(dict.fromkeys([*matrix.rows, *joining]))
