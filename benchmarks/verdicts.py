"""Do verdicts hold? Studies are simulated and judged by the lab's own `judge`, and errors and successes counted.

    python -m benchmarks.verdicts [STUDIES [PART]...]      2,000 simulated studies a row, and every part, by default;
                                                           prints the tables of docs/statistics.md

Three sources of scores: normal; skewed (the exponential of normal); bimodal, as of runs that learn or do not: with
probability p about 0.98 and otherwise about 0.25, each within 0.01. Correlated arms share a normal part of each
seed's score, of the same variance as the part that is their own.
"""

import json
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy import stats

from studies.declared.loading import study_at_scale
from studies.declared.study import Study
from studies.declared.study_file import StudyDeclaration
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.statistics.exact import mean_interval
from studies.statistics.forms.form import Scores
from studies.statistics.interim import level_at

Source = Callable[[np.random.Generator, tuple[int, ...]], Scores]
Draw = Callable[[np.random.Generator], Scores]
LEVEL = 0.05
BOTH = ("supported", "contradicted")


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Scores:
    return rng.normal(size=shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Scores:
    return np.exp(rng.normal(size=shape))


def bimodal(p_learn: float | Sequence[float] = 0.5) -> Source:
    """Scores of arms that learn with a probability each, or all with the same."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Scores:
        chance = np.asarray(p_learn).reshape(-1, *[1] * (len(shape) - 1))
        return np.where(rng.random(shape) < chance, 0.98, 0.25) + 0.01 * rng.normal(size=shape)

    return draw


SOURCES: dict[str, Source] = {
    "normal": normal,
    "skewed": skewed,
    "bimodal, p = 0.5": bimodal(0.5),
    "bimodal, p = 0.9": bimodal(0.9),
}


def declared(claims: list[dict[str, object]], arms: int, form: str, seeds: int, looks: list[int] | None) -> Study:
    """A study of arms 0..arms-1 in as many places as it has claims, each about its own place."""
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


DIFFERENCE: dict[str, object] = {"kind": "difference", "treatment": 1, "control": 0}


def simulated(study: Study, draw: Draw, studies: int, seed: int = 0) -> list[list[Judgement]]:
    """Judgements of each of many studies. draw: one study's scores [places, arms, seeds]."""
    rng = np.random.default_rng(seed)
    labels = [cell.label for cell in study.cells]
    found = []
    for _ in range(studies):
        scores_CxK = draw(rng).reshape(len(labels), -1)[:, : study.seeds]
        by_cell = {label: dict(enumerate(map(float, row))) for label, row in zip(labels, scores_CxK, strict=True)}
        found.append(judge(study, by_cell))
    return found


def equal(source: Source, places: int, arms: int, seeds: int, correlated: bool = False) -> Draw:
    """Arms that differ in nothing."""

    def draw(rng: np.random.Generator) -> Scores:
        own = source(rng, (places * arms, seeds)).reshape(places, arms, seeds)
        return own + own.std() * rng.normal(size=(places, 1, seeds)) if correlated else own

    return draw


def any_found(judgements: list[list[Judgement]], verdicts: Collection[str] = BOTH) -> float:
    """Share of studies in which any claim has one of these verdicts."""
    return float(np.mean([any(one.verdict in verdicts for one in study) for study in judgements]))


def supported(judgements: list[list[Judgement]]) -> float:
    """Share of claims that are supported."""
    return float(np.mean([one.verdict == "supported" for study in judgements for one in study]))


def covered(judgements: list[list[Judgement]], truth: float) -> float:
    """Share of intervals that hold the true effect."""
    return float(np.mean([one.contrast.low <= truth <= one.contrast.high
                          for study in judgements for one in study if one.contrast]))  # fmt: skip


def allowed(studies: int) -> float:
    """The level, and two standard errors of as many studies."""
    return LEVEL + 2 * float(np.sqrt(LEVEL * (1 - LEVEL) / studies))


def false_findings(source: Source, claims: int, studies: int, form: str, seeds: int, correlated: bool) -> float:
    """Share of studies of equal arms that find any difference."""
    study = declared([DIFFERENCE] * claims, 2, form, seeds, None)
    return any_found(simulated(study, equal(source, claims, 2, seeds, correlated), studies))


def two_looks(draw: Draw, claims: int, studies: int, looks: list[int]) -> tuple[float, float]:
    """Share of studies in which either look finds anything, and of those in which the last does."""
    study = declared([DIFFERENCE] * claims, 2, "independent", looks[-1], looks)
    found = []
    for seeds in looks:
        assert level_at(LEVEL, seeds, looks, {}, "simulated") == LEVEL / len(looks)
        verdicts = simulated(replace(study, seeds=seeds), draw, studies)
        found.append([any(one.verdict != "inconclusive" for one in each) for each in verdicts])
    return float(np.mean(np.any(found, axis=0))), float(np.mean(found[-1]))


def shifted(source: Source, shift: float, places: int, seeds: int) -> Draw:
    """The treatment is above the control by a shift."""
    usual = equal(source, places, 2, seeds)
    return lambda rng: usual(rng) + np.array([0.0, shift])[:, None]


def learning(control: float, treatment: float, places: int, seeds: int) -> Draw:
    """Runs of the control learn with one probability, those of the treatment with another."""
    source = bimodal([control, treatment] * places)
    return lambda rng: source(rng, (2 * places, seeds)).reshape(places, 2, seeds)


def table(title: str, heads: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    sys.stdout.flush()


def share(value: float) -> str:
    return f"{100 * value:.1f}%"


def errors(studies: int) -> None:
    rows = []
    for form, seeds, correlated in (("independent", 5, False), ("independent", 5, True), ("paired", 9, True)):
        for name, source in SOURCES.items():
            found = [false_findings(source, claims, studies, form, seeds, correlated) for claims in (1, 6)]
            rows.append([name, form, str(seeds), "yes" if correlated else "no", *map(share, found)])
    title = f"Studies of equal arms that find any difference: at most 5%, {share(allowed(studies))} with two errors"
    table(title, ["scores", "test", "seeds", "arms correlated", "1 claim", "6 claims"], rows)


def kinds(studies: int) -> None:
    """Each kind of claim where nothing, or exactly the margin, is true; 5 seeds."""
    gain = {"kind": "interaction", "treatment": 1, "control": 0, "over": "size", "between": ["last", "first"]}
    two = {"kind": "best", "best": [1, 2]}
    cases: list[tuple[str, dict[str, object], list[float]]] = [
        ("difference above 2 sd; it is 2 sd", DIFFERENCE | {"margin": 2.0}, [0, 2]),
        ("equivalence within 2 sd; it is 2 sd", DIFFERENCE | {"kind": "equivalence", "margin": 2.0}, [0, 2]),
        ("interaction; equal gains of 2 sd", gain, [0, 2, 1, 3]),
        ("trend; 4 equal levels", {"kind": "trend"}, [0, 0, 0, 0]),
        ("best of 4; two ahead and equal", {"kind": "best", "best": [1]}, [0, 2, 2, 0]),
        ("best of 4; all equal", {"kind": "best", "best": [1]}, [0, 0, 0, 0]),
        ("best among two of 4; all equal", two, [0, 0, 0, 0]),
        ("best among two of 4; a third equal", two, [0, 2, 0, 2]),
    ]
    rows = []
    for title, claim, shifts in cases:
        found = []
        for source in SOURCES.values():
            sd = float(np.std(source(np.random.default_rng(1), (100_000,))))
            found.append(
                wrong_verdicts(claim, partial(levels, source, sd * np.array(shifts)), len(shifts), studies, sd)
            )
        rows.append([title, *map(share, found)])
    table("Wrong verdicts of each kind, one claim, 5 seeds", ["claim and truth", *SOURCES], rows)
    rows = []
    margin = DIFFERENCE | {"kind": "equivalence", "margin": 0.1}
    supported = ("supported",)
    for title, claim, chances, wrong in (
        ("interaction; p from 0.1 to 0.4, and from 0.6 to 0.9", gain, [0.1, 0.4, 0.6, 0.9], BOTH),
        ("trend; p = 0.5 at 4 levels", {"kind": "trend"}, [0.5] * 4, BOTH),
        ("equivalence within 0.1; p = 0.9 and 0.5", margin, [0.9, 0.5], supported),
        ("equivalence within 0.1; p = 0.9 and 0.7", margin, [0.9, 0.7], supported),
        ("equivalence within 0.1; p = 1 and 0.86", margin, [1.0, 0.86], supported),
    ):
        rows.append([title])
        for seeds in (5, 8, 16):
            draw = partial(bimodal(chances), shape=(len(chances), seeds))
            rows[-1].append(share(wrong_verdicts(claim, draw, len(chances), studies, 1.0, seeds, wrong)))
    table("Wrong verdicts where runs learn or do not", ["claim and truth", "5 seeds", "8 seeds", "16 seeds"], rows)


def levels(source: Source, shifts: Scores, rng: np.random.Generator) -> Scores:
    """Arms that differ by shifts, 5 seeds each."""
    return source(rng, (len(shifts), 5)) + shifts[:, None]


def wrong_verdicts(
    claim: dict[str, object],
    draw: Draw,
    arms: int,
    studies: int,
    unit: float = 1.0,
    seeds: int = 5,
    wrong: Collection[str] = BOTH,
) -> float:
    """Share of studies that come to a wrong verdict on one claim."""
    scaled = claim | ({"margin": float(str(claim["margin"])) * unit} if "margin" in claim else {})
    study = declared([scaled], arms, "independent", seeds, None)
    if claim["kind"] == "interaction":
        study = replace(study, factors={"place": [0], "size": [0, 1], "arm": [0, 1]})
    return any_found(simulated(study, draw, studies), wrong)


def coverage(studies: int) -> None:
    rows = []
    for seeds in (5, 8):
        for name, source in SOURCES.items():
            found = []
            for claims in (1, 6):
                study = declared([DIFFERENCE] * claims, 2, "independent", seeds, None)
                found.append(covered(simulated(study, shifted(source, 1.0, claims, seeds), studies), 1.0))
            rows.append([f"{name}, shifted", str(seeds), *map(share, found)])
        study = declared([DIFFERENCE], 2, "independent", seeds, None)
        found = covered(simulated(study, learning(0.2, 0.9, 1, seeds), studies), 0.7 * 0.73)
        rows.append(["bimodal, p = 0.2 and 0.9", str(seeds), share(found), ""])
    table(
        "Intervals of a difference that hold it", ["scores", "seeds", "1 claim (95%)", "6 claims (95% or more)"], rows
    )


def power(studies: int) -> None:
    truths: list[tuple[str, Callable[[int, int], Draw]]] = [
        *((f"normal, {d:g} sd", partial(shifted, normal, d)) for d in (1.0, 1.5, 2.0, 3.0)),
        *((f"bimodal, p = {p:g} and 0.9", partial(learning, p, 0.9)) for p in (0.5, 0.2)),
    ]
    rows, counts = [], (5, 8, 10, 16)
    for claims in (1, 6):
        for title, draw in truths:
            found = []
            for seeds in counts:
                study = declared([DIFFERENCE] * claims, 2, "independent", seeds, None)
                found.append(supported(simulated(study, draw(claims, seeds), studies // claims)))
            rows.append([title, str(claims), *map(share, found)])
    heads = ["truth", "claims", *(f"{seeds} seeds" for seeds in counts)]
    table("Claims of a difference that is there which are supported", heads, rows)


def looks(studies: int) -> None:
    rows = []
    for name, source in SOURCES.items():
        either, last = two_looks(equal(source, 1, 2, 10), 1, studies, [5, 10])
        three, _ = two_looks(equal(source, 3, 2, 10), 3, studies // 3, [5, 10])
        rows.append([f"{name}, equal arms", share(either), share(last), share(three)])
    for title, draw in (
        ("normal, 2 sd", shifted(normal, 2.0, 1, 10)),
        ("bimodal, p = 0.2 and 0.9", learning(0.2, 0.9, 1, 10)),
    ):
        either, last = two_looks(draw, 1, studies, [5, 10])
        rows.append([title, share(either), share(last), ""])
    heads = ["truth", "at either look", "at the last", "3 claims, at either"]
    table("Studies with looks = [5, 10] that find a difference", heads, rows)


def means(studies: int) -> None:
    truth = {"normal": 0.0, "skewed": float(np.exp(0.5)), "bimodal, p = 0.5": 0.615, "bimodal, p = 0.9": 0.907}
    rows = []
    for name, source in SOURCES.items():
        for label, interval, times in (
            ("Student's t", mean_interval, studies),
            ("bootstrap (BCa)", bootstrapped, studies // 4),
        ):
            found = []
            for seeds in (5, 8, 16):
                rng = np.random.default_rng(seeds)
                ends = [interval(source(rng, (seeds,)), LEVEL) for _ in range(times)]
                found.append(float(np.mean([low <= truth[name] <= high for low, high in ends])))
            rows.append([name, label, *map(share, found)])
    table("95% intervals of an arm's mean that hold it", ["scores", "interval", "5 seeds", "8 seeds", "16 seeds"], rows)


def bootstrapped(scores: Scores, level: float) -> tuple[float, float]:
    """What is not shipped: scipy's BCa, with its percentile interval where that has none."""
    if np.ptp(scores) < 1e-12:
        return float(scores.mean()), float(scores.mean())
    for method in ("BCa", "percentile"):
        found = stats.bootstrap((scores,), np.mean, confidence_level=1 - level, method=method, n_resamples=2000, rng=0)
        if np.isfinite(found.confidence_interval).all():
            break
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def estimates(studies: int) -> None:
    rows = []
    for d in (1.0, 1.5, 2.0):
        said = []
        for seeds in (5, 8):
            study = declared([DIFFERENCE], 2, "independent", seeds, None)
            judged = [one for (one,) in simulated(study, shifted(normal, d, 1, seeds), max(studies // 5, 50))]
            needed = [float(one.seeds_needed or np.inf) for one in judged if one.verdict == "inconclusive"]
            quartiles = np.quantile(needed, [0.25, 0.5, 0.75], method="nearest") if needed else []
            said.append(", ".join("over 200" if np.isinf(q) else f"{q:.0f}" for q in quartiles))
        enough = next(k for k in range(5, 200) if exact_power(d, k) >= 0.8)
        rows.append([f"normal, {d:g} sd", str(enough), *said])
    heads = ["truth", "80% power at", "said after 5 seeds", "said after 8"]
    table("Seeds an arm that inconclusive claims are said to need: quartiles", heads, rows)


def exact_power(d: float, seeds: int) -> float:
    """Of the two-sided t test at 0.05, which the permutation test follows."""
    bound = stats.t.isf(LEVEL / 2, 2 * seeds - 2)
    return float(stats.nct.sf(bound, 2 * seeds - 2, d * np.sqrt(seeds / 2)))


PARTS = (errors, kinds, coverage, power, looks, means, estimates)


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    started = perf_counter()
    for part in PARTS:
        if part.__name__ in (sys.argv[2:] or [one.__name__ for one in PARTS]):
            part(wanted)
    print(f"\n{wanted:,} studies a row, {perf_counter() - started:.0f} s")
