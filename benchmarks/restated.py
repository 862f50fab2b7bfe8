"""Restates published claims of a difference as claims about who solves the task, and when.

    python -m benchmarks.restated [ARCHIVE]...      by default every archive in reports/published

A run has solved its task when the study's metric on validation is at least 0.95 in two evaluations in a row; its stored
log says so. Studies in which no run or every run solves its task are left out. The p values are two-sided and not
corrected.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.decided import PUBLISHED
from benchmarks.verdicts import print_table
from generators.foundation.numbers import signed_number
from lab.run.solving import SOLVING_METRICS, Solved
from lab.run.store import METRICS, RunFolder
from studies.ledger.archive import unpack
from studies.ledger.declared_study import find_study
from studies.reading.judged import read_judged
from studies.statistics.effects import WeightedMeans
from studies.statistics.exact import Evidence
from studies.statistics.forms.form import Form, Scores
from studies.statistics.forms.independent import INDEPENDENT
from studies.statistics.forms.shares import SHARES

AT = 0.95
LEVEL = 0.05


def tested(scores_AxK: Scores, form: Form) -> str:
    """Returns a difference with its interval and its p value, in words."""
    evidence: Evidence = WeightedMeans().evidence(scores_AxK, form)
    contrast = evidence.contrast(LEVEL)
    numbers = (contrast.difference, contrast.low, contrast.high)
    effect, low, high = (signed_number(number, *numbers) for number in numbers)
    p = min(1.0, 2 * min(evidence.above(0.0), evidence.below(0.0)))
    return f"{effect} ({low} to {high}), p = {p:.3g}"


def restated(archive: Path, home: Path) -> list[list[str]]:
    """Returns a row for each claim of a published study that can be restated."""
    name, scale, _ = unpack(archive, home)
    judged = read_judged(home, find_study(home, name, scale))
    metric = judged.study.declaration.metric
    if metric not in SOLVING_METRICS:
        return []
    threshold = Solved(metric=metric, at=AT)
    steps: dict[str, list[tuple[int | None, int]]] = {}
    for cell in judged.results.cells:
        for run in cell.runs:
            if run.phase == "confirm" and run.score is not None:
                lines = RunFolder(home, run.identity).lines(METRICS)
                solved = threshold.first_step(lines) if any(metric in line for line in lines) else None
                steps.setdefault(cell.label, []).append((solved, lines[-1]["step"]))
    rows = []
    for judgement in judged.judgements:
        arms = [steps.get(label, []) for label in (judgement.treatment, judgement.control)]
        outcomes = {step is not None for arm in arms for step, _ in arm}
        if judgement.claim.kind != "difference" or judgement.claim.metric not in (None, metric) or len(outcomes) < 2:
            continue
        shares = np.array([[float(step is not None) for step, _ in arm] for arm in arms])
        restricted = np.array([[-float(last if step is None else step) for step, last in arm] for arm in arms])
        counts = " and ".join(f"{sum(step is not None for step, _ in arm)} of {len(arm)}" for arm in arms)
        row = [name, judgement.claim.name, judgement.verdict, counts, tested(shares, SHARES)]
        rows.append([*row, tested(restricted, INDEPENDENT)])
    return rows


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        archives = [Path(name) for name in sys.argv[1:]] or sorted(PUBLISHED.glob("*.tar.xz"))
        table = [row for archive in archives for row in restated(archive, Path(folder))]
    columns = ["study", "claim", "verdict on the score", "treatment and control that solve it"]
    columns += ["difference of shares", "fewer steps to solve it"]
    print_table(f"Claims restated, solved at {AT:g}", columns, table)
