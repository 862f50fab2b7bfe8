"""Statements about `training.stack` in a study: which runs are trained as stacks, and why others are not."""

from studies.declared.study import Study


def stack_sizes(study: Study) -> list[int]:
    """Returns the sizes of the stacks in which runs of a study are trained, in ascending order; none if alone."""
    return sorted({stack for problem, stack in _cells(study).values() if not problem})


def trained_alone(study: Study) -> dict[str, str]:
    """Returns the label of each cell whose runs are trained alone although they set `training.stack` -> the reason."""
    return {label: problem for label, (problem, _) in _cells(study).items() if problem}


def stacking_lines(study: Study) -> list[str]:
    """Returns what is true of the stacks of a study, in sentences; nothing if it sets no `training.stack`."""
    lines = [f"stacks: up to {size} runs of a cell that wait are trained as one network" for size in stack_sizes(study)]
    labels: dict[str, list[str]] = {}
    for label, problem in trained_alone(study).items():
        labels.setdefault(problem, []).append(label)
    return lines + [f"trained alone, because {problem}: {', '.join(cells)}" for problem, cells in labels.items()]


def _cells(study: Study) -> dict[str, tuple[str, int]]:
    """Returns label -> problem and size of the stack, for cells that set one."""
    from lab.run.stacking.problem import stacking_problem

    specs = {cell.label: study.spec(cell, study.middle, 0) for cell in study.cells}
    return {
        label: (stacking_problem(spec), spec.training.stack) for label, spec in specs.items() if spec.training.stack > 1
    }
