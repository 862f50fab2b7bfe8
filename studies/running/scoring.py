"""The score of a run that ended: the study's measure, and the other measures that its claims are about."""

from lab.run.store import RunFolder
from studies.declared.measures import main_measure, measure_of
from studies.declared.study import Study
from studies.ledger.records import Phase
from studies.running.executors.executor import Outcome


def score_of(
    study: Study, phase: Phase, outcome: Outcome, folder: RunFolder
) -> tuple[float | None, str | None, dict[str, float]]:
    """Reads the measures of a run. Tuning reads validation and nothing else.

    Returns:
        the study's measure, or None; the reason why it is None; the other measures of the claims, by name.
    """
    result, declaration = outcome.result, study.declaration
    if result is None or result["status"] != "complete":
        return None, outcome.failure or str(result and result["reason"]), {}
    main = main_measure(declaration)
    measure = main.on("validation") if phase == "tune" else main
    score = measure.read(result, folder, declaration.checkpoint)
    if score is None:
        metrics = ", ".join(result["scores"][declaration.checkpoint].get(measure.split, {}))
        return None, f"the run has no {measure.name}; it has: {metrics or 'no metric there'}", {}
    others = {measure_of(declaration, claim) for claim in declaration.claims} - {main} if phase == "confirm" else set()
    values = {other.name: other.read(result, folder, declaration.checkpoint) for other in others}
    return score, None, {name: value for name, value in sorted(values.items()) if value is not None}
