"""Figures of a study in a notebook: the drawing of the study's page, saved by the function of `lab figure`."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import reports
import studies
from generators import UserError
from reports.exhibits.paper import draw_for_paper
from reports.exhibits.study.score import Score
from tests.reports.stored_study import StoredStudy


def test_a_notebook_shows_the_figure_of_the_page(usual_store: StoredStudy) -> None:
    study = studies.load("small", usual_store.home)
    figure = reports.figure(study, "score")
    (exhibit,) = Score.instances(study)
    assert figure._repr_svg_() == reports.standalone(exhibit.figures())
    assert ElementTree.fromstring(figure.svg).tag.endswith("svg")
    assert figure.caption == exhibit.caption()
    assert repr(figure) == "<figure score of study small at scale cpu>"


def test_a_figure_is_named_and_found_by_the_names_of_the_command_line(
    usual_store: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(usual_store.home))
    assert reports.figure("small", "learning_steps").name == "learning-steps"
    with pytest.raises(UserError, match="small, scale cpu: 'scores' is no exhibit of this study; the nearest is score"):
        reports.figure("small", "scores")


def test_a_saved_figure_is_that_of_the_command_line(usual_store: StoredStudy, tmp_path: Path) -> None:
    figure = reports.figure("small", "score", usual_store.home)
    figure.save(tmp_path / "notebook.svg")
    draw_for_paper(figure.study, "score", tmp_path / "command.svg")
    assert (tmp_path / "notebook.svg").read_bytes() == (tmp_path / "command.svg").read_bytes()
    with pytest.raises(UserError, match=re.escape("figure.jpg: should end in .pdf or .svg or .png")):
        figure.save(tmp_path / "figure.jpg")
    figure.save(tmp_path / "new" / "folder" / "figure.svg")
    assert (tmp_path / "new" / "folder" / "figure.svg").exists()
    with pytest.raises(UserError, match='width = "wide": should be inches from 2 to 12'):
        figure.save(tmp_path / "wide.svg", width="wide")  # type: ignore[arg-type]
