"""No sequence of commands makes an answer mix two studies, two versions of one or two formats."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.studies.home_machine import HomeMachine
from tests.studies.home_versions import stubbed


@pytest.mark.parametrize(
    ("examples", "steps"), [(3, 10), pytest.param(200, 25, marks=pytest.mark.slow)], ids=["a few", "many"]
)
def test_every_answer_is_that_of_one_version_of_one_study(examples: int, steps: int) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=examples < 10,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    with stubbed():
        run_state_machine_as_test(HomeMachine, settings=chosen)
