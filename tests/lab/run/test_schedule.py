"""The learning rate at the first, warm-up, middle and last step of every schedule, against its formula."""

from math import cos, pi
from typing import get_args

import pytest

from lab.run.schedule import SCHEDULES, learning_rate
from lab.run.spec import TrainingConfig

PEAK, LOW = 0.2, 0.03


def rates_of(schedule: str, steps: int = 100, warmup_steps: int = 10) -> list[float]:
    settings = {"steps": steps, "batch_size": 1, "learning_rate": PEAK, "evaluate_every_steps": 1}
    config = TrainingConfig.model_validate({**settings, "warmup_steps": warmup_steps, "schedule": schedule})
    return [learning_rate(config, step) for step in range(steps)]


def fallen(height: float) -> float:
    """The rate at a height from 1 (the peak) to 0 (the last rate)."""
    return PEAK * (LOW + (1 - LOW) * height)


def test_the_settings_name_every_schedule() -> None:
    assert set(get_args(TrainingConfig.model_fields["schedule"].annotation)) == set(SCHEDULES)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("cosine", {24: fallen((1 + cos(pi / 6)) / 2), 54: fallen(1 / 2), 99: fallen(0)}),
        ("linear", {24: fallen(5 / 6), 54: fallen(1 / 2), 99: fallen(0)}),
        ("wsd", {24: PEAK, 54: PEAK, 79: PEAK, 80: fallen(19 / 20), 89: fallen(1 / 2), 99: fallen(0)}),
        ("constant", {24: PEAK, 54: PEAK, 99: PEAK}),
    ],
)
def test_a_schedule_warms_up_and_follows_its_formula_to_the_last_step(schedule: str, rates: dict[int, float]) -> None:
    computed = rates_of(schedule)
    assert computed[:10] == pytest.approx([0.02 * k for k in range(1, 11)])
    assert max(computed) == computed[9] == PEAK
    assert {step: computed[step] for step in rates} == pytest.approx(rates)
    assert computed[9:] == sorted(computed[9:], reverse=True)


def test_a_warm_up_that_reaches_into_the_decay_of_wsd_shortens_it() -> None:
    computed = rates_of("wsd", steps=10, warmup_steps=9)
    assert computed[8:] == pytest.approx([PEAK, PEAK * LOW])


def test_a_few_steps_of_wsd_still_end_at_the_last_rate() -> None:
    assert rates_of("wsd", steps=2, warmup_steps=0) == pytest.approx([PEAK, PEAK * LOW])
