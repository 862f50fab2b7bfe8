"""Figures, tables and cards of a study with labels show those; the marks keep the names that commands know."""

import pytest

from reports.exhibits.study.contrasts import Contrasts
from reports.exhibits.study.learning_steps import LearningSteps
from reports.exhibits.study.score import Score
from reports.pages.claim_cards import claim_cards
from studies.reading.judged import JudgedStudy, read_judged
from tests.reports.figure_reader import FigureReader
from tests.reports.stored_study import STUDY_FILE, StudyStore

LABELS = """
[labels]
"objective.n=2" = "two heads"
"objective.n" = "tokens"
"model.width=8" = "narrow"
"model.width" = "model"
accuracy = "share of right names"
name_before = "copy a name"

[tuning]
"""


@pytest.fixture(scope="module")
def judged(store: StudyStore) -> JudgedStudy:
    stored = store(text=STUDY_FILE.replace("\n[tuning]\n", LABELS, 1))
    return read_judged(stored.home, stored.study)


def test_a_figure_of_scores_shows_labels(judged: JudgedStudy) -> None:
    figure = FigureReader(Score(judged).figures()[0])
    for name in ("narrow", "16", "two heads", "tokens = 1", "model", "share of right names on test", "copy a name"):
        assert name in figure.text
    assert "name_before" not in figure.text
    assert figure.mark("width=8 n=2, seed 0: ")


def test_panels_and_effects_show_labels(judged: JudgedStudy) -> None:
    first, second = (FigureReader(svg) for svg in LearningSteps(judged).figures())
    assert "narrow" in first.text
    assert "model=16" in second.text
    effects = FigureReader(Contrasts(judged).figures()[0])
    assert "narrow, two heads minus narrow, tokens=1" in effects.text
    assert "effect on share of right names on test" in effects.text


def test_tables_and_cards_show_labels(judged: JudgedStudy) -> None:
    table = Score(judged).summary()
    assert [column.title for column in table.columns[:2]] == ["model", "tokens"]
    assert [value.text for value in table.rows[1][:2]] == ["narrow", "two heads"]
    card = claim_cards(judged)[0]
    assert card.arms[0][0] == "narrow, two heads"
    assert card.measure == "share of right names on test"
