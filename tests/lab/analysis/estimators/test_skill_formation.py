"""The step at which a skill formed, from logs with known answers."""

import pytest

from lab.analysis.estimators.skill_formation import find_formation
from tests.lab.analysis.validation_log import LOG, evaluation


def test_a_skill_formed_when_accuracy_first_passed_half_way_from_blind_to_final() -> None:
    formation = find_formation(LOG)
    assert formation is not None
    assert (formation.step, formation.after) == (40, 30)
    assert formation.half == pytest.approx(0.6)


def test_the_jump_is_the_largest_fall_of_the_loss_around_that_step() -> None:
    """1.9 to 1.6; the fall from 4 to 2 comes long before, that from 1.5 to 1.1 two evaluations later."""
    formation = find_formation(LOG)
    assert formation is not None
    assert formation.jump == pytest.approx(0.3)


def test_no_skill_formed_if_accuracy_ends_near_the_blind_level_or_nothing_is_scored() -> None:
    assert find_formation([evaluation(10, 0.3, 2.0), evaluation(20, 0.39, 1.9)]) is None
    assert find_formation([{"step": 10, "split": "validation", "loss_1": 2.0}]) is None
    assert find_formation([]) is None


def test_a_skill_that_formed_before_the_only_evaluation_has_a_step_and_no_jump() -> None:
    formation = find_formation([evaluation(10, 0.9, 2.0)])
    assert formation is not None
    assert (formation.step, formation.after, formation.jump) == (10, 0, None)
