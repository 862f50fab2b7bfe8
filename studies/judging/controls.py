"""Controls: studies whose verdicts are known beforehand, and whether the stored ones are as they should be.

A positive control claims effects that are there, and each of its claims should be supported. A negative control claims
effects that cannot be there, and none of its claims should be.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studies.declared.catalog import STUDIES
from studies.declared.collection import load_collection
from studies.declared.loading import read_study_file
from studies.declared.scales import SMOKE
from studies.ledger.folder import StudyFolder

CONTROLS = "controls"
"""The collection of the controls."""
Kind = Literal["positive", "negative"]


@dataclass(frozen=True)
class Control:
    """A control of the catalog.

    Attributes:
        task: the kind of its task.
        scale: the scale of its stored verdicts; empty without any.
        verdicts: the stored verdicts; empty without any.
    """

    name: str
    kind: Kind
    task: str
    scale: str = ""
    verdicts: tuple[str, ...] = ()

    @property
    def has_run(self) -> bool:
        """True if the control has been judged."""
        return bool(self.verdicts)

    @property
    def as_expected(self) -> bool:
        """True if the verdicts are as they should be."""
        return is_as_expected(self.kind, self.verdicts)


def is_as_expected(kind: Kind, verdicts: Sequence[str]) -> bool:
    """Tells whether the verdicts of a control are as they should be."""
    supported = [verdict == "supported" for verdict in verdicts]
    return bool(supported) and (all(supported) if kind == "positive" else not any(supported))


def controls_in(home: Path) -> list[Control]:
    """Returns the controls of the catalog with their verdicts in a home, those of the scale that ran last.

    Smoke runs do not count, nor does a study of another file that has the name of a control.
    """
    controls = []
    for member in load_collection(CONTROLS).members:
        declaration = read_study_file(STUDIES.path(member.study))
        assert declaration.control is not None, "the collection has controls alone"
        task = str(declaration.base["task"]["kind"])
        scale, verdicts = _stored_verdicts(home, member.study)
        controls.append(Control(member.study, declaration.control, task, scale, verdicts))
    return controls


def _stored_verdicts(home: Path, name: str) -> tuple[str, tuple[str, ...]]:
    folders = [folder for folder in StudyFolder.all_stored(home, name) if folder.scale != SMOKE and folder.has_verdicts]
    for folder in sorted(folders, key=lambda folder: folder.path.stat().st_mtime, reverse=True):
        record = folder.read_verdicts()
        if record is not None and folder.read_study().is_of_catalog:
            return folder.scale, tuple(verdict.verdict for verdict in record.verdicts)
    return "", ()


def nearest_control(controls: Iterable[Control], task: str) -> Control:
    """Returns the control for a task: a positive one of the task itself, if there is one, else the first positive."""
    positive = [control for control in controls if control.kind == "positive"]
    return next((control for control in positive if control.task == task), positive[0])


def controls_text(controls: Sequence[Control]) -> str:
    """Returns how many controls were seen as they should be, in a sentence."""
    ran = [control for control in controls if control.has_run]
    if not ran:
        return f"None of the {len(controls)} controls has run in this home; lab study run {CONTROLS} runs them."
    wrong = [control.name for control in ran if not control.as_expected]
    sentence = f"Of {len(ran)} controls, {len(ran) - len(wrong)} were seen as they should be"
    if len(ran) < len(controls):
        sentence += f" ({len(controls) - len(ran)} have not run)"
    return f"{sentence}; not so: {', '.join(wrong)}." if wrong else f"{sentence}."
