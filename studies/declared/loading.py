"""Loads a study: reads its file, applies a scale and assignments, and refuses the study if any part of it is wrong."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from generators.foundation.errors import UserError
from generators.foundation.settings import read_toml, suggestion, validate
from studies.declared.catalog import SEARCHES, STUDIES, check_is_not, name_of
from studies.declared.checks.cell_settings import check_cell_settings
from studies.declared.checks.claims import check_claims
from studies.declared.checks.grid import check_exclusions, check_settings
from studies.declared.checks.labels import check_labels
from studies.declared.checks.runs import check_runs, check_specs, covering
from studies.declared.matrix.matrix_file import is_matrix
from studies.declared.matrix.row_names import row_at, row_path
from studies.declared.matrix.rows import row_declaration
from studies.declared.scales import base_at_scale, scale_named
from studies.declared.study import Study
from studies.declared.study_file import StudyDeclaration


def read_study_file(path: Path) -> StudyDeclaration:
    """Reads a study file and validates it by itself; the place of a row of a matrix gives the study of that row.

    Raises:
        UserError: names the file, the key, its value and what would be right.
    """
    if row := row_at(path):
        return row_declaration(*row, path)
    tree = read_toml(path)
    check_is_not(SEARCHES, "space", tree, path)
    if "task" in tree:
        raise UserError(f"{path}: task: is the file of a run; its command is: lab train {shlex.quote(str(path))}")
    if is_matrix(tree):
        raise UserError(
            f"{path}: tasks: is the file of a matrix, which runs from the catalog alone: lab study run matrix"
        )
    return validate(StudyDeclaration, tree, str(path))


def declare(name: str | Path, scale: str = "cpu", assignments: Sequence[str] = ()) -> Study:
    """Returns a study as its file declares it, before any run: the study that `run_study` runs.

    The file is checked at every scale; the networks and claims are checked at the requested scale.

    Args:
        name: a study of the catalog, the path of a study file, or a row of a matrix, such as "matrix-joint".
        scale: one of the scales of the file, such as "smoke" or "cpu".
        assignments: changes of its base settings, each as the option `--set` takes it: "training.steps=300".

    Raises:
        UserError: names the file, the key, its value and what would be right.
    """
    path = row_path(str(name)) or STUDIES.locate(str(name))
    declaration = read_study_file(path)
    scale_named(declaration.scales, scale, path)
    scales = [scale, *(other for other in declaration.scales if other != scale)]
    studies = {other: study_at_scale(path, declaration, other, list(assignments)) for other in scales}
    for study in studies.values():
        check_settings(study)
        if study.scale != scale:
            check_specs(study, covering(study.cells, 1))
    check_exclusions(list(studies.values()))
    check_cell_settings(list(studies.values()))
    check_labels(list(studies.values()))
    check_runs(studies[scale])
    check_claims(studies[scale])
    return studies[scale]


def study_at_scale(path: Path, declaration: StudyDeclaration, scale: str, assignments: list[str]) -> Study:
    """Applies a scale and `--set` assignments to a study file; most of the result is still to be checked."""
    name, chosen = name_of(path), scale_named(declaration.scales, scale, path)
    search = declaration.tuning.search
    if unknown := [key for key in chosen.search if key not in search]:
        raise UserError(
            f"{path}: scales.{scale}.search.{unknown[0]}: is not tuned at other scales; "
            + (suggestion(unknown[0], list(search)) if search else "add its range to tuning.search")
        )

    def reserved(key: str) -> str | None:
        if key in declaration.factors:
            return f"is a factor of {name}; change its levels in the study file"
        for own in (own for table in (*declaration.settings, *chosen.settings) for own in table.set):
            if key == own or key.startswith(f"{own}.") or own.startswith(f"{key}."):
                return f"is not the same in all cells of {name}; change it in the study file, under settings"
        for factor in declaration.levels:
            if key.startswith(f"{factor}."):
                return (
                    f"is part of {factor}, a factor of {name} whose levels are tables; "
                    f"change them in the study file, under levels.{factor}"
                )
        return None

    tuning = declaration.tuning.model_copy(update={"search": search | chosen.search})
    return Study(
        name=name,
        scale=scale,
        source=str(path),
        declaration=declaration.model_copy(update={"tuning": tuning}),
        assignments=tuple(assignments),
        base=base_at_scale(declaration, chosen.set, assignments, path, scale, reserved),
        factors=declaration.factors | chosen.factors,
        seeds=chosen.seeds or declaration.seeds,
        trials=declaration.tuning.trials if chosen.trials is None else chosen.trials,
    )
