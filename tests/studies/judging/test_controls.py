"""Controls are as they should be exactly if every claim of a positive one, and no claim of a negative one, is supported."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from studies.declared.loading import declare
from studies.judging.controls import Control, controls_in, controls_text, is_as_expected, nearest_control
from studies.ledger.declared_study import record_of
from studies.ledger.folder import StudyFolder
from studies.ledger.records import StateRecord, VerdictRecord, VerdictsRecord
from studies.running.sweep import Sweep


@pytest.mark.parametrize(
    ("kind", "verdicts", "expected"),
    [
        ("positive", ["supported", "supported"], True),
        ("positive", ["supported", "inconclusive"], False),
        ("positive", ["contradicted"], False),
        ("negative", ["inconclusive", "inconclusive"], True),
        ("negative", ["inconclusive", "supported"], False),
        ("negative", [], False),
    ],
)
def test_a_control_is_as_it_should_be(kind: str, verdicts: Sequence[str], expected: bool) -> None:
    assert is_as_expected(kind, verdicts) is expected  # type: ignore[arg-type]


def store(home: Path, name: str, scale: str, verdicts: Sequence[str], source: str | None = None) -> None:
    """Stores a control of the catalog with verdicts, as if it had run."""
    study = declare(name, scale, [])
    folder = StudyFolder(home, name, scale)
    folder.path.mkdir(parents=True)
    record = record_of(study)
    folder.write_study(record if source is None else record.model_copy(update={"source": source}))
    folder.write_state(StateRecord(origin=None, finished=True))
    records = [
        VerdictRecord(claim=claim.name, text="", paper="", kind=claim.kind, cells=[], treatment="", control="",
                      verdict=verdict, reason="")  # type: ignore[arg-type]
        for claim, verdict in zip(study.declaration.claims, verdicts, strict=True)
    ]  # fmt: skip
    folder.write_verdicts(VerdictsRecord(study=name, scale=scale, verdicts=records))


def test_stored_verdicts_of_a_home_are_counted_but_not_those_of_smoke_runs_or_other_files(tmp_path: Path) -> None:
    controls = controls_in(tmp_path)
    assert {control.kind for control in controls} == {"positive", "negative"}
    assert not any(control.has_run for control in controls)
    assert controls_text(controls) == (
        f"None of the {len(controls)} controls has run in this home; lab study run controls runs them."
    )
    store(tmp_path, "star-quick", "cpu", ["supported", "supported"])
    store(tmp_path, "star-same", "cpu", ["supported", "inconclusive"])
    store(tmp_path, "star-shifted", "smoke", ["supported"])
    store(tmp_path, "star-reversed", "cpu", ["supported"], source="elsewhere.toml")
    controls = controls_in(tmp_path)
    assert {control.name for control in controls if control.has_run} == {"star-quick", "star-same"}
    assert controls_text(controls) == (
        f"Of 2 controls, 1 were seen as they should be ({len(controls) - 2} have not run); not so: star-same."
    )


def test_the_nearest_control_has_the_task_if_one_has(tmp_path: Path) -> None:
    controls = controls_in(tmp_path)
    assert nearest_control(controls, "suffix").name == "suffix-depth"
    assert nearest_control(controls, "markov").name == "star-quick", "a negative control shows no effect"
    only = Control("other", "positive", "x")
    assert nearest_control([replace(only, kind="negative"), only], "y") == only


def test_unfinished_controls_do_not_count(tmp_path: Path) -> None:
    sweep = Sweep(declare("star-quick", "cpu", []), tmp_path, lambda event: None)
    folder = sweep.folder
    folder.path.mkdir(parents=True)
    folder.write_study(record_of(sweep.study))
    assert not any(control.has_run for control in controls_in(tmp_path))
