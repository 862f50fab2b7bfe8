"""The analyses that workers run on a study's runs: those whose measures claims use, and samples for the report."""

from studies.declared.measures import measure_of
from studies.declared.study import Study
from studies.declared.study_file import StudyDeclaration


def analyses_of(declaration: StudyDeclaration) -> tuple[tuple[str, str], ...]:
    """Returns each analysis whose measures claims use, with the checkpoint that it reads."""
    names = {measure_of(declaration, claim).analysis for claim in declaration.claims}
    return tuple((name, declaration.checkpoint) for name in sorted(filter(None, names)))


def sampled_cells(study: Study) -> frozenset[str]:
    """Returns the labels of the cells that predict the most tokens, whose samples reports show."""
    heads = {cell.label: getattr(study.spec(cell, study.middle, 0).objective, "n", 1) for cell in study.cells}
    return frozenset(label for label, n in heads.items() if n == max(heads.values()))
