"""In a study of exact matches the shortcut's line is its share of whole answers, and absent from runs without it."""

import json
from math import isnan

import pytest

from generators.foundation.settings import Tree
from lab.run.store import METRICS, RunFolder
from reports.exhibits.study.learning_seconds import LearningSeconds
from reports.exhibits.study.learning_steps import LearningSteps
from reports.exhibits.study.score import Score
from reports.frames.summaries import scores, shortcut_on
from reports.frames.wording import shortcut_comparison
from reports.pages.study import render_study
from studies.reading.judged import JudgedStudy, read_judged
from tests.reports.figure_reader import FigureReader
from tests.reports.pages.page_reader import PageReader
from tests.reports.stored_study import SHORTCUT_EXACT, STUDY_FILE, StoredStudy, StudyStore, usual_outcome

PIXEL = 0.006
EXACT = STUDY_FILE.replace('shortcut = "name_before"', 'metric = "exact"\nshortcut = "name_before"')


def without_whole_answers(line: Tree) -> Tree:
    """Returns what an earlier version measured."""
    return {name: value for name, value in line.items() if not name.startswith("shortcut_exact/")}


def make_older(stored: StoredStudy, runs: list[str]) -> None:
    """Takes from stored runs what an earlier version did not measure."""
    for identity in runs:
        folder = RunFolder(stored.home, identity)
        lines = [json.dumps(without_whole_answers(line)) for line in folder.lines(METRICS)]
        (folder.path / METRICS).write_text("".join(f"{line}\n" for line in lines))
        result = folder.result()
        assert result is not None
        for splits in result["scores"].values():
            splits |= {split: without_whole_answers(line) for split, line in splits.items()}
        folder.write_result(result)


def judged_study(stored: StoredStudy) -> JudgedStudy:
    return read_judged(stored.home, stored.study)


def figures_by_split(judged: JudgedStudy) -> list[tuple[str, FigureReader]]:
    """Returns the figures that can show a shortcut, with the splits that they are about."""
    curves = [*LearningSteps(judged).figures(), *LearningSeconds(judged).figures()]
    assert len(curves) == 4
    return [
        *(("test", FigureReader(svg)) for svg in Score(judged).figures()),
        *(("validation", FigureReader(svg)) for svg in curves),
    ]


@pytest.fixture(scope="module")
def exact_store(store: StudyStore) -> StoredStudy:
    """The usual study as a study of exact matches. Not to be changed."""
    return store(text=EXACT)


def test_the_line_is_at_the_share_of_whole_answers_in_every_figure(exact_store: StoredStudy) -> None:
    for split, figure in figures_by_split(judged_study(exact_store)):
        score = SHORTCUT_EXACT[split]
        assert f"shortcut name_before: {score:.3f}" in figure.text
        assert [y for _, y in figure.mark("shortcut name_before").points] == pytest.approx([score] * 2, abs=PIXEL)


def test_table_card_and_caption_are_about_whole_answers(exact_store: StoredStudy) -> None:
    judged = judged_study(exact_store)
    table = Score(judged).summary()
    column = [title.title for title in table.columns].index("shortcut name_before")
    assert {row[column].text for row in table.rows} == {"0.200"}
    cards = [shortcut_comparison(judged.results, judgement) for judgement in judged.judgements]
    assert cards == ["name_before scores 0.200; both arms exceed it"] * 2
    assert (
        "the share of the same test samples in which the shortcut name_before gets every scored"
        in Score(judged).caption()
    )
    assert (
        "a share of whole answers that the shortcut also reaches is no evidence"
        in PageReader(render_study(judged)).text
    )


def test_a_study_of_accuracy_shows_the_shortcuts_accuracy(usual_store: StoredStudy) -> None:
    judged = judged_study(usual_store)
    assert "is the shortcut name_before on the same test samples" in Score(judged).caption()
    assert "an accuracy that the shortcut also reaches is no evidence" in PageReader(render_study(judged)).text
    assert shortcut_comparison(judged.results, judged.judgements[0]).startswith("name_before scores 0.300")


def test_runs_of_an_earlier_version_have_no_line_rather_than_that_of_another_score(store: StudyStore) -> None:
    stored = store(text=EXACT)
    make_older(stored, [run.identity for phase in ("tune", "confirm") for _, run in stored.runs(phase)])
    judged = judged_study(stored)
    for _, figure in figures_by_split(judged):
        assert not [text for text in [*figure.tooltips, figure.text] if "shortcut" in text]
    assert all(isnan(row.shortcut) for row in scores(judged.results).values())
    assert [shortcut_comparison(judged.results, judgement) for judgement in judged.judgements] == ["", ""]
    assert "No line shows the shortcut name_before" in Score(judged).caption()
    assert "The dotted line" not in Score(judged).caption()


def test_one_run_with_the_share_is_enough_for_the_line(store: StudyStore) -> None:
    """All runs of a cell are scored on the same samples."""
    stored = store(text=EXACT)
    make_older(stored, [run.identity for _, run in stored.runs("confirm")][1:])
    judged = judged_study(stored)
    first, *others = scores(judged.results).values()
    assert first.shortcut == pytest.approx(SHORTCUT_EXACT["test"])
    assert all(isnan(row.shortcut) for row in others)
    assert shortcut_on(judged.results, "validation", [first.cell]) == pytest.approx(SHORTCUT_EXACT["validation"])
    assert shortcut_on(judged.results, "validation", [others[-1].cell]) is None
    assert "gets every scored token right" in Score(judged).caption()


def test_an_unfinished_study_promises_the_line(store: StudyStore) -> None:
    stored = store(
        lambda cell, phase, number: None if phase == "confirm" else usual_outcome(cell, phase, number), text=EXACT
    )
    assert "gets every scored token right" in Score(judged_study(stored)).caption()
