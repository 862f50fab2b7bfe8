"""Studies with simulated scores, judged by the lab's own `judge`, and the shares of verdicts they come to.

Three sources of scores: normal; skewed, the exponential of normal; bimodal, as of runs that learn or do not: about 0.98
with probability q and about 0.25 otherwise, each with a standard deviation of 0.01. Correlated arms share a normal part
of each seed's score, with the same variance as their own part.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from studies.declared.loading import study_at_scale
from studies.declared.study import Study
from studies.declared.study_file import StudyDeclaration
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.statistics.forms.form import Scores
from studies.statistics.interim import level_at

Source = Callable[[np.random.Generator, tuple[int, ...]], Scores]
"""Draws scores of a shape."""
Draw = Callable[[np.random.Generator], Scores]
"""Draws the scores of one study: [places, arms, seeds]."""
LEVEL = 0.05
BOTH = ("supported", "contradicted")
DIFFERENCE: dict[str, object] = {"kind": "difference", "treatment": 1, "control": 0}


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Scores:
    return rng.normal(size=shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Scores:
    return np.exp(rng.normal(size=shape))


def bimodal(share_learning: float | Sequence[float] = 0.5) -> Source:
    """Returns a source of scores of runs that learn with one probability, or with one per arm."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Scores:
        chance = np.asarray(share_learning).reshape(-1, *[1] * (len(shape) - 1))
        return np.where(rng.random(shape) < chance, 0.98, 0.25) + 0.01 * rng.normal(size=shape)

    return draw


SOURCES: dict[str, Source] = {
    "normal": normal,
    "skewed": skewed,
    "bimodal, q = 0.5": bimodal(0.5),
    "bimodal, q = 0.9": bimodal(0.9),
}


def study_of(claims: list[dict[str, object]], arms: int, form: str, seeds: int, looks: list[int] | None) -> Study:
    """Declares a study of arms 0..arms-1 at one place per claim; each claim compares the arms at its own place."""
    file = {
        "title": "simulated",
        "question": "?",
        "paper": "",
        "seeds": seeds,
        "test": form,
        "level": LEVEL,
        "looks": looks,
        "base": {},
        "factors": {"place": list(range(len(claims))), "arm": list(range(arms))},
        "tuning": {"trials": 1, "search": {"rate": {"low": 1, "high": 2}}},
        "scales": {"cpu": {"summary": ""}},
        "claims": [
            {"name": f"c{place}", "text": "", "paper": "", "factor": "arm", "where": {"place": place}} | claim
            for place, claim in enumerate(claims)
        ],
    }
    declaration = StudyDeclaration.model_validate_json(json.dumps(file))
    return study_at_scale(Path("simulated.toml"), declaration, "cpu", [])


def simulate(study: Study, draw: Draw, studies: int, seed: int = 0) -> list[list[Judgement]]:
    """Draws and judges many studies; returns the judgements of each."""
    rng = np.random.default_rng(seed)
    labels = [cell.label for cell in study.cells]
    judgements = []
    for _ in range(studies):
        scores_CxK = draw(rng).reshape(len(labels), -1)[:, : study.seeds]
        by_cell = {label: dict(enumerate(map(float, row))) for label, row in zip(labels, scores_CxK, strict=True)}
        judgements.append(judge(study, by_cell))
    return judgements


def equal(source: Source, places: int, arms: int, seeds: int, correlated: bool = False) -> Draw:
    """Returns a draw of arms that do not differ."""

    def draw(rng: np.random.Generator) -> Scores:
        own = source(rng, (places * arms, seeds)).reshape(places, arms, seeds)
        return own + own.std() * rng.normal(size=(places, 1, seeds)) if correlated else own

    return draw


def shifted(source: Source, shift: float, places: int, seeds: int) -> Draw:
    """Returns a draw of two arms, the treatment above the control by a shift."""
    draw_equal = equal(source, places, 2, seeds)
    return lambda rng: draw_equal(rng) + np.array([0.0, shift])[:, None]


def learning(control: float, treatment: float, places: int, seeds: int) -> Draw:
    """Returns a draw of two arms whose runs learn with these probabilities."""
    source = bimodal([control, treatment] * places)
    return lambda rng: source(rng, (2 * places, seeds)).reshape(places, 2, seeds)


def at_levels(source: Source, shifts: Scores, rng: np.random.Generator) -> Scores:
    """Draws arms that differ by shifts, with 5 seeds each."""
    return source(rng, (len(shifts), 5)) + shifts[:, None]


def share_with(judgements: list[list[Judgement]], verdicts: Collection[str] = BOTH) -> float:
    """Returns the share of studies in which at least one claim has one of these verdicts."""
    return float(np.mean([any(judgement.verdict in verdicts for judgement in study) for study in judgements]))


def share_of_claims(judgements: list[list[Judgement]], verdict: str) -> float:
    """Returns the share of claims with a verdict."""
    return float(np.mean([judgement.verdict == verdict for study in judgements for judgement in study]))


def share_supported(judgements: list[list[Judgement]]) -> float:
    """Returns the share of claims that are supported."""
    return share_of_claims(judgements, "supported")


def share_covered(judgements: list[list[Judgement]], truth: float) -> float:
    """Returns the share of intervals that contain the true effect."""
    contrasts = [judgement.contrast for study in judgements for judgement in study if judgement.contrast]
    return float(np.mean([contrast.low <= truth <= contrast.high for contrast in contrasts]))


def highest_share_allowed(studies: int) -> float:
    """Returns the level plus two standard errors of a share of that number of studies."""
    return LEVEL + 2 * float(np.sqrt(LEVEL * (1 - LEVEL) / studies))


def share_of_false_findings(
    source: Source, claims: int, studies: int, form: str, seeds: int, correlated: bool
) -> float:
    """Returns the share of studies of equal arms that find any difference."""
    study = study_of([DIFFERENCE] * claims, 2, form, seeds, None)
    return share_with(simulate(study, equal(source, claims, 2, seeds, correlated), studies))


def shares_at_two_looks(draw: Draw, claims: int, studies: int, looks: list[int]) -> tuple[float, float]:
    """Returns two shares of studies: in which either look finds a difference, and in which the last look does."""
    study = study_of([DIFFERENCE] * claims, 2, "independent", looks[-1], looks)
    decided = []
    for seeds in looks:
        assert level_at(LEVEL, seeds, looks, {}, "simulated") == LEVEL / len(looks)
        judgements = simulate(replace(study, seeds=seeds), draw, studies)
        decided.append([any(claim.verdict != "inconclusive" for claim in claims) for claims in judgements])
    return float(np.mean(np.any(decided, axis=0))), float(np.mean(decided[-1]))


def share_of_wrong_verdicts(
    claim: dict[str, object],
    draw: Draw,
    arms: int,
    studies: int,
    unit: float = 1.0,
    seeds: int = 5,
    wrong: Collection[str] = BOTH,
) -> float:
    """Returns the share of studies that come to a wrong verdict on one claim.

    Args:
        unit: of the claim's margin.
    """
    scaled = claim | ({"margin": float(str(claim["margin"])) * unit} if "margin" in claim else {})
    study = study_of([scaled], arms, "independent", seeds, None)
    if claim["kind"] == "interaction":
        study = replace(study, factors={"place": [0], "size": [0, 1], "arm": [0, 1]})
    return share_with(simulate(study, draw, studies), wrong)


def power_of_t_test(shift: float, seeds: int) -> float:
    """Returns the power of the two-sided t test at 0.05, which the permutation test follows.

    Args:
        shift: in standard deviations.
        seeds: per arm.
    """
    bound = stats.t.isf(LEVEL / 2, 2 * seeds - 2)
    return float(stats.nct.sf(bound, 2 * seeds - 2, shift * np.sqrt(seeds / 2)))
