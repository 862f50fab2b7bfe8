"""The tables for a paper have every claim and every arm, rounded alike, escaped, and by the names that people read."""

from io import StringIO

import pandas as pd
import pytest

from reports.drawing.table_text import latex_table, latex_text, markdown_table
from reports.drawing.tables import Column, Table, Value
from reports.exhibits.paper_tables import arms_frame, arms_table, claims_frame, claims_table
from studies.reading.judged import JudgedStudy, read_judged
from tests.reports.stored_study import STUDY_FILE, Outcome, StoredStudy, StudyStore, usual_outcome

LABELS = '\n[labels]\n"objective.n=2" = "two_heads & more"\naccuracy = "right names, %"\n"claim=helps" = "two_heads help"\n\n[tuning]\n'


@pytest.fixture(scope="module")
def judged(store: StudyStore) -> JudgedStudy:
    """A study with labels, one of whose seeds failed."""

    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        failed = (cell, phase, number) == ("width=16 n=1", "confirm", 4)
        return "the loss is not finite" if failed else usual_outcome(cell, phase, number)

    stored = store(outcomes, text=STUDY_FILE.replace("\n[tuning]\n", LABELS, 1))
    return read_judged(stored.home, stored.study)


def test_claims_have_effect_interval_level_p_seeds_and_verdict(judged: JudgedStudy) -> None:
    head, first, second = ([value.text for value in row] for row in claims_table(judged).rows)
    contrast = judged.judgements[0].contrast
    assert contrast
    interval = f"[{contrast.low:.3f}, {contrast.high:.3f}]"
    assert head == ["effect on right names, % on test"]
    assert first == ["two_heads help", "0.450", interval, f"{judged.judgements[0].p_corrected:.3f}", "5", "supported"]
    assert second == ["same", "–", "–", "–", "4", "not tested"]


def test_each_interval_has_its_level_where_those_differ(usual_store: StoredStudy) -> None:
    judged = read_judged(usual_store.home, usual_store.study)
    table = claims_table(judged)
    assert [column.title for column in table.columns][2:4] == ["interval", "level"]
    assert [column.title for column in table.columns][4:] == ["p", "verdict"]
    assert table.caption.endswith("Each arm has 5 seeds.")
    assert r"& $p$ &" in " ".join(latex_table(table).split())
    levels = [100 * (1 - float(judgement.level or 0)) for judgement in judged.judgements]
    assert [row[3].text for row in table.rows[1:]] == [f"{level:.4g}%" for level in levels]


def test_arms_have_their_levels_seeds_and_mean_with_its_interval(judged: JudgedStudy) -> None:
    rows = [[value.text for value in row] for row in arms_table(judged).rows]
    assert [row[:2] for row in rows] == [["8", "1"], ["8", "two_heads & more"], ["16", "1"], ["16", "two_heads & more"]]
    assert [row[2] for row in rows] == ["5", "5", "4 of 5", "5"]
    assert rows[0][3].startswith("0.370 [0.351, 0.390]")


def test_the_frames_have_every_digit(judged: JudgedStudy) -> None:
    claims = pd.read_csv(StringIO(claims_frame(judged).to_csv(index=False)))
    assert claims["effect"][0] == pytest.approx(judged.verdicts["effect"][0], abs=1e-15)
    assert claims["treatment"][0] == "width=8, two_heads & more"
    arms = arms_frame(judged)
    assert list(arms.columns) == ["arm", "model.width", "objective.n", "seeds", "accuracy on test", "accuracy on test, low", "accuracy on test, high"]  # fmt: skip
    assert arms["accuracy on test"][1] == pytest.approx(0.82)


def test_nothing_in_a_latex_table_is_a_command(judged: JudgedStudy) -> None:
    text = latex_table(arms_table(judged))
    assert r"two\_heads \& more" in text
    assert r"right names, \% on test" in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert [line.count("&") - line.count(r"\&") for line in body] == [3] * 4
    assert len({len(line) for line in body}) == 1
    assert "0.370 {[}0.351,~0.390{]}" in text  # a line ends before the interval, not within it
    claims = latex_table(claims_table(judged)).split(r"\midrule")[1].splitlines()
    assert claims[1] == r"\multicolumn{6}{@{}l@{}}{\emph{effect on right names, \% on test}} \\"
    assert latex_text(r"50% of \alpha_{1} ~ #3 $x^2$ [−1, ∞]") == (
        r"50\% of \textbackslash{}alpha\_\{1\} \textasciitilde{} \#3 \$x\textasciicircum{}2\$ {[}$-$1, $\infty${]}"
    )


def test_a_markdown_table_is_aligned_and_escaped() -> None:
    table = Table(
        "of `a`", [Column("arm", "word"), Column("score")], [[Value("a|b"), Value("1")], [Value("c"), Value("22")]]
    )
    assert markdown_table(table).splitlines() == [
        "| arm  | score |",
        "| ---- | ----: |",
        r"| a\|b |     1 |",
        "| c    |    22 |",
        "",
        r"of \`a\`",
    ]
