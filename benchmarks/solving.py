"""Measures how claims about `solved` and `steps_to_solve` fare on simulated studies.

    python -m benchmarks.solving [STUDIES [TABLE]...]     by default 2,000 studies per row, and every table

The tables are those of docs/statistics.md; `benchmarks/simulated_solving.py` says how runs are drawn.
"""

import sys
from time import perf_counter

import numpy as np

from benchmarks.simulated_solving import (
    FUTILITY,
    LEVEL,
    SHIPPED_LOOKS,
    SimulatedStudy,
    drawn_runs,
    mean_steps,
    simulated_studies,
    solving_study,
)
from benchmarks.verdicts import percent, print_table
from studies.statistics.exact import mean_interval, share_interval

METRICS = ("solved", "steps_to_solve")
BOTH_METRICS = list(METRICS)
ALTERNATIVES = ((0.2, 0.8), (0.5, 0.9), (0.7, 1.0))
"""Shares of runs that solve the task, of the control and of the treatment."""


def share_decided(studies: list[SimulatedStudy]) -> float:
    """Returns the share of studies with a verdict other than inconclusive."""
    return float(np.mean([any(claim.verdict != "inconclusive" for claim in study.judgements) for study in studies]))


def errors(studies: int) -> None:
    """Prints the share of studies of equal arms that find a difference."""
    rows = []
    for share in (0.2, 0.5, 0.8, 0.95):
        row = [f"{share:g}"]
        for metrics in (["solved"], ["steps_to_solve"], BOTH_METRICS):
            for looks, futility in ((None, None), (SHIPPED_LOOKS, FUTILITY)):
                study = solving_study(metrics, 24, looks, futility)
                row.append(percent(share_decided(simulated_studies(study, (share, share), studies))))
        rows.append(row)
    heads = [
        "share that solves it",
        *(f"{name}, {how}" for name in ("solved", "steps", "both") for how in ("24 seeds", "looks")),
    ]
    print_table("Share of studies with equal arms that find any difference", heads, rows)


def power(studies: int) -> None:
    """Prints the share of true differences that are found, and the seeds it took."""
    rows = []
    for metric in METRICS:
        for shares in ALTERNATIVES:
            row = [metric, f"{shares[0]:g} and {shares[1]:g}"]
            for seeds in SHIPPED_LOOKS:
                study = solving_study([metric], seeds)
                row.append(percent(share_decided(simulated_studies(study, shares, studies))))
            for futility in (None, FUTILITY):
                drawn = simulated_studies(solving_study([metric], 24, SHIPPED_LOOKS, futility), shares, studies)
                row += [percent(share_decided(drawn)), f"{np.mean([study.seeds for study in drawn]):.1f}"]
            rows.append(row)
        for share in (0.5, 0.95):
            row = [metric, f"{share:g} and {share:g}", "", "", ""]
            for futility in (None, FUTILITY):
                drawn = simulated_studies(solving_study([metric], 24, SHIPPED_LOOKS, futility), (share, share), studies)
                row += [percent(share_decided(drawn)), f"{np.mean([study.seeds for study in drawn]):.1f}"]
            rows.append(row)
    heads = ["measure", "shares", *(f"{seeds} seeds" for seeds in SHIPPED_LOOKS)]
    heads += ["looks", "mean seeds", "looks and futility", "mean seeds"]
    print_table("Share of studies that find the difference, and the mean of the seeds per arm", heads, rows)


def coverage(studies: int) -> None:
    """Prints how often intervals contain the true effect, and the true share or mean of an arm."""
    rows = []
    for shares in ((0.5, 0.5), *ALTERNATIVES):
        for metric, truth in (
            ("solved", shares[1] - shares[0]),
            ("steps_to_solve", mean_steps(shares[1]) - mean_steps(shares[0])),
        ):
            row = [metric, f"{shares[0]:g} and {shares[1]:g}"]
            for seeds in SHIPPED_LOOKS:
                drawn = simulated_studies(solving_study([metric], seeds), shares, studies)
                contrasts = [claim.contrast for study in drawn for claim in study.judgements if claim.contrast]
                covered = [contrast.low - 1e-9 <= truth <= contrast.high + 1e-9 for contrast in contrasts]
                row.append(percent(float(np.mean(covered))))
            rows.append(row)
    heads = ["measure", "shares", *(f"{seeds} seeds" for seeds in SHIPPED_LOOKS)]
    print_table("Coverage of the 95% interval of a difference", heads, rows)


def arms(studies: int) -> None:
    """Prints how often the interval of one arm contains its share, or the mean of its bounded scores."""
    rows = []
    for share in (0.1, 0.5, 0.8, 0.95):
        row = ["share, Clopper-Pearson", f"{share:g}"]
        for seeds in SHIPPED_LOOKS:
            rng = np.random.default_rng(seeds)
            drawn = [drawn_runs(rng, [share], seeds)["solved"][0] for _ in range(studies)]
            intervals = [share_interval(values, LEVEL) for values in drawn]
            row.append(percent(float(np.mean([low <= share <= high for low, high in intervals]))))
        rows.append(row)
    for a, b in ((2.0, 2.0), (8.0, 2.0), (30.0, 1.0)):
        for name, bounds in (("mean, logit of t", (0.0, 1.0)), ("mean, Student's t", None)):
            row = [name, f"scores of Beta({a:g}, {b:g})"]
            for seeds in SHIPPED_LOOKS:
                rng = np.random.default_rng(seeds)
                intervals = [mean_interval(rng.beta(a, b, seeds), LEVEL, bounds) for _ in range(studies)]
                row.append(percent(float(np.mean([low <= a / (a + b) <= high for low, high in intervals]))))
            rows.append(row)
    heads = ["interval", "truth", *(f"{seeds} seeds" for seeds in SHIPPED_LOOKS)]
    print_table("Coverage of the 95% interval of one arm", heads, rows)


def equivalence(studies: int) -> None:
    """Prints how often an equivalence is supported although the shares differ by the margin, and where they do not."""
    rows = []
    claim = {"kind": "equivalence", "margin": 0.3}
    for shares in ((0.7, 1.0), (0.6, 0.9), (0.35, 0.65), (0.95, 0.95), (1.0, 1.0)):
        row = [f"{shares[0]:g} and {shares[1]:g}"]
        for seeds in SHIPPED_LOOKS:
            drawn = simulated_studies(solving_study(["solved"], seeds, claim=claim), shares, studies)
            supported = [study.judgements[0].verdict == "supported" for study in drawn]
            row.append(percent(float(np.mean(supported))))
        rows.append(row)
    heads = ["shares", *(f"{seeds} seeds" for seeds in SHIPPED_LOOKS)]
    print_table("Share of studies that support an equivalence of shares within 0.3", heads, rows)


TABLES = (errors, power, coverage, arms, equivalence)


if __name__ == "__main__":
    studies_per_row = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    started = perf_counter()
    for print_it in TABLES:
        if print_it.__name__ in (sys.argv[2:] or [table.__name__ for table in TABLES]):
            print_it(studies_per_row)
    print(f"\n{studies_per_row:,} studies per row, {perf_counter() - started:.0f} s")
