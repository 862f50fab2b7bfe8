"""Each evaluation arrives in a program once, in order, whatever is killed, resumed, trained again or broken."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.logs.follower import Follower
from lab.logs.run_log import LoggedRun, RunLog
from tests.conftest import Spec

Written = dict[str, list[tuple[int, dict[str, float]]]]
Follow = Callable[[], Follower]
LINES = [
    (step, split, {"loss_1": 1 / step}) for step in (4, 8, 12) for split in ("train", "validation")
]  # 1/12 has no short decimal form
EVALUATIONS = [(step, {"train/loss_1": 1 / step, "validation/loss_1": 1 / step}) for step in (4, 8, 12)]


@pytest.fixture
def written() -> Written:
    return {}


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def follow(written: Written, notes: list[str], tmp_path: Path, tiny: Spec) -> Follow:
    class MemoryLog(RunLog):
        def __init__(self, run: LoggedRun) -> None:
            self.evaluations = written.setdefault(run.key, [])

        def write(self, step: int, values: Mapping[str, float]) -> None:
            if step == 99:
                raise ConnectionError("the server is gone")
            self.evaluations.append((step, dict(values)))

        def close(self) -> None:
            notes.append("closed")

        def place(self) -> str:
            return "in memory"

    return lambda: Follower("memory", MemoryLog, tmp_path, tiny(), notes.append)


def pass_lines(follower: Follower, lines: list[tuple[int, str, dict[str, float]]]) -> None:
    with follower:
        for line in lines:
            follower(*line)


@pytest.mark.parametrize("lines_before_the_kill", range(len(LINES)))
def test_a_killed_run_that_is_passed_again_arrives_once(
    follow: Follow, written: Written, tiny: Spec, lines_before_the_kill: int
) -> None:
    killed = follow()
    for line in LINES[:lines_before_the_kill]:
        killed(*line)
    for _ in range(2):
        pass_lines(follow(), LINES)
    assert written == {tiny().identity: EVALUATIONS}


def test_a_record_torn_by_a_kill_is_cut_back(follow: Follow, written: Written, tiny: Spec) -> None:
    pass_lines(follow(), LINES[:2])
    record = follow().record
    record.write_text(record.read_text() + '[8, {"train/lo')
    pass_lines(follow(), LINES)
    assert written == {tiny().identity: EVALUATIONS}
    assert len(record.read_text().splitlines()) == 3
    record.write_text("[]\n")
    with pytest.raises(UserError, match=r"is damaged; delete it, and --log memory delivers the run again"):
        follow()


def test_a_run_trained_again_with_other_metrics_begins_again_under_a_new_key(
    follow: Follow, written: Written, tiny: Spec
) -> None:
    changed = [*LINES[:3], (8, "validation", {"loss_1": 0.5}), *LINES[4:]]
    pass_lines(follow(), LINES)
    for _ in range(2):
        pass_lines(follow(), changed)
    identity = tiny().identity
    assert written.keys() == {identity, f"{identity}-2"}
    assert written[identity] == EVALUATIONS
    assert [step for step, _ in written[f"{identity}-2"]] == [4, 8, 12]
    assert written[f"{identity}-2"][1][1]["validation/loss_1"] == 0.5


def test_an_error_of_the_program_ends_the_log_and_not_the_run(
    follow: Follow, written: Written, notes: list[str], tiny: Spec
) -> None:
    follower = follow()
    pass_lines(follower, [*LINES[:2], (99, "train", {}), (99, "validation", {}), *LINES[2:]])
    assert follower.failure == "ConnectionError: the server is gone"
    assert written == {tiny().identity: EVALUATIONS[:1]}
    assert "--log memory: stopped at step 99 (ConnectionError: the server is gone); the run goes on" in notes
    pass_lines(follow(), LINES)
    assert written == {tiny().identity: EVALUATIONS}


def test_the_record_holds_what_the_run_passed(follow: Follow) -> None:
    pass_lines(follow(), LINES)
    assert [tuple(json.loads(line)) for line in follow().record.read_text().splitlines()] == EVALUATIONS
