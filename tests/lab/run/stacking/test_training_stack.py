"""Runs of a stack: the files that each would have alone, whichever other runs are trained beside it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from generators.foundation.errors import UserError
from lab.run.assembly import RunParts, assemble
from lab.run.loop.progress import RunProgress
from lab.run.spec import RunSpec, parse_spec
from lab.run.stacking.problem import stack_key
from lab.run.store import LAST, METRICS, RunFolder
from lab.run.training import train, train_together
from tests.conftest import Spec, tiny_tree
from tests.lab.killed_runs import Killed, contents_at

STACK = {"training__stack": 4}
ONE_EVALUATION = {"training__steps": 4}
RATES = (0.01, 0.03, 1e-12)


def specs_of(tiny: Spec, **changes: Any) -> list[RunSpec]:
    """Returns three runs, of which the last learns nothing at its tiny rate."""
    return [tiny(seed=seed, training__learning_rate=rate, **{**STACK, **changes}) for seed, rate in enumerate(RATES)]


def all_contents(home: Path, specs: Sequence[RunSpec]) -> list[dict[str, bytes]]:
    return [contents_at(home, spec) for spec in specs]


@pytest.fixture
def in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    def assemble_in_double(spec: RunSpec, source: str = "") -> RunParts:
        parts = assemble(spec, source)
        parts.network.double()
        return parts

    monkeypatch.setattr("lab.run.training.assemble", assemble_in_double)


@pytest.mark.usefixtures("in_double_precision")
def test_runs_of_different_rates_that_stop_at_different_steps_are_those_that_are_trained_alone(
    tiny: Spec, tmp_path: Path
) -> None:
    stops = {"training__steps": 16, "training__stop_after_evaluations": 2}
    stacked, alone = specs_of(tiny, **stops), specs_of(tiny, **stops, training__stack=1)
    together = train_together(stacked, tmp_path, "keep")
    solo = [train(spec, tmp_path) for spec in alone]
    assert [result["steps"] for result in together] == [result["steps"] for result in solo]
    assert len({result["steps"] for result in solo}) > 1, "they stop at different steps"
    for stacked_spec, spec, result, expected in zip(stacked, alone, together, solo, strict=True):
        folders = [RunFolder(tmp_path, run.identity) for run in (stacked_spec, spec)]
        for line, other in zip(*(folder.lines(METRICS) for folder in folders), strict=True):
            assert line == pytest.approx(other, abs=1e-9)
        (tensors, progress), (others, other_progress) = (folder.read_tensors(LAST) for folder in folders)
        assert progress == pytest.approx(other_progress, abs=1e-9)
        assert tensors.keys() == others.keys()
        for name, value in tensors.items():
            torch.testing.assert_close(value, others[name], rtol=0, atol=1e-9)
        assert result["scores"]["best"]["test"] == pytest.approx(expected["scores"]["best"]["test"], abs=1e-9)
        assert result["scores"]["last"]["test"] == pytest.approx(expected["scores"]["last"]["test"], abs=1e-9)
        assert {key: result[key] for key in ("best_step", "seed_digests")} == {
            key: expected[key] for key in ("best_step", "seed_digests")
        }


def test_a_run_has_the_same_bytes_whichever_runs_are_trained_beside_it(tiny: Spec, tmp_path: Path) -> None:
    specs = specs_of(tiny)
    train_together(specs, tmp_path / "together", "keep")
    train(specs[2], tmp_path / "apart")
    train_together(specs[1::-1], tmp_path / "apart", "keep")
    assert all_contents(tmp_path / "together", specs) == all_contents(tmp_path / "apart", specs)


def test_a_run_that_diverges_does_not_disturb_the_others(tiny: Spec, tmp_path: Path) -> None:
    good = specs_of(tiny, **ONE_EVALUATION)[0]
    bad = tiny(seed=9, training__learning_rate=1e30, **STACK, **ONE_EVALUATION)
    outcomes = train_together([bad, good], tmp_path / "together", "keep")
    train(good, tmp_path / "apart")
    assert [outcome["status"] for outcome in outcomes] == ["diverged", "complete"]
    assert contents_at(tmp_path / "together", good) == contents_at(tmp_path / "apart", good)


@pytest.mark.parametrize("step", [8, *(pytest.param(step, marks=pytest.mark.slow) for step in (4, 12))])
def test_a_stack_killed_while_it_writes_checkpoints_ends_with_the_same_bytes(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    specs = specs_of(tiny)
    train_together(specs, tmp_path / "whole", "keep")
    write = RunProgress.write_checkpoint

    def killed_at_the_second_run(run: RunProgress) -> None:
        if run.step == step and run.spec == specs[1]:
            raise Killed
        write(run)

    with monkeypatch.context() as patch:
        patch.setattr(RunProgress, "write_checkpoint", killed_at_the_second_run)
        with pytest.raises(Killed):
            train_together(specs, tmp_path / "killed", "keep")
    train_together(specs, tmp_path / "killed", "keep")
    assert all_contents(tmp_path / "whole", specs) == all_contents(tmp_path / "killed", specs)


def test_a_damaged_run_fails_alone(tiny: Spec, tmp_path: Path) -> None:
    specs = specs_of(tiny, **ONE_EVALUATION)
    folder = RunFolder(tmp_path, specs[1].identity).path
    folder.mkdir(parents=True)
    (folder / LAST).write_bytes(b"no checkpoint")
    outcomes = train_together(specs, tmp_path, "keep")
    assert isinstance(outcomes[1], UserError)
    assert [outcome["status"] for outcome in (outcomes[0], outcomes[2])] == ["complete", "complete"]


@pytest.mark.slow
def test_finetuned_runs_train_their_starts_as_a_stack(tiny: Spec, tmp_path: Path) -> None:
    specs = [tiny(seed=seed, start={"objective": {"kind": "token_order"}}, **STACK) for seed in (0, 1)]
    train_together(specs, tmp_path / "together", "keep")
    for spec in specs:
        train(spec, tmp_path / "apart")
    starts = [spec.start.run for spec in specs if spec.start is not None]
    assert all_contents(tmp_path / "together", specs + starts) == all_contents(tmp_path / "apart", specs + starts)


def test_the_callback_sees_the_lines_of_a_run_that_is_a_stack_of_its_own(tiny: Spec, tmp_path: Path) -> None:
    lines: list[tuple[int, str]] = []
    spec = tiny(training__stack=2, training__steps=8)
    train(spec, tmp_path, on_metrics=lambda step, split, _: lines.append((step, split)))
    assert lines == [(step, split) for step in (4, 8) for split in ("train", "validation")]


def test_seconds_are_divided_between_the_runs(tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10**6))
    monkeypatch.setattr("lab.run.stacking.training_stack.time.perf_counter", lambda: float(next(ticks)))
    specs = specs_of(tiny, **ONE_EVALUATION)[:2]
    train_together(specs, tmp_path, "keep")
    first = json.loads((RunFolder(tmp_path, specs[0].identity).path / "timing.jsonl").read_text().splitlines()[0])
    assert first["train_seconds"] == 0.5


def test_the_size_of_a_stack_is_in_the_identity_unless_it_is_one(tiny: Spec) -> None:
    assert "stack" not in tiny(training__stack=1).canonical()["training"]
    assert len({tiny(training__stack=stack).identity for stack in (1, 2, 4)}) == 3


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({"training__loss": "chunked"}, 'loss = "joint"'),
        ({"training__micro_batches": 2}, "micro_batches = 1"),
    ],
)
def test_settings_that_a_stack_cannot_have_are_refused(changes: dict[str, Any], needed: str) -> None:
    with pytest.raises(UserError, match=f"stack = 4 needs {needed}"):
        parse_spec(tiny_tree(**STACK, **changes), "a spec")


def test_only_runs_that_differ_in_seed_and_rate_alone_may_share_a_stack(tiny: Spec) -> None:
    key = stack_key(tiny(**STACK))
    assert key
    assert {stack_key(spec) for spec in specs_of(tiny)} == {key}
    for change in ({"training__weight_decay": 0.2}, {"training__clip_norm": 2.0}, {"training__stack": 2}):
        assert stack_key(tiny(**{**STACK, **change})) not in (key, "")
    assert stack_key(tiny(training__stack=1)) == ""
