"""No number that rounds to zero has a minus sign, on pages or on the command line."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators.foundation.numbers import signed_number
from reports.drawing.tables import number
from reports.frames.numbers import formatted, signed, unsigned
from reports.pages.study import render_study
from studies.reading.judged import read_judged
from tests.conftest import Lab
from tests.reports.pages.page_reader import PageReader
from tests.reports.stored_study import StoredStudy, StudyStore

MINUS_ZERO = re.compile(r"(?<![\w.–−-])[-−]0(?:\.0+)?%?(?![\w.–−-])")


@pytest.fixture(scope="module")
def equal_store(store: StudyStore) -> StoredStudy:
    """Every seed of a cell has the same score: two tokens are worse by 1e-5 at width 8, and perfect at width 16."""
    scores = {"width=8 n=1": 0.3, "width=8 n=2": 0.29999, "width=16 n=1": 1.0, "width=16 n=2": 1.0}
    return store(lambda cell, phase, number: scores[cell])


@given(st.floats(-1, 1), st.lists(st.floats(-1, 1), max_size=2), st.sampled_from((".3f", "+.3f", ".1%", "+.4g", "d")))
def test_a_number_that_rounds_to_zero_has_no_minus_sign(value: float, others: list[float], form: str) -> None:
    for text in (
        signed_number(value, *others),
        signed(value, *others),
        unsigned(value, *others),
        formatted(value, form),
        number(value, form).text,
    ):
        assert not MINUS_ZERO.search(text)
        if (digits := text.strip("+-−%")) != "∞" and float(digits) > 0 and "%" not in text:
            assert math.copysign(1, float(text.replace("−", "-"))) == math.copysign(1, value)


def test_the_pattern_of_this_file_finds_a_minus_zero() -> None:
    assert [bool(MINUS_ZERO.search(text)) for text in ("-0.000", "a −0", "x (-0.0%)", "-0.01", "1-0", "−0.5")] == [
        *[True] * 3,
        *[False] * 3,
    ]


def test_a_study_without_variance_between_seeds_is_judged_and_shown_without_minus_zero(
    equal_store: StoredStudy, lab: Lab
) -> None:
    home = equal_store.home
    assert [judgement.verdict for judgement in equal_store.judgements] == ["contradicted", "supported"]
    page = render_study(read_judged(equal_store.home, equal_store.study))
    assert "−0.000010" in page, "the difference itself keeps its sign"
    tooltips = re.findall(r"<(?:title|desc)[^>]*>([^<]*)<", page)
    for text in (PageReader(page).text, *tooltips, lab("claims", "--home", home).stdout):
        assert not MINUS_ZERO.search(text), text
    assert "(difference -0.000010, 97.5% interval -0.000010 to -0.000010; p =" in lab("claims", "--home", home).stdout
    report = lab("report", "small", "--home", home)
    assert report.returncode == 0
    assert not MINUS_ZERO.search(report.stdout)


def test_large_numbers_have_fewer_decimals() -> None:
    assert signed_number(816.667, 0.0, 1375.0) == "+817"
    assert signed_number(81.6667, -120.0) == "+81.7"
    assert signed_number(81.6667) == "+81.667"
