"""Each of five thousand broken study files gives a one-sentence error and exit code 2, never a traceback."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.studies.declared.malformed import STUDY_FILES, assert_one_sentence


@pytest.mark.slow
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=STUDY_FILES)
def test_a_broken_study_file_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    assert_one_sentence(text, tmp_path)
