"""Figures of analyses are drawn from the published measurements, with their numbers in words."""

import json
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lab.analysis.analysis import Row
from reports.drawing.svg import standalone
from reports.exhibits.table import EXHIBITS, exhibits_on

PUBLISHED = Path(__file__).parents[3] / "reports" / "published"
# analysis -> an archive that has it, and what the figure says about its first rows
FIGURES = {
    "choice-points": ("choice-points", "consequential choice, head 1"),
    "decoding": ("self-speculation", "k = 2: "),
    "induction-heads": ("induction-heads", "chance: uniform attention"),
    "information": ("premise-gap", "source, at these contexts: "),
    "items": ("choice-or-generation", "exact match "),
    "lookahead": ("lookahead", "head 1, 2 ahead: "),
    "samples": ("choice-points", "Loss of head 1, nats"),
    "step": ("memory-and-time", "time, sequential loss "),
}


def published_rows(study: str, analysis: str) -> list[Row]:
    """Returns the rows of the first stored result of an analysis."""
    with tarfile.open(PUBLISHED / f"{study}-cpu.tar.xz") as archive:
        for member in archive:
            if f"/analysis-{analysis}-" in member.name:
                file = archive.extractfile(member)
                assert file is not None
                rows: list[Row] = json.load(file)["rows"]
                return rows
    raise AssertionError(f"{study} has no {analysis}")


def panels_of(analysis: str, rows: list[Row]) -> list[str]:
    (exhibit,) = exhibits_on("analysis", rows)[analysis]
    return exhibit.figures()


def test_every_analysis_exhibit_is_tested() -> None:
    assert {row.section for row in EXHIBITS.classes().values() if row.page == "analysis"} == set(FIGURES)


@pytest.mark.parametrize("analysis", FIGURES)
def test_a_figure_has_the_same_bytes_again_and_its_numbers_in_words(analysis: str) -> None:
    study, words = FIGURES[analysis]
    rows = published_rows(study, analysis)
    panels = panels_of(analysis, rows)
    assert panels == panels_of(analysis, rows)
    text = standalone(panels)
    ElementTree.fromstring(text)
    assert words in text
    assert text.count("<desc") == len(panels)


def test_values_appear_in_the_descriptions() -> None:
    for analysis, quantity in (("decoding", "tokens a forward"), ("step", "ratio"), ("lookahead", "gain")):
        rows = published_rows(FIGURES[analysis][0], analysis)
        values = [f"{row['value']:.3f}" for row in rows if row["quantity"] == quantity]
        (panel,) = panels_of(analysis, rows)
        assert all(value in panel for value in values)


def test_induction_heads_show_when_the_skill_formed_only_where_the_log_has_it() -> None:
    rows = published_rows("induction-heads", "induction-heads")
    matching = [row for row in rows if row["measure"] != "validation_accuracy" and row["measure"] != "formation_step"]
    curve = [{"measure": "validation_accuracy", "step": step, "value": step / 100} for step in (10, 40, 60)]
    formed = {"measure": "formation_step", "value": 40, "after_step": 10}
    (heads,) = panels_of("induction-heads", matching)
    assert "optimiser steps" not in heads
    with_curve = panels_of("induction-heads", [*matching, *curve, formed])
    assert "The skill formed by step 40." in with_curve[0]
    assert "it passed half-way between steps 10 and 40" in with_curve[1]
