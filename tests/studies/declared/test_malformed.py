"""Whatever is wrong with a study file, it is one sentence and exit code 2; tests/slow has many more of them."""

from pathlib import Path
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings

from tests.studies.declared.malformed import STUDY_FILES, WHOLE, assert_a_sentence, shown, toml


def test_the_study_that_is_broken_is_valid_to_begin_with(tmp_path: Path) -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in WHOLE.items())
    assert shown(text, tmp_path) == (0, "")


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=STUDY_FILES)
def test_a_broken_study_file_is_a_sentence(tmp_path: Path, text: str) -> None:
    with patch(
        "studies.running.cost.flops_of_sample", return_value=(3.0, 1.0)
    ):  # what is valid need not be counted here
        assert_a_sentence(text, tmp_path)
