"""Any mistake in a study file gives a one-sentence error and exit code 2; tests/slow tries many more files."""

from pathlib import Path
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings

from tests.studies.declared.malformed import STUDY_FILES, WHOLE, assert_one_sentence, show, toml


def test_the_study_that_is_changed_is_valid(tmp_path: Path) -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in WHOLE.items())
    assert show(text, tmp_path) == (0, "")


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=STUDY_FILES)
def test_a_broken_study_file_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    # Counting the operations of a valid study takes seconds and is tested elsewhere.
    with patch("studies.running.plan.cost.flops_of_sample", return_value=(3.0, 1.0)):
        assert_one_sentence(text, tmp_path)
