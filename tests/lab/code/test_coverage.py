"""The code that makes a run: every function that runs in training is covered, or is known to change no number."""

import sys
from pathlib import Path
from types import FrameType
from typing import Any

from lab.run.store import RunFolder, code_of
from lab.run.training import train
from tests.conftest import Spec

CHANGES_NO_NUMBER = {
    "generators.foundation",
    "generators.table",
    "lab.code",
    "lab.model.table",
    "lab.objectives.table",
    "lab.run.callbacks",
    "lab.run.checkpoints",
    "lab.run.files",
    "lab.run.other_code",
    "lab.run.spec",
    "lab.run.store",
    "lab.run.stored_run",
    "lab.run.finetuning",  # covered in a run that starts from another
    "lab.run.stacking",  # covered in a run of a stack
}
"""Files that store, name, find and follow runs."""
ROOMS_OF_KINDS = ("lab.model.trunks.", "lab.objectives.", "generators.tasks.")


def modules_that_run(train_run: Any) -> set[str]:
    """Returns the modules of the lab whose functions are called."""
    names: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            names.add(frame.f_globals.get("__name__", ""))

    sys.setprofile(note)
    try:
        train_run()
    finally:
        sys.setprofile(None)
    return {name for name in names if name.partition(".")[0] in ("generators", "lab")}


def test_every_module_that_runs_in_training_is_covered_or_changes_no_number(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny()
    train(spec, tmp_path / "imports everything")
    called = modules_that_run(lambda: train(spec, tmp_path))
    covered = RunFolder(tmp_path, spec.identity).code()
    assert covered is not None
    rest = {
        name
        for name in called - set(covered)
        if not any(name == other or name.startswith(f"{other}.") for other in CHANGES_NO_NUMBER)
    }
    assert rest == set()
    assert covered.keys() & CHANGES_NO_NUMBER == set()
    assert len(called & set(covered)) > 10


def test_a_run_rests_on_its_own_task_and_objective_and_on_no_other(tiny: Spec) -> None:
    code = code_of(tiny(objective={"kind": "registers"}))
    names = {part.rpartition(".")[2] for part in code if part.startswith(ROOMS_OF_KINDS)}
    assert names == {"llama", "registers", "objective", "induction"}


def test_a_run_of_a_stack_rests_on_the_code_of_stacks_too(tiny: Spec) -> None:
    own, stacked = code_of(tiny()), code_of(tiny(training__stack=2))
    further = stacked.keys() - own.keys()
    assert "lab.run.stacking.training_stack" in further
    assert all(name.startswith("lab.run.stacking.") for name in further)
    assert stacked.items() >= own.items()


def test_a_finetuned_run_rests_on_the_code_of_its_start_too(tiny: Spec) -> None:
    own, finetuned = code_of(tiny()), code_of(tiny(start={"objective": {"kind": "registers"}}))
    assert finetuned.keys() - own.keys() == {
        "lab.objectives.registers",
        "lab.run.finetuning",
    }
    assert finetuned.items() >= own.items()
