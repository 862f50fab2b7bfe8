"""The numbers of a published study, as the template of FINDINGS.md names them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

import studies
from reports.frames.method.expected_best import complete_trials, expected_best, tuning_trials
from studies.declared.catalog import STUDIES
from studies.declared.loading import read_study_file
from studies.declared.study_file import StudyDeclaration
from studies.judging.judgement import Judgement
from studies.reading.judged import JudgedStudy
from studies.statistics.power import SEEDS_MAXIMUM

SECONDS_PER_MINUTE = 60


@dataclass(frozen=True)
class ClaimNumbers:
    """The verdict on a claim with its numbers; those of a claim that was not tested are dashes."""

    judgement: Judgement
    planned: int

    @property
    def verdict(self) -> str:
        """The verdict, or `not tested`."""
        return self.judgement.verdict if self.judgement.contrast else "not tested"

    def _signed(self, name: str) -> str:
        contrast = self.judgement.contrast
        if not contrast:
            return "–"
        value = getattr(contrast, name)
        return f"{value:+z,.0f}" if abs(value) >= 1000 else f"{value:+.3g}"

    @property
    def effect(self) -> str:
        """The effect, with its sign."""
        return self._signed("difference")

    @property
    def low(self) -> str:
        """The lower end of the interval, with its sign."""
        return self._signed("low")

    @property
    def high(self) -> str:
        """The upper end of the interval, with its sign."""
        return self._signed("high")

    @property
    def interval(self) -> str:
        """Both ends of the interval."""
        return f"{self.low} to {self.high}" if self.judgement.contrast else "–"

    @property
    def resolution(self) -> str:
        """The smallest effect that is found with 80% power; a dash if there is none."""
        size = self.judgement.resolution
        return "–" if size is None else f"{float(f'{size:.2g}'):g}"

    @property
    def seeds_needed(self) -> str:
        """The estimated seeds per arm that would decide it if the true effect is the observed one."""
        if self.judgement.seeds_needed is None:
            return f"more than {SEEDS_MAXIMUM}"
        return str(self.judgement.seeds_needed)

    @property
    def seeds(self) -> str:
        """The seeds that have the metric in every arm, and the planned number if that is larger."""
        scored = len(self.judgement.by_seed)
        return str(scored) if scored == self.planned else f"{scored} of {self.planned}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The entries of the claim in the table of a section, after its text."""
        return self.verdict, self.effect, self.interval, self.resolution, self.seeds

    @property
    def summary(self) -> str:
        """Effect and interval, as in running text."""
        return f"{self.effect} ({self.interval})"


@dataclass(frozen=True)
class ArmNumbers:
    """The fresh runs of one cell. `score` stands for the metric of the study, on its test split."""

    runs: pd.DataFrame

    def values(self, metric: str = "score") -> pd.Series:
        """Returns a metric of the runs that have it, by seed."""
        return self.runs.set_index("seed")[metric].dropna()

    def mean(self, metric: str = "score", digits: int = 3) -> str:
        """Returns the mean of a metric."""
        return f"{self.values(metric).mean():z.{digits}f}"

    def range(self, metric: str = "score", digits: int = 3) -> str:
        """Returns the lowest and the highest value of a metric."""
        values = self.values(metric)
        return f"{values.min():z.{digits}f} to {values.max():z.{digits}f}"

    def highest(self, metric: str = "score", digits: int = 3) -> str:
        """Returns the highest value of a metric."""
        return f"{self.values(metric).max():z.{digits}f}"

    def count(self, at_least: float, metric: str = "score") -> str:
        """Returns how many runs reach a value, such as `3 of 5`."""
        values = self.values(metric)
        return f"{int((values >= at_least).sum())} of {len(values)}"

    @property
    def solved(self) -> str:
        """The runs that solved their task, such as `6 of 6`."""
        return self.count(1, "measure/solved")

    @property
    def rate(self) -> str:
        """The learning rate that tuning chose."""
        (rate,) = self.runs["setting/training.learning_rate"].unique()
        return f"{rate:z.4f}"


class StudyNumbers:
    """A published study.

    Args:
        home: where its archive was unpacked.
    """

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.loaded: JudgedStudy = studies.load(name, home=home, scale="cpu")

    @cached_property
    def declared(self) -> StudyDeclaration:
        """The study as the catalog has it today, which words titles, questions and claims."""
        return read_study_file(STUDIES.path(self.name))

    @cached_property
    def claims(self) -> dict[str, ClaimNumbers]:
        """The numbers of each claim, by its name."""
        seeds = self.loaded.study.seeds
        return {item.claim.name: ClaimNumbers(item, seeds) for item in self.loaded.judgements}

    @property
    def texts(self) -> dict[str, str]:
        """The wording of each claim, by its name."""
        return {claim.name: claim.text for claim in self.declared.claims}

    def claim(self, name: str) -> ClaimNumbers:
        """Returns the numbers of a claim."""
        return self.claims[name]

    def arm(self, cell: str, claim: str | None = None) -> ArmNumbers:
        """Returns the numbers of a cell, which is named by its label, such as `n=2`.

        Args:
            claim: only its runs of the seeds on which this claim was judged.
        """
        runs = self.loaded.runs
        if claim:
            runs = runs[runs.seed.isin(self.claims[claim].judgement.by_seed)]
        chosen = runs[(runs.phase == "confirm") & (runs.cell == cell)]
        if chosen.empty:
            raise KeyError(f"{self.name} has no cell {cell}; it has {', '.join(map(repr, runs.cell.unique()))}")
        return ArmNumbers(chosen)

    @property
    def setting(self) -> str:
        """The parameters of the networks, all heads included, and the optimiser steps of the runs."""
        runs = self.loaded.runs
        columns = [column for column in runs.columns if column.startswith("parameters/")]
        sizes = runs[columns].sum(axis=1)
        thousands = [
            f"{count}k" for count in sorted({round(size / 1000) for size in (sizes[sizes > 0].min(), sizes.max())})
        ]
        study = self.loaded.study
        steps = sorted({study.spec(cell, study.middle, 0).training.steps for cell in study.cells})
        return f"{' to '.join(thousands)}, {' and '.join(f'{count:,}' for count in steps)} steps"

    @property
    def sign(self) -> float:
        """1 if more of the study's metric is better, -1 if less is."""
        return -1.0 if self.loaded.study.declaration.metric.startswith("loss") else 1.0

    @cached_property
    def _trial_scores(self) -> dict[str, list[float]]:
        """Cell -> the scores of its complete tuning trials on validation."""
        trials = tuning_trials(self.loaded.results)
        return {cell: [score for score, _ in complete_trials(own, self.sign)] for cell, own in trials.items()}

    def tuning_row(self, cell: str, digits: int = 3) -> str:
        """Returns a row of a table: cell, trials, expected best of one and of all, chosen rate, fresh runs."""
        scores, arm = self._trial_scores[cell], self.arm(cell)
        best = expected_best(scores, self.sign)
        values = [f"{best[0]:z.{digits}f}", f"{best[-1]:z.{digits}f}", arm.rate, arm.mean(digits=digits)]
        return f"| {self.name} | {cell} | {len(scores)} | {' | '.join(values)} |"

    @cached_property
    def costs(self) -> pd.DataFrame:
        """The runs, those of tuning included: their core-seconds, and their steps beside those of a whole run."""
        runs, study = self.loaded.runs, self.loaded.study
        whole = {cell.label: study.spec(cell, study.middle, 0).training.steps for cell in study.cells}
        seconds = runs.train_seconds + runs.evaluate_seconds
        columns = {"seconds": seconds, "steps": runs.steps, "whole": runs.cell.map(whole)}
        return pd.DataFrame(columns).set_axis(runs.run)

    @property
    def runs(self) -> int:
        """The number of runs that were trained, those of tuning included."""
        return len(self.loaded.runs)

    @property
    def runs_at_most(self) -> int:
        """The number of runs if every claim had needed the last look."""
        return self.loaded.study.runs

    @property
    def seconds(self) -> float:
        """The core-seconds of training and evaluating all runs."""
        return float(self.costs.seconds.sum())

    @property
    def minutes(self) -> str:
        """The core-minutes of all runs, in words that follow `in`."""
        minutes = self.seconds / SECONDS_PER_MINUTE
        return "less than one core-minute" if minutes < 1 else f"{minutes:z.0f} core-minutes"

    @property
    def section(self) -> str:
        """The heading, the question, the command and the table of the claims."""
        rows = [f"| {self.texts[name]} | {' | '.join(claim.columns)} |" for name, claim in self.claims.items()]
        return "\n".join(
            [
                f"### {self.name}: {self.declared.title}\n",
                f"*{self.declared.question}*\n",
                f"`lab study run {self.name}` trained {self.runs} runs in {self.minutes}.\n",
                "| claim | verdict | effect | interval | 80% power | seeds |",
                "|---|---|---|---|---|---|",
                *rows,
            ]
        )
