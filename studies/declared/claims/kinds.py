"""What each kind of claim compares, before any score is known: which cells, weighted how, and how few seeds can do.

A new kind is a row in `declared_claims.KEYS` and a function here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from generators.foundation.errors import UserError
from generators.foundation.settings import suggestion
from studies.declared.claims.claim import KEYS, Claim, Level
from studies.declared.study import Study
from studies.statistics.effects import Effect, LeadOfBest, WeightedMeans
from studies.statistics.forms.form import Scores

Sum = Mapping[str, float]
"""Cell label -> weight: a score made of the scores of one seed."""


@dataclass(frozen=True)
class Comparison:
    """The arms a claim compares.

    arms: each a sum of cells; a gain is one cell less another. shown: the two arms a reader wants to see side by side,
    as labels of cells. effect: of the scores of the arms.
    """

    arms: tuple[Sum, ...]
    shown: tuple[str, str]
    effect: Effect

    @property
    def cells(self) -> list[str]:
        """Labels of the cells of all arms."""
        return list(dict.fromkeys(label for arm in self.arms for label in arm))

    def scores(self, by_cell: Mapping[str, Mapping[int, float]], seeds: Sequence[int]) -> Scores:
        """The scores of the arms, in the order of the seeds: [A, K]."""
        return np.array(
            [[sum(weight * by_cell[label][seed] for label, weight in arm.items()) for seed in seeds]
             for arm in self.arms]
        )  # fmt: skip

    def shown_cells(self, scores_AxK: Scores) -> tuple[str, str]:
        """Returns labels of the two cells to show side by side, given the scores of the arms."""
        leaders = self.effect.leaders(scores_AxK) if scores_AxK.size else None
        return self.shown if leaders is None else (self.cells[leaders[0]], self.cells[leaders[1]])


def comparison(study: Study, claim: Claim) -> Comparison:
    """What a claim compares.

    Raises:
        UserError: the claim lacks a key of its kind, has one of another, or does not name the cells it is about.
    """
    required, optional = KEYS[claim.kind]
    place = f"{study.source}: claims.{claim.name}"
    for key in ("treatment", "control", "over", "between", "better", "best", "margin"):
        given = getattr(claim, key) is not None
        if key in required and not given:
            raise UserError(f"{place}.{key}: {_a(claim.kind)} needs one; its keys are {', '.join(required + optional)}")
        if given and key not in (*required, *optional):
            raise UserError(f"{place}.{key}: {_a(claim.kind)} has none; its keys are {', '.join(required + optional)}")
    keys = {"factor": claim.factor, **{f"where.{key}": key for key in claim.where}}
    keys |= {"over": claim.over} if claim.over else {}
    for stem, key in keys.items():
        if key not in study.factors:
            value = "" if stem.startswith("where.") else f" = {key!r}"
            raise UserError(f"{place}.{stem}{value}: no such factor; {suggestion(key, list(study.factors))}")
        if (stem != "factor" and key == claim.factor) or (stem == "over" and key in claim.where):
            raise UserError(f"{place}.{stem}: the claim says of {key} already which levels it is about; leave it out")
    return KINDS[claim.kind](study, claim, place)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _pair(study: Study, claim: Claim, place: str, beside: Mapping[str, Level] | None = None) -> tuple[str, str]:
    treatment, control = (
        study.arm(claim, {claim.factor: level, **(beside or {})}).label
        for level in (claim.treatment, claim.control)
        if level is not None
    )
    if treatment == control:
        raise UserError(f"{place}: treatment and control are the same cell, {control}")
    return treatment, control


def _difference(study: Study, claim: Claim, place: str) -> Comparison:
    treatment, control = _pair(study, claim, place)
    return Comparison(({treatment: 1.0}, {control: 1.0}), (treatment, control), WeightedMeans())


def _interaction(study: Study, claim: Claim, place: str) -> Comparison:
    """The gains of each seed, at one level of `over` and at the other, are the scores of two arms."""
    assert claim.over is not None
    assert claim.between is not None
    pairs = [_pair(study, claim, place, {claim.over: level}) for level in claim.between]
    if pairs[0] == pairs[1]:
        raise UserError(f"{place}.between = {list(claim.between)}: both are the same level of {claim.over}")
    more, less = ({treatment: 1.0, control: -1.0} for treatment, control in pairs)
    return Comparison((more, less), pairs[0], WeightedMeans())


def _trend(study: Study, claim: Claim, place: str) -> Comparison:
    """The least-squares slope over the ranks 0, 1, 2, ... of the levels, as they are listed."""
    labels = [study.arm(claim, {claim.factor: level}).label for level in study.factors[claim.factor]]
    if len(labels) < 2:
        raise UserError(f"{place}: {claim.factor} has one level at this scale; a trend needs at least two")
    if claim.better == "first":
        labels.reverse()
    ranks = np.arange(len(labels)) - (len(labels) - 1) / 2
    weights = tuple(float(weight) for weight in ranks / (ranks @ ranks))
    return Comparison(tuple({label: 1.0} for label in labels), (labels[-1], labels[0]), WeightedMeans(weights))


def _best(study: Study, claim: Claim, place: str) -> Comparison:
    named = list(dict.fromkeys(study.arm(claim, {claim.factor: level}).label for level in claim.best or ()))
    every = [study.arm(claim, {claim.factor: level}).label for level in study.factors[claim.factor]]
    others = [label for label in every if label not in named]
    if not others:
        raise UserError(f"{place}.best = {claim.best}: these are all levels of {claim.factor}; leave some out")
    effect = LeadOfBest(len(named), len(others))
    return Comparison(tuple({label: 1.0} for label in [*named, *others]), (named[0], others[0]), effect)


KINDS: dict[str, Callable[[Study, Claim, str], Comparison]] = {
    "difference": _difference,
    "equivalence": _difference,
    "interaction": _interaction,
    "trend": _trend,
    "best": _best,
}
