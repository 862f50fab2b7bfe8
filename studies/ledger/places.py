"""The place of a study in a home, studies/NAME/SCALE, and the rule that decides which file may write there.

A name belongs to one file. An edited file keeps its place, and the command names the keys that changed. Another file
of the same name takes the place over only if it has the stored content, as a moved file does; otherwise it is refused.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from generators.foundation.errors import UserError, WorkFailed
from lab.run.files import FolderInUse, lock_folder
from studies.declared.loading import read_study_file, study_at_scale
from studies.declared.study import Study
from studies.ledger.declared_study import study_in
from studies.ledger.folder import StudyFolder
from studies.ledger.origins import is_from, is_shipped, origin_of, origin_text
from studies.ledger.records import StateRecord
from studies.ledger.versions import differing_keys, listed, study_content


@dataclass(frozen=True)
class Place:
    """The place of a study that is going to run.

    Attributes:
        changed: the keys in which the study differs from the version that ran before; empty if no version ran.
        remark: a sentence about that version, or empty.
    """

    changed: list[str]
    remark: str = ""


def place_for(home: Path, study: Study) -> Place:
    """Returns the place of a study that is about to run, compared with the version stored there.

    Raises:
        UserError: the name belongs to another file, at this scale or at another.
    """
    place, source = Place([]), Path(study.source)
    for folder in StudyFolder.all_stored(home, study.name):
        here = folder.scale == study.scale
        try:
            same_file, keys = is_from(folder, source), keys_changed(study_in(folder), study)
        except UserError as error:
            if is_known_to_be_other(folder, study):
                raise refusal(folder, study, "which cannot be read here") from None
            if here:
                place = Place(["all of it"], f"{folder.path} is overwritten, because it cannot be read: {error}")
            continue
        if keys and not same_file:
            raise refusal(folder, study, f"which differs ({listed(keys)})")
        if keys and here:
            remark = f"{study.source}: was edited since it last ran ({listed(keys)})"
            place = Place(keys, f"{remark}; the earlier verdicts are kept until this run ends")
    return place


def is_known_to_be_other(folder: StudyFolder, study: Study) -> bool:
    """Tells whether a stored study is known to have come from a file other than that of the given study."""
    origin = folder.read_state().origin
    return origin is not None and origin != origin_of(folder.home, Path(study.source))


def keys_changed(stored: Study, study: Study) -> list[str]:
    """Returns the keys in which a study differs from a stored one, at the scale of the stored one."""
    if stored.scale == study.scale:
        return differing_keys(study_content(stored), study_content(study))
    if stored.scale not in study.declaration.scales:
        return [f"scales.{stored.scale}"]
    source = Path(study.source)
    declaration = read_study_file(source) if source.exists() else study.declaration
    other = study_at_scale(source, declaration, stored.scale, list(stored.assignments))
    return differing_keys(study_content(stored), study_content(other))


def refusal(folder: StudyFolder, study: Study, difference: str) -> UserError:
    """Returns the error for a study whose name belongs to another file."""
    shipped = is_shipped(Path(study.source))
    return UserError(
        f"{study.name if shipped else study.source}: the name {study.name!r} belongs to {origin_text(folder)} under "
        f"{folder.home}, {difference}; {'' if shipped else 'rename the file or '}give another --home"
    )


def check_seeds(folder: StudyFolder, study: Study, changed: list[str]) -> None:
    """Refuses to judge a study on other seeds once it was judged: that would spend its level again.

    Args:
        changed: the keys in which it differs from the stored version.

    Raises:
        UserError: names both seeds.
    """
    if "first_seed" in changed and folder.read_looks():
        raise UserError(
            f"{study.source}: first_seed = {study.declaration.first_seed}: this study was judged on the seeds from "
            f"{study_in(folder).declaration.first_seed} on, which spent its level; restore it, or copy the file to a "
            "new name to repeat the study"
        )


def take_place(folder: StudyFolder, study: Study) -> None:
    """Marks a study as unfinished and records its file; a moved file takes over the study's other scales too."""
    source = Path(study.source)
    origin = origin_of(folder.home, source) if source.exists() else folder.read_state().origin
    state = StateRecord(origin=origin, finished=False)
    try:
        folder.write_state(state)
    except WorkFailed:
        if folder.read_state() != state:  # shards that begin at once write the same
            raise
    for other in StudyFolder.all_stored(folder.home, folder.name):
        if origin and other.scale != folder.scale and is_known_to_be_other(other, study):
            with suppress(FolderInUse), lock_folder(other.path, "running this study"):
                other.write_state(StateRecord(origin=origin, finished=other.read_state().finished))


def mark_finished(folder: StudyFolder) -> None:
    """Marks a study as finished, once everything else is written."""
    folder.write_state(folder.read_state().model_copy(update={"finished": True}))
