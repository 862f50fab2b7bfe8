"""Tables of claims show each effect between the ends of its interval, and the interval's confidence."""

import numpy as np
import pytest
from scipy import stats

from reports.drawing.tables import MISSING_VALUE, Table, Value
from reports.exhibits.claim_effects import effects_table
from reports.exhibits.study.contrasts import Contrasts
from reports.frames.claim_lines import claim_lines
from studies.reading.judged import read_judged
from tests.reports.stored_study import StoredStudy, usual_score

ARMS = (("width=8 n=2", "width=8 n=1"), ("width=16 n=2", "width=16 n=1"))
"""Treatment and control of each claim."""
TABLES = ["by claim", "several studies"]


def table_rows(stored: StoredStudy, name: str) -> list[dict[str, Value]]:
    """Returns column -> value for each claim of one of the two tables."""
    judged = read_judged(stored.home, stored.study)
    lines = claim_lines(stored.study, judged.judgements, 1.0)
    table: Table = Contrasts(judged).summary() if name == "by claim" else effects_table(lines)
    titles = [column.title for column in table.columns]
    return [dict(zip(titles, row, strict=True)) for row in table.rows]


def p_of_permutations(treatment: list[float], control: list[float], alternative: str) -> float:
    """Returns scipy's exact one-sided p value of a difference of means."""
    result = stats.permutation_test(
        (np.array(treatment), np.array(control)),
        lambda a, b: a.mean() - b.mean(),
        alternative=alternative,
        n_resamples=np.inf,
    )
    return float(result.pvalue)


@pytest.mark.parametrize("name", TABLES)
def test_low_and_high_are_where_scipys_exact_test_begins_to_reject_at_half_of_what_the_confidence_leaves(
    usual_store: StoredStudy, name: str
) -> None:
    rows = table_rows(usual_store, name)
    assert [row["confidence %"].text for row in rows] == ["97.5", "95"], "Holm's levels for the first and second claim"
    for row, arms in zip(rows, ARMS, strict=True):
        treatment, control = ([usual_score(arm, seed) for seed in range(5)] for arm in arms)
        effect, low, high, confidence = (row[title].order for title in ("effect", "low", "high", "confidence %"))
        assert isinstance(low, float)
        assert isinstance(high, float)
        assert isinstance(confidence, float)
        assert effect == pytest.approx(np.mean(treatment) - np.mean(control))
        tail = (1 - confidence / 100) / 2
        for end, outwards, alternative in ((low, -1e-6, "greater"), (high, 1e-6, "less")):
            outside, inside = ([score - end - step for score in treatment] for step in (outwards, -outwards))
            assert p_of_permutations(outside, control, alternative) <= tail + 1e-12
            assert p_of_permutations(inside, control, alternative) > tail


@pytest.mark.parametrize("name", TABLES)
def test_a_claim_that_was_not_tested_has_dashes(broken_store: StoredStudy, name: str) -> None:
    for row in table_rows(broken_store, name):
        assert {row[title] for title in ("effect", "low", "high", "confidence %")} == {MISSING_VALUE}
