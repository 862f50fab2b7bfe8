"""The reference has every setting with a description and every metric with a definition, and docs/settings.md is it."""

import json
from pathlib import Path

import pytest

from generators.setting_rows import setting_rows
from lab.analysis.table import ANALYSES
from lab.metrics import METRICS, metric_named
from lab.run.evaluation import SCORES, SHORTCUT_SCORES
from studies.declared.collection import CollectionDeclaration
from studies.declared.measures import ANALYSIS, FAMILIES, Measure
from studies.declared.reference.metric_rows import analysis_rows, row_of
from studies.declared.reference.page import markdown
from studies.declared.reference.topics import KINDS, SUMMARIES, TABLES, sections_of
from tests.conftest import Lab

PAGE = Path(__file__).parents[4] / "docs" / "settings.md"


def test_the_page_is_the_one_that_make_docs_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run make docs"


def test_every_setting_has_a_description() -> None:
    sections = {section.title: section.rows for topic in SUMMARIES for section in sections_of(topic, installed=False)}
    sections["collection"] = setting_rows(CollectionDeclaration)
    assert set(SUMMARIES) == {*TABLES, *KINDS}
    missing = [f"{title}: {row.key}" for title, rows in sections.items() for row in rows if not row.description]
    assert missing == []
    assert sum(map(len, sections.values())) > 150


def test_every_metric_has_a_definition_a_unit_and_a_summary() -> None:
    assert [metric.name for metric in METRICS if not (metric.definition and metric.unit and metric.summary)] == []
    scores = [*SCORES, *(f"{score}/rule" for score in SHORTCUT_SCORES.values()), "loss_1", "loss_2", "loss_order"]
    families = [family.names for family in FAMILIES[1:] if family.names != ANALYSIS]
    assert [name for name in [*scores, *families] if metric_named(name) is None] == []


def test_every_measure_of_the_labs_analyses_has_a_meaning() -> None:
    missing = [
        f"{name}: {measure}"
        for name in ANALYSES.rows
        for measure, info in ANALYSES.find(name, "").measures.items()
        if not info.meaning
    ]
    assert missing == []
    assert {row.name for row in analysis_rows(installed=False)} >= {"analysis/lookahead/lookahead_2"}


@pytest.mark.parametrize(
    ("metric", "name", "better"),
    [
        ("loss_2", "loss_2", "less"),
        ("shortcut_exact/rule", "shortcut_exact/rule", "more"),
        ("analysis/step/memory_ratio_joint", "analysis/step/memory_ratio_joint", "less"),
    ],
)
def test_a_measure_of_a_study_is_defined_under_its_own_name(metric: str, name: str, better: str) -> None:
    row = row_of(Measure(metric, None))
    assert (row.name, row.better) == (name, better)
    assert len(row.definition) > 30


def test_the_command_prints_settings_kinds_and_metrics(lab: Lab) -> None:
    training = json.loads(lab("settings", "training", "--json").stdout)["training"]
    assert training["steps"]["required"]
    assert training["optimiser"]["default"] == "adamw"
    assert 'kind = "star"' in lab("settings", "task").stdout
    assert "width" in lab("settings", "model").stdout
    assert json.loads(lab("settings", "metrics", "loss_3", "--json").stdout)["loss_NAME"]["better"] == "less"
    assert "lab settings training" in lab("settings").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trainning"], "lab settings trainning: there is no such topic; the nearest is training"),
        (["training", "x"], "training has one table and no kinds; leave x out"),
        (["task", "sta"], "no such task; the nearest is star"),
        (["metrics", "acuracy"], "there is no such metric; the nearest is accuracy"),
    ],
)
def test_an_unknown_topic_kind_or_metric_is_one_sentence(lab: Lab, arguments: list[str], sentence: str) -> None:
    done = lab("settings", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert sentence in done.stderr
