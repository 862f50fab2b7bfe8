"""A study's stored runs with the current verdicts on its claims, as frames."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree, suggestion
from lab.html import html_table
from studies.declared.claims.comparison import Arm
from studies.declared.measures import measure_of
from studies.declared.study import Study
from studies.judging.from_ledger import judge_ledger
from studies.judging.judgement import Judgement, effect_with_interval, standing
from studies.reading.results import Results, read_results

VERDICT_COLUMNS = [
    *("claim", "verdict", "effect", "low", "high", "level", "p", "p_corrected", "margin", "measure", "test", "seeds"),
    *("treatment", "control", "text", "reason"),
]


@dataclass(frozen=True, repr=False)
class JudgedStudy:
    """A study's stored runs, and the verdict on each of its claims.

    Attributes:
        results: the runs as the lab's pages read them.
        judgements: the verdict on each claim, in the order of the study file.
    """

    results: Results
    judgements: list[Judgement]

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{judgement.claim.name} {standing(judgement)}" for judgement in self.judgements)
        return f"<results of study {self._state}; {verdicts or 'no claims'}>"

    def _repr_html_(self) -> str:
        rows = [
            (judgement.claim.name, judgement.claim.text, standing(judgement), effect_with_interval(judgement))
            for judgement in self.judgements
        ]
        columns = ("claim", "text", "verdict", "effect")
        return html_table(self.study.declaration.title, columns, rows, self._state)

    @property
    def _state(self) -> str:
        return (
            f"{self.study.name} at scale {self.study.scale}: {self.results.ended} of {self.results.planned} runs ended"
        )

    @property
    def study(self) -> Study:
        """The study as it was declared when it last ran."""
        return self.results.study

    @property
    def runs(self) -> pd.DataFrame:
        """One row for each run of the study; `studies.reading.results` lists the columns."""
        return self.results.runs

    @property
    def curves(self) -> pd.DataFrame:
        """One row for each run, step, split and metric: run, cell, phase, seed, status, step, seconds, split, metric,
        value. `seconds` counts training up to the step.
        """
        return self.results.curves

    @property
    def verdicts(self) -> pd.DataFrame:
        """One row for each claim.

        The columns are claim, verdict, effect, low and high (its interval), level (one minus the confidence of the
        interval), p (two-sided), p_corrected (by Holm's method over the claims), margin, measure, test (the form of the
        test), seeds (per arm), treatment and control (the cells shown side by side), text, and reason. Numbers are
        missing where the claim could not be tested. Positive effects are better, also where less of the measure is.
        """
        return pd.DataFrame([self._verdict_row(judgement) for judgement in self.judgements], columns=VERDICT_COLUMNS)

    def _verdict_row(self, judgement: Judgement) -> Tree:
        claim, contrast, test = judgement.claim, judgement.contrast, judgement.test
        row: Tree = {"claim": claim.name, "text": claim.text, "verdict": standing(judgement)}
        row["reason"] = judgement.reason
        row |= {"treatment": judgement.treatment, "control": judgement.control, "margin": claim.margin}
        row |= {"p": judgement.p, "p_corrected": judgement.p_corrected, "level": judgement.level}
        if contrast and test:
            row |= {"effect": contrast.difference, "low": contrast.low, "high": contrast.high}
            row |= {"test": test.form.name, "seeds": test.scores_AxK.shape[1]}
            row |= {"measure": measure_of(self.study.declaration, claim).name}
        return row

    def scores(self, claim: str) -> pd.DataFrame:
        """Returns the scores that the test of a claim used.

        Args:
            claim: the name of the claim.

        Returns:
            One row for each seed and one column for each arm, the treatment first. An arm is a cell of the study, named
            by its label; the arms of an interaction are differences of two cells. Scores are negated where less of the
            measure is better, as in the test.

        Raises:
            UserError: the study has no such claim (the message gives the nearest), or the claim was not tested.
        """
        judgement = next((judgement for judgement in self.judgements if judgement.claim.name == claim), None)
        if judgement is None:
            names = [judgement.claim.name for judgement in self.judgements]
            near = suggestion(str(claim), names, cutoff=0.0)
            raise UserError(f"claim {claim!r} of study {self.study.name}: no such claim; {near}")
        if judgement.test is None:
            raise UserError(f"claim {claim!r} of study {self.study.name} was not tested: {judgement.reason}")
        arms, scores_AxK = judgement.test.comparison.arms, judgement.test.scores_AxK
        seeds = pd.Index(list(judgement.by_seed), name="seed")
        return pd.DataFrame(scores_AxK.T, index=seeds, columns=[arm_label(arm) for arm in arms])


def arm_label(arm: Arm) -> str:
    """Returns the label of an arm: that of its cell, or a weighted sum such as `width=8 n=2 - width=8 n=1`."""
    (first, weight), *others = arm.items()
    text = first if weight == 1 else f"{weight:zg} ({first})"
    for label, other in others:
        size = "" if abs(other) == 1 else f"{abs(other):zg} "
        text += f" {'-' if other < 0 else '+'} {size}{label}"
    return text


def read_judged(home: Path, study: Study) -> JudgedStudy:
    """Reads a study and judges its claims from the scores stored so far.

    Raises:
        UserError: a file is damaged.
    """
    results = read_results(home, study)
    return JudgedStudy(results, judge_ledger(study, results.ledger))
