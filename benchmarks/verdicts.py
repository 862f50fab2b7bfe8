"""Measures how often verdicts are wrong, and how often they find a true difference, on simulated studies.

    python -m benchmarks.verdicts [STUDIES [TABLE]...]     by default 2,000 studies per row, and every table

The tables are those of docs/statistics.md; `benchmarks/simulated_studies.py` says how scores are drawn.
"""

import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter

import numpy as np
from scipy import stats

from benchmarks.simulated_studies import (
    BOTH,
    DIFFERENCE,
    LEVEL,
    SOURCES,
    Draw,
    at_levels,
    bimodal,
    equal,
    highest_share_allowed,
    learning,
    normal,
    power_of_t_test,
    share_covered,
    share_of_claims,
    share_of_false_findings,
    share_of_wrong_verdicts,
    share_supported,
    share_with,
    shares_at_two_looks,
    shifted,
    simulate,
    study_of,
)
from studies.statistics.exact import mean_interval
from studies.statistics.forms.form import Scores


def print_table(title: str, heads: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    sys.stdout.flush()


def percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def errors(studies: int) -> None:
    """Prints the share of studies with equal arms that find any difference (the family-wise error rate)."""
    rows = []
    for form, seeds, correlated in (("independent", 5, False), ("independent", 5, True), ("paired", 9, True)):
        for name, source in SOURCES.items():
            shares = [share_of_false_findings(source, claims, studies, form, seeds, correlated) for claims in (1, 6)]
            rows.append([name, form, str(seeds), "yes" if correlated else "no", *map(percent, shares)])
    bound = percent(highest_share_allowed(studies))
    title = f"Share of studies with equal arms that find any difference (at most 5%; {bound} with two standard errors)"
    print_table(title, ["scores", "test", "seeds", "arms correlated", "1 claim", "6 claims"], rows)


def kinds(studies: int) -> None:
    """Prints the share of wrong verdicts on each kind of claim if there is no effect, or exactly the margin."""
    gain = {"kind": "interaction", "treatment": 1, "control": 0, "over": "size", "between": ["last", "first"]}
    best_of_two = {"kind": "best", "best": [1, 2]}
    cases: list[tuple[str, str, dict[str, object], list[float]]] = [
        ("difference above 2 sd", "a difference of 2 sd", DIFFERENCE | {"margin": 2.0}, [0, 2]),
        (
            "equivalence within 2 sd",
            "a difference of 2 sd",
            DIFFERENCE | {"kind": "equivalence", "margin": 2.0},
            [0, 2],
        ),
        ("interaction", "equal gains of 2 sd", gain, [0, 2, 1, 3]),
        ("trend", "4 equal levels", {"kind": "trend"}, [0, 0, 0, 0]),
        ("best of 4", "two levels ahead and equal", {"kind": "best", "best": [1]}, [0, 2, 2, 0]),
        ("best of 4", "all equal", {"kind": "best", "best": [1]}, [0, 0, 0, 0]),
        ("best is one of two named levels, of 4", "all equal", best_of_two, [0, 0, 0, 0]),
        ("best is one of two named levels, of 4", "an unnamed level is equally good", best_of_two, [0, 2, 0, 2]),
    ]
    rows = []
    for title, truth, claim, shifts in cases:
        shares = []
        for source in SOURCES.values():
            sd = float(np.std(source(np.random.default_rng(1), (100_000,))))
            draw = partial(at_levels, source, sd * np.array(shifts))
            shares.append(share_of_wrong_verdicts(claim, draw, len(shifts), studies, sd))
        rows.append([title, truth, *map(percent, shares)])
    print_table("Share of wrong verdicts by kind of claim, one claim, 5 seeds", ["claim", "truth", *SOURCES], rows)
    rows = []
    margin = DIFFERENCE | {"kind": "equivalence", "margin": 0.1}
    supported = ("supported",)
    for title, truth, claim, chances, wrong in (
        (
            "interaction",
            "q rises from 0.1 to 0.4 at one level, from 0.6 to 0.9 at the other",
            gain,
            [0.1, 0.4, 0.6, 0.9],
            BOTH,
        ),
        ("trend", "q = 0.5 at 4 levels", {"kind": "trend"}, [0.5] * 4, BOTH),
        ("equivalence within 0.1", "q = 0.9 and 0.5", margin, [0.9, 0.5], supported),
        ("equivalence within 0.1", "q = 0.9 and 0.7", margin, [0.9, 0.7], supported),
        ("equivalence within 0.1", "q = 1 and 0.86", margin, [1.0, 0.86], supported),
    ):
        rows.append([title, truth])
        for seeds in (5, 8, 16):
            draw = partial(bimodal(chances), shape=(len(chances), seeds))
            rows[-1].append(percent(share_of_wrong_verdicts(claim, draw, len(chances), studies, 1.0, seeds, wrong)))
    heads = ["claim", "truth", "5 seeds", "8 seeds", "16 seeds"]
    print_table("Share of wrong verdicts when each run either learns or does not", heads, rows)


def coverage(studies: int) -> None:
    """Prints how often the interval of a difference contains the true effect."""
    rows = []
    for seeds in (5, 8):
        for name, source in SOURCES.items():
            shares = []
            for claims in (1, 6):
                study = study_of([DIFFERENCE] * claims, 2, "independent", seeds, None)
                shares.append(share_covered(simulate(study, shifted(source, 1.0, claims, seeds), studies), 1.0))
            rows.append([f"{name}, shifted", str(seeds), *map(percent, shares)])
        study = study_of([DIFFERENCE], 2, "independent", seeds, None)
        share = share_covered(simulate(study, learning(0.2, 0.9, 1, seeds), studies), 0.7 * 0.73)
        rows.append(["bimodal, q = 0.2 and 0.9", str(seeds), percent(share), ""])
    heads = ["scores", "seeds", "1 claim (95%)", "6 claims (95% or more)"]
    print_table("Coverage of intervals of a difference", heads, rows)


def power(studies: int) -> None:
    """Prints the power: how often a claim of a true difference is supported."""
    truths: list[tuple[str, Callable[[int, int], Draw]]] = [
        *((f"normal, {shift:g} sd", partial(shifted, normal, shift)) for shift in (1.0, 1.5, 2.0, 3.0)),
        *((f"bimodal, q = {q:g} and 0.9", partial(learning, q, 0.9)) for q in (0.5, 0.2)),
    ]
    rows, counts = [], (5, 8, 10, 16)
    for claims in (1, 6):
        for title, draw in truths:
            shares = []
            for seeds in counts:
                study = study_of([DIFFERENCE] * claims, 2, "independent", seeds, None)
                shares.append(share_supported(simulate(study, draw(claims, seeds), studies // claims)))
            rows.append([title, str(claims), *map(percent, shares)])
    heads = ["truth", "claims", *(f"{seeds} seeds" for seeds in counts)]
    print_table("Power: the share of claims of a true difference that are supported", heads, rows)


def looks(studies: int) -> None:
    """Prints how often studies with two looks find a difference."""
    rows = []
    for name, source in SOURCES.items():
        either, last = shares_at_two_looks(equal(source, 1, 2, 10), 1, studies, [5, 10])
        either_of_three, _ = shares_at_two_looks(equal(source, 3, 2, 10), 3, studies // 3, [5, 10])
        rows.append([f"{name}, equal arms", *map(percent, (either, last, either_of_three))])
    for title, draw in (
        ("normal, 2 sd", shifted(normal, 2.0, 1, 10)),
        ("bimodal, q = 0.2 and 0.9", learning(0.2, 0.9, 1, 10)),
    ):
        either, last = shares_at_two_looks(draw, 1, studies, [5, 10])
        rows.append([title, percent(either), percent(last), ""])
    heads = ["truth", "at either look", "at the last look alone", "3 claims, at either look"]
    print_table("Share of studies with looks = [5, 10] that find a difference", heads, rows)


def means(studies: int) -> None:
    """Prints how often the confidence interval of an arm's mean contains the true mean."""
    truth = {"normal": 0.0, "skewed": float(np.exp(0.5)), "bimodal, q = 0.5": 0.615, "bimodal, q = 0.9": 0.907}
    rows = []
    for name, source in SOURCES.items():
        for label, interval, times in (
            ("Student's t", mean_interval, studies),
            ("bootstrap (BCa)", bootstrap_interval, studies // 4),
        ):
            shares = []
            for seeds in (5, 8, 16):
                rng = np.random.default_rng(seeds)
                intervals = [interval(source(rng, (seeds,)), LEVEL) for _ in range(times)]
                shares.append(float(np.mean([low <= truth[name] <= high for low, high in intervals])))
            rows.append([name, label, *map(percent, shares)])
    heads = ["scores", "interval", "5 seeds", "8 seeds", "16 seeds"]
    print_table("Coverage of 95% intervals of an arm's mean", heads, rows)


def bootstrap_interval(scores: Scores, level: float) -> tuple[float, float]:
    """Returns scipy's BCa interval of a mean, or its percentile interval if BCa fails. The lab does not use it."""
    if np.ptp(scores) < 1e-12:
        return float(scores.mean()), float(scores.mean())
    for method in ("BCa", "percentile"):
        result = stats.bootstrap((scores,), np.mean, confidence_level=1 - level, method=method, n_resamples=2000, rng=0)
        if np.isfinite(result.confidence_interval).all():
            break
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def estimates(studies: int) -> None:
    """Prints the estimated number of seeds that inconclusive claims need, and the number that theory gives."""
    rows = []
    for shift in (1.0, 1.5, 2.0):
        quartiles = []
        for seeds in (5, 8):
            study = study_of([DIFFERENCE], 2, "independent", seeds, None)
            judgements = simulate(study, shifted(normal, shift, 1, seeds), max(studies // 5, 50))
            inconclusive = [claim for (claim,) in judgements if claim.verdict == "inconclusive"]
            needed = [float(claim.seeds_needed or np.inf) for claim in inconclusive]
            values = np.quantile(needed, [0.25, 0.5, 0.75], method="nearest") if needed else []
            quartiles.append(", ".join("over 200" if np.isinf(value) else f"{value:.0f}" for value in values))
        enough = next(seeds for seeds in range(5, 200) if power_of_t_test(shift, seeds) >= 0.8)
        rows.append([f"normal, {shift:g} sd", str(enough), *quartiles])
    heads = ["truth", "80% power at", "estimated after 5 seeds", "estimated after 8"]
    print_table("Quartiles of the estimated seeds per arm that would decide inconclusive claims", heads, rows)


def negligibles(studies: int) -> None:
    """Prints how often claims are called negligible, if their effects are exactly the bound and if they are zero."""
    wrong, right = [], []
    for name, source in SOURCES.items():
        sd = float(np.std(source(np.random.default_rng(1), (100_000,))))
        for bound in (1.0, 2.0):
            wrong.append([name, f"{bound:g} sd"])
            right.append([name, f"{bound:g} sd"])
            claim = DIFFERENCE | {"negligible": bound * sd}
            for seeds, looks_taken, claims in ((6, None, 1), (6, None, 6), (12, [6, 12], 1), (12, [6, 12], 3)):
                study = study_of([claim] * claims, 2, "independent", seeds, looks_taken)
                at_bound = simulate(study, shifted(source, bound * sd, claims, seeds), studies // claims)
                wrong[-1].append(percent(share_with(at_bound, ("negligible",))))
                at_zero = simulate(study, equal(source, claims, 2, seeds), studies // claims)
                shares = share_of_claims(at_zero, "negligible"), share_with(at_zero)
                right[-1].append(", ".join(map(percent, shares)))
    heads = ["scores", "bound", "6 seeds, 1 claim", "6 seeds, 6 claims", "looks, 1 claim", "looks, 3 claims"]
    print_table("Share of studies that call an effect of exactly the bound negligible", heads, wrong)
    print_table("No effect: share of claims called negligible, and of studies that find a difference", heads, right)


TABLES = (errors, kinds, coverage, power, looks, means, estimates, negligibles)


if __name__ == "__main__":
    studies_per_row = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    started = perf_counter()
    for print_it in TABLES:
        if print_it.__name__ in (sys.argv[2:] or [table.__name__ for table in TABLES]):
            print_it(studies_per_row)
    print(f"\n{studies_per_row:,} studies per row, {perf_counter() - started:.0f} s")
