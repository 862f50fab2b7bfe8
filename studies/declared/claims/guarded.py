"""Claims whose kind another package provides: its errors and wrong results become one sentence.

If a kind of claim of this lab raises an error, that is a bug and is raised here too.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Protocol, TypeVar

import numpy as np

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.outside import PartFailed, guarded, quoted
from studies.declared.claims.claim import Claim, Grid, HasLabel
from studies.declared.claims.comparison import Comparison
from studies.declared.claims.table import CLAIMS
from studies.statistics.effects import Effect
from studies.statistics.exact import SEEDS_MINIMUM
from studies.statistics.forms.form import Form
from studies.statistics.power import PValue

T = TypeVar("T")


class WholeGrid(Grid, Protocol):
    """A grid with its cells."""

    @property
    def cells(self) -> Sequence[HasLabel]:
        """The cells that run."""


@contextmanager
def guarded_claim(claim: Claim) -> Iterator[None]:
    """Turns whatever a kind of claim of another package raises into a PartFailed that names it."""
    if claim.kind in CLAIMS.rows:
        yield
        return
    with guarded(CLAIMS.subject(claim.kind)):
        yield


def attempted(claim: Claim, action: Callable[[], T]) -> T | str:
    """Returns the result of an action on a claim, or the sentence that says how its kind, of another package, failed.

    Raises:
        UserError: the kind is the lab's own, and the claim is wrong.
    """
    try:
        with guarded_claim(claim):
            return action()
    except (UserError, WorkFailed) as error:
        if claim.kind in CLAIMS.rows:
            raise
        return str(error)


def comparison_of(claim: Claim, study: WholeGrid) -> Comparison:
    """Returns what a claim compares in a study.

    Raises:
        UserError: a key of the claim is wrong.
        PartFailed: its kind comes from another package, and raises an error or compares something that is not a cell.
    """
    with guarded_claim(claim):
        comparison = claim.comparison(study)
        problem = "" if claim.kind in CLAIMS.rows else comparison_problem(comparison, study)
    if problem:
        raise _mistake(claim, problem)
    return comparison


def comparison_problem(comparison: object, study: WholeGrid) -> str:
    """Returns why a comparison cannot be judged; empty if it can."""
    if not isinstance(comparison, Comparison):
        return f"compared() gives {quoted(comparison)}, which is no Comparison"
    if not isinstance(comparison.effect, Effect):
        return f"compared() gives the effect {quoted(comparison.effect)}, which is no Effect"
    labels = {cell.label for cell in study.cells}
    if not comparison.arms or not all(comparison.arms):
        return "compared() gives no arms, or an arm without cells"
    for label in (*comparison.cells, *comparison.shown):
        if label not in labels:
            return f"compared() gives {quoted(label)}, which is no cell of the study"
    if not all(isfinite(weight) for arm in comparison.arms for weight in arm.values()):
        return "compared() gives an arm with a weight that is no finite number"
    if len(comparison.shown) != 2:
        return f"compared() shows {quoted(comparison.shown)}, which are not two cells"
    return ""


def p_values_of(claim: Claim, above: PValue, below: PValue) -> tuple[float, float]:
    """Returns the two-sided p values for the verdicts "supported" and "contradicted", each at most 1.

    Raises:
        PartFailed: the kind of claim comes from another package, and raises an error or does not return p values.
    """
    with guarded_claim(claim):
        supported, contradicted = (float(p) for p in claim.p_values(above, below))
    if not (supported >= 0 and contradicted >= 0):
        raise _mistake(claim, f"p_values() gives {supported:zg} and {contradicted:zg}, which are not two p values")
    return min(1.0, supported), min(1.0, contradicted)


def texts_of(claim: Claim, study: Grid, treatment: str, control: str) -> tuple[str, str]:
    """Returns the effect and the margin of a claim in words.

    Raises:
        PartFailed: the kind of claim comes from another package, and raises an error or does not return text.
    """
    with guarded_claim(claim):
        texts = claim.with_levels_of(study).effect_text(treatment, control), claim.margin_text()
    if not all(isinstance(text, str) for text in texts):
        raise _mistake(claim, f"effect_text() and margin_text() give {quoted(texts)}, which are not two texts")
    return texts


def rehearse(claim: Claim, study: WholeGrid, form: Form) -> None:
    """Calls everything of a kind of claim that a verdict needs, on random scores of the fewest seeds.

    A study thus says before its runs are trained that a claim will not be tested.

    Raises:
        PartFailed: the kind comes from another package and fails.
    """
    comparison = comparison_of(claim, study)
    with guarded_claim(claim):
        scores_AxK = np.random.default_rng(0).random((len(comparison.arms), SEEDS_MINIMUM))
        evidence = comparison.effect.evidence(scores_AxK, form)
        evidence.contrast(0.5)
        comparison.effect.by_seed(scores_AxK).tolist()
        comparison.effect.smallest_p(SEEDS_MINIMUM, form)
        treatment, control = comparison.shown_cells(scores_AxK)
    p_values_of(claim, evidence.above, evidence.below)
    texts_of(claim, study, treatment, control)


def check_storable(claim: Claim, source: str) -> None:
    """Checks that a claim can be stored with its study and read again.

    Raises:
        PartFailed: its kind comes from another package and makes that impossible.
    """
    with guarded_claim(claim):
        again = type(claim).model_validate_json(claim.model_dump_json())
    if again != claim:
        raise _mistake(claim, f"{source}: claims.{claim.name} changes when it is stored and read again")


def _mistake(claim: Claim, problem: str) -> PartFailed:
    return PartFailed(f"{CLAIMS.subject(claim.kind)} failed with TypeError: {problem}")
