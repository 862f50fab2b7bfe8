"""The scores of a study's cells, as the judge and the reports read them."""

from collections.abc import Callable, Sequence

from studies.declared.claims.claim import Claim
from studies.declared.measures import main_measure, measure_of
from studies.declared.study import Study
from studies.ledger.records import CellRecord


def confirmed(cells: Sequence[CellRecord], measure: str | None = None) -> dict[str, dict[int, float]]:
    """Returns cell label -> seed -> score of the confirming runs, or the named measure for runs that have it."""
    return {cell.label: cell.confirmed(measure) for cell in cells}


def failures(cells: Sequence[CellRecord]) -> list[str]:
    """Returns a line for each failed run: its cell, phase, seed and reason."""
    return [
        f"{cell.label}, {run.phase} seed {run.seed}: {run.failure}"
        for cell in cells
        for run in cell.runs
        if run.failure
    ]


def analysis_failures(cells: Sequence[CellRecord]) -> list[str]:
    """Returns a line for each analysis that could not be computed: its run's cell and seed, and the reason."""
    return [
        f"{cell.label}, {run.phase} seed {run.seed}: {reason}"
        for cell in cells
        for run in cell.runs
        for reason in run.analysis_failures.values()
    ]


def reasons_lacking(study: Study, cells: Sequence[CellRecord]) -> Callable[[Claim], str]:
    """Returns a function: claim -> why runs lack its measure, if an analysis failed; an empty text otherwise."""

    def reason(claim: Claim) -> str:
        analysis = measure_of(study.declaration, claim).analysis
        runs = [run for cell in cells for run in cell.runs]
        reasons = [run.analysis_failures[analysis] for run in runs if analysis and analysis in run.analysis_failures]
        return f"in {len(reasons)} run{'s'[: len(reasons) > 1]}: {reasons[0]}" if reasons else ""

    return reason


def scores_for(study: Study, cells: Sequence[CellRecord]) -> Callable[[Claim], dict[str, dict[int, float]]]:
    """Returns a function: claim -> cell label -> seed -> the claim's measure, negated where less is better."""
    main = main_measure(study.declaration)

    def scores(claim: Claim) -> dict[str, dict[int, float]]:
        measure = measure_of(study.declaration, claim)
        values = confirmed(cells, None if measure == main else measure.name)
        return {cell: {seed: measure.sign * value for seed, value in seeds.items()} for cell, seeds in values.items()}

    return scores
