"""The study of a row of a matrix: two arms, the baseline and the row's objective, on every task.

The cells of the baseline are the same runs in every row: they have the same settings and, because all rows seed the
sampler alike, the same trials. They are trained once.
"""

from pathlib import Path

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree, assign_value, split_assignment, suggestion, validate
from lab.objectives.table import OBJECTIVES
from studies.declared.matrix.equal_operations import budget_settings
from studies.declared.matrix.matrix_file import MatrixDeclaration, MatrixObjective, MatrixTask, load_matrix
from studies.declared.study import Cell, Study
from studies.declared.study_file import StudyDeclaration

TASK, OBJECTIVE = "task", "objective"
"""The factors of a row's study."""
SOLVES, SOONER = "solves", "sooner"


def row_declaration(matrix_name: str, row: str, source: Path) -> StudyDeclaration:
    """Returns the study of a row, as a study file would declare it.

    Args:
        matrix_name: the name of the matrix in the catalog.
        row: an objective of the matrix, or an installed one that joins it.
        source: the study's place in the catalog, named in errors.

    Raises:
        UserError: there is no such objective, or it does not fit a task of the matrix.
    """
    matrix = load_matrix(matrix_name)
    tree = _row_tree(matrix_name, matrix, row)
    plain = validate(StudyDeclaration, tree, str(source))
    for scale in matrix.scales:
        tree["scales"][scale]["settings"] += _budgets(plain, scale, row, matrix.baseline, source)
    return validate(StudyDeclaration, tree, str(source))


def objective_of_row(matrix: MatrixDeclaration, row: str) -> MatrixObjective:
    """Returns the objective that a row names: one of the matrix, or `NAME` or `NAME:key=value,key=value`.

    Raises:
        UserError: neither the matrix nor an installed package has an objective of that name.
    """
    if row in matrix.objectives:
        return matrix.objectives[row]
    kind, _, text = row.partition(":")
    if kind not in OBJECTIVES.names:
        near = suggestion(kind, list(dict.fromkeys([*matrix.rows, *OBJECTIVES.names])))
        raise UserError(f"row {row!r} of the matrix: no such objective is installed; {near}")
    table: Tree = {"kind": kind}
    for assignment in filter(None, text.split(",")):
        if "=" not in assignment:
            raise UserError(f"row {row!r} of the matrix: {assignment!r} should be key=value, as in {kind}:key=value")
        assign_value(table, *split_assignment(assignment))
    return MatrixObjective(title=row.replace("_", " "), objective=table)


def _row_tree(name: str, matrix: MatrixDeclaration, row: str) -> Tree:
    """Returns the study of a row without the steps of its budgets."""
    arms = {matrix.baseline: matrix.objectives[matrix.baseline], row: objective_of_row(matrix, row)}
    titles = {arm: objective.title for arm, objective in arms.items()}
    treatment, control = titles[row], titles[matrix.baseline]
    labels = {f"{OBJECTIVE}={arm}": title for arm, title in titles.items()}
    labels |= {f"{TASK}={task}": declared.title for task, declared in matrix.tasks.items()}
    tree: Tree = {
        "title": f"{treatment} against {control}, task by task",
        "question": f"On which tasks does {treatment} beat {control} at equal operations?",
        "paper": "; ".join(f"{task.title}: {task.paper}" for task in matrix.tasks.values()),
        "caveat": matrix.caveat,
        "metric": matrix.metric,
        "solved_at": matrix.solved_at,
        "stop_when_solved": True,
        "seeds": matrix.seeds,
        "base": {"training": matrix.training},
        "factors": {TASK: list(matrix.tasks), OBJECTIVE: list(arms)},
        "settings": [_settings(task, declared) for task, declared in matrix.tasks.items()],
        "levels": {
            TASK: {task: declared.task for task, declared in matrix.tasks.items()},
            OBJECTIVE: {arm: objective.objective for arm, objective in arms.items()},
        },
        "tuning": {**matrix.tuning, "sampler_seed": name},
        "claims": [
            claim
            for task, declared in matrix.tasks.items()
            for claim in _claims(task, declared, (row, treatment), (matrix.baseline, control))
        ],
        "labels": labels,
        "scales": {scale: _scale(matrix, scale, list(arms)) for scale in matrix.scales},
    }
    optional = {"looks": matrix.looks, "futility": matrix.futility}
    return tree | {key: value for key, value in optional.items() if value is not None}


def claim_name(task: str, kind: str) -> str:
    """Returns the name of a claim of a row about a task, `solves` or `sooner`."""
    return f"{task.replace('-', '_')}_{kind}"


def _claims(task: str, declared: MatrixTask, treatment: tuple[str, str], control: tuple[str, str]) -> list[Tree]:
    """Returns the two claims about a task; treatment and control are each an arm and its title."""
    shared = {
        "kind": "difference",
        "paper": declared.paper,
        "factor": OBJECTIVE,
        "treatment": treatment[0],
        "control": control[0],
        "where": {TASK: task},
    }
    subject = declared.title[0].upper() + declared.title[1:]
    solves = f"{subject}: more runs with {treatment[1]} solve the task than with {control[1]}."
    sooner = f"{subject}: runs with {treatment[1]} solve the task with fewer operations than with {control[1]}."
    return [
        {**shared, "name": claim_name(task, SOLVES), "metric": "solved", "text": solves},
        {**shared, "name": claim_name(task, SOONER), "metric": "budget_to_solve", "text": sooner},
    ]


def _settings(task: str, declared: MatrixTask) -> Tree:
    """Returns the settings of a task's cells, the budget aside."""
    values = {"model": declared.model, **{f"training.{key}": value for key, value in declared.training.items()}}
    own = {} if declared.solved_at is None else {"solved_at": declared.solved_at}
    return {"where": {TASK: task}, "set": values, **own}


def _scale(matrix: MatrixDeclaration, name: str, arms: list[str]) -> Tree:
    """Returns a scale of a row without the budgets."""
    scale = matrix.scales[name]
    changes = {task: {**scale.set, **declared.scales.get(name, {})} for task, declared in matrix.tasks.items()}
    listed = [{"where": {TASK: task}, "set": values} for task, values in changes.items() if values]
    for table in scale.settings:
        if own := [arm for arm in arms if arm in table.objectives or not table.objectives]:
            listed.append({"where": {TASK: table.tasks, OBJECTIVE: own}, "set": table.set})
    optional = {"seeds": scale.seeds, "trials": scale.trials, "search": scale.search or None}
    tree: Tree = {"summary": scale.summary, "settings": listed}
    return tree | {key: value for key, value in optional.items() if value is not None}


def _budgets(declaration: StudyDeclaration, scale: str, row: str, baseline: str, source: Path) -> list[Tree]:
    """Returns the settings by which the row's objective has the operations of the baseline on each task."""
    seeds, base, factors = declaration.seeds, declaration.base, declaration.factors
    study = Study(source.stem, scale, str(source), declaration, (), base, factors, seeds, declaration.tuning.trials)
    listed = []
    for task in factors[TASK]:
        specs = [study.spec(Cell(((TASK, task), (OBJECTIVE, arm))), study.middle, 0) for arm in (row, baseline)]
        try:
            listed.append({"where": {TASK: task, OBJECTIVE: row}, "set": budget_settings(*specs)})
        except UserError as error:  # a network that does not fit the task, before it is counted
            raise UserError(f"{source}, {TASK} {task}: {error}") from None
    return listed
