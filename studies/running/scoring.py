"""The score of a run that ended: the study's measure, and the other measures that its claims are about."""

from dataclasses import replace
from pathlib import Path

from lab.run.store import RunFolder
from studies.declared.measures import main_measure, measure_of
from studies.declared.study import Study
from studies.ledger.records import Phase
from studies.running.executors.attempt import failure_of_analysis
from studies.running.executors.executor import Analyses, Outcome


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
    taken = (other for other in others if other.analysis not in outcome.analysis_failures)
    values = {other.name: other.read(result, folder, declaration.checkpoint) for other in taken}
    return score, None, {name: value for name, value in sorted(values.items()) if value is not None}


def with_every_analysis(outcome: Outcome, analyses: Analyses, home: Path, run: str) -> Outcome:
    """Returns the outcome of a run with every analysis stored, or listed among those that failed.

    An executor may have left analyses out, or a stored analysis may be damaged.
    """
    if outcome.result is None or outcome.result["status"] != "complete":
        return outcome
    failures = dict(outcome.analysis_failures)
    for name, checkpoint in analyses:
        if name not in failures and (reason := failure_of_analysis(home, run, checkpoint, name)):
            failures[name] = reason
    return replace(outcome, analysis_failures=failures)
