"""A callback for the metrics of a run gets each line of the run's log, and changes nothing."""

from pathlib import Path

import pytest

import lab
from generators.foundation.errors import WorkFailed
from lab.run.store import METRICS, RunFolder
from tests.conftest import Spec
from tests.lab.killed_runs import contents

Lines = list[tuple[int, str, dict[str, float]]]


def stored_lines(home: Path, identity: str) -> Lines:
    return [
        (line["step"], line["split"], {name: value for name, value in line.items() if name not in ("step", "split")})
        for line in RunFolder(home, identity).lines(METRICS)
    ]


def test_a_callback_gets_every_line_and_leaves_the_run_as_it_is(
    tiny: Spec, tmp_path: Path, complete_contents: dict[str, bytes]
) -> None:
    lines: Lines = []

    def collect(step: int, split: str, metrics: dict[str, float]) -> None:
        lines.append((step, split, dict(metrics)))
        metrics.clear()

    run = lab.train(tiny(), tmp_path, on_metrics=collect)
    assert [(step, split) for step, split, _ in lines] == [
        (step, split) for step in (4, 8, 12) for split in ("train", "validation")
    ]
    assert lines == stored_lines(tmp_path, tiny().identity)
    assert contents(run.folder.path) == complete_contents


@pytest.mark.parametrize("folder", ["interrupted_folder", "complete_folder"])
def test_a_callback_of_a_stored_run_gets_its_stored_lines_first(
    folder: str, tiny: Spec, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(folder)
    lines: Lines = []
    lab.train(tiny(), tmp_path / "home", on_metrics=lambda *line: lines.append(line))
    assert lines == stored_lines(tmp_path / "home", tiny().identity)


def test_an_error_in_a_callback_is_named_and_the_next_call_continues(
    tiny: Spec, tmp_path: Path, complete_contents: dict[str, bytes]
) -> None:
    def fail_at_8(step: int, split: str, metrics: dict[str, float]) -> None:
        if step == 8:
            raise KeyError(metrics["loss_1"] and "accurracy")

    with pytest.raises(
        WorkFailed, match=r"on_metrics, called at step 8, failed with KeyError: 'accurracy' \(test_on_m"
    ):
        lab.train(tiny(), tmp_path, on_metrics=fail_at_8)
    assert RunFolder(tmp_path, tiny().identity).result() is None
    steps: list[int] = []
    run = lab.train(tiny(), tmp_path, on_metrics=lambda step, split, metrics: steps.append(step))
    assert steps == [4, 4, 8, 8, 12, 12]
    assert contents(run.folder.path) == complete_contents
