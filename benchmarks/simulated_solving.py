"""Simulated studies of runs that solve their task or do not, judged look by look as the lab's runner does.

A run of an arm solves its task with the arm's probability, at a step drawn uniformly from the middle half of its steps.
Claims are about `solved` and `steps_to_solve`; a run that does not solve its task has all its steps.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studies.declared.claims.claim import Claim
from studies.declared.loading import study_at_scale
from studies.declared.study import Study
from studies.declared.study_file import StudyDeclaration
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.judging.looks import claims_to_pursue
from studies.statistics.forms.form import Scores
from studies.statistics.interim import looks_until

STEPS = 2000
LEVEL = 0.05
SHIPPED_LOOKS = [6, 12, 24]
FUTILITY = 0.05


@dataclass(frozen=True)
class SimulatedStudy:
    """A study as it was judged: its verdicts, and the seeds per arm that it took."""

    judgements: list[Judgement]
    seeds: int


def solving_study(
    metrics: Sequence[str],
    seeds: int,
    looks: list[int] | None = None,
    futility: float | None = None,
    claim: dict[str, object] | None = None,
) -> Study:
    """Declares a study of two arms with one claim for each metric.

    Args:
        claim: keys of the claims that are not those of a difference.
    """
    compared = {"kind": "difference", "factor": "arm", "treatment": 1, "control": 0} | (claim or {})
    file = {
        "title": "simulated",
        "question": "?",
        "paper": "",
        "metric": "exact",
        "solved_at": 0.95,
        "seeds": seeds,
        "level": LEVEL,
        "looks": looks,
        "futility": futility,
        "base": {},
        "factors": {"arm": [0, 1]},
        "tuning": {"trials": 1, "search": {"rate": {"low": 1, "high": 2}}},
        "scales": {"cpu": {"summary": ""}},
        "claims": [{"name": metric, "text": "", "paper": "", "metric": metric, **compared} for metric in metrics],
    }
    declaration = StudyDeclaration.model_validate_json(json.dumps(file))
    return study_at_scale(Path("simulated.toml"), declaration, "cpu", [])


def drawn_runs(rng: np.random.Generator, shares: Sequence[float], seeds: int) -> dict[str, Scores]:
    """Draws the runs of arms with these shares; returns metric -> values [A, K], better when higher."""
    solved_AxK = rng.random((len(shares), seeds)) < np.array(shares)[:, None]
    steps_AxK = np.where(solved_AxK, rng.uniform(STEPS / 4, 3 * STEPS / 4, solved_AxK.shape).round(-1), STEPS)
    return {"solved": solved_AxK.astype(float), "steps_to_solve": -steps_AxK}


def mean_steps(share: float) -> float:
    """Returns the expected restricted steps of an arm, with their sign flipped."""
    return -(share * STEPS / 2 + (1 - share) * STEPS)


def run_look_by_look(study: Study, values: dict[str, Scores]) -> SimulatedStudy:
    """Judges a study at its looks, adding seeds for the claims that the lab would pursue."""
    labels = [cell.label for cell in study.cells]
    judgements: list[Judgement] = []
    looks = looks_until(study.seeds, study.declaration.looks)
    for look in looks:

        def scores(claim: Claim, look: int = look) -> dict[str, dict[int, float]]:
            rows = values[str(claim.metric)]
            return {label: dict(enumerate(map(float, row[:look]))) for label, row in zip(labels, rows, strict=True)}

        judgements = judge(study, scores)
        if look == looks[-1] or not claims_to_pursue(study, judgements, look):
            return SimulatedStudy(judgements, look)
    raise AssertionError("a study has at least one look")


def simulated_studies(study: Study, shares: Sequence[float], studies: int, seed: int = 0) -> list[SimulatedStudy]:
    """Draws and judges many studies."""
    rng = np.random.default_rng(seed)
    return [run_look_by_look(study, drawn_runs(rng, shares, study.seeds)) for _ in range(studies)]
