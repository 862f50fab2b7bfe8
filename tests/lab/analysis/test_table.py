"""Every analysis declares its measures; claims take direction and unit from there."""

import re

import pytest

from generators.foundation.errors import UserError
from lab.analysis.table import ANALYSES, analysis_name, analysis_of


def test_every_analysis_goes_by_the_name_of_its_row_and_declares_its_measures() -> None:
    classes = ANALYSES.classes()
    assert list(classes) == ANALYSES.names
    for name, analysis in classes.items():
        assert analysis.name == name
        assert analysis.summary
        assert all(info.better in ("more", "less") for info in analysis.measures.values())


@pytest.mark.parametrize(
    ("analysis", "measure", "better", "unit"),
    [
        ("induction-heads", "formation_step", "less", "optimiser steps"),
        ("induction-heads", "copying", "more", "share of vocabulary"),
        ("step", "memory_ratio_joint", "less", "ratio of bytes"),
        ("step", "time_ratio", "less", "ratio of seconds"),
        ("decoding", "tokens_per_forward_2", "more", "tokens"),
        ("information", "premise_gap", "more", "nats"),
        ("choice-points", "useful_share_counted", "more", "share"),
        ("choice-points", "useful_choice", "more", "nats per unit of learning rate"),
    ],
)
def test_a_measure_declares_its_direction_and_unit(analysis: str, measure: str, better: str, unit: str) -> None:
    info = analysis_of(analysis, "").measure_info(measure)
    assert (info.better, info.unit) == (better, unit)


def test_an_unknown_measure_is_refused_with_the_nearest() -> None:
    message = "study.toml: analysis lookahead has no measure 'selectivity_3'; the nearest is selectivity_2"
    with pytest.raises(UserError, match=re.escape(message)):
        analysis_of("lookahead", "").measure_info("selectivity_3", "study.toml")


def test_an_unknown_analysis_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="analysis = 'lookahed': no such analysis; the nearest is lookahead"):
        analysis_of("lookahed", "lab analyse")


def test_metrics_write_an_underscore_for_a_hyphen() -> None:
    assert analysis_name("induction_heads") == "induction-heads"
    assert analysis_name("lookahead") == "lookahead"
