"""What the study commands answer where a collection is named in place of a study."""

from pathlib import Path
from typing import TYPE_CHECKING

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.options import answer, note
from generators.foundation.settings import Tree
from lab.commands.options import DEFAULT_HOME
from studies.declared.collection import is_collection, load_collection
from studies.ledger.folder import StudyFolder

if TYPE_CHECKING:
    from studies.running.run_study import Place, Ran


def show_collection(name: str, scale: str, assignments: list[str], as_json: bool) -> None:
    """Chapter by chapter, what each study would run."""
    from studies.declared.loading import load
    from studies.running.cost import plan_of

    collection = load_collection(name)
    taken = collection.assigned(assignments)
    studies = {each: load(each, scale, given) for each, given in taken.items()}
    plans = {each: plan_of(study) for each, study in studies.items()}
    lines = [collection.declaration.title, collection.declaration.question]
    for chapter in collection.chapters:
        lines += ["", chapter.title, f"  the paper: {chapter.text}"]
        for member in chapter.studies:
            study, plan = studies.get(member.study), plans.get(member.study)
            what = f"{study.runs:>4} runs, {plan.flops:.2g} operations" if study and plan else lacking(member.needs)
            lines.append(f"  {member.study:<22}{what}")
    runs = sum(study.runs for study in studies.values())
    flops = sum(plan.flops for plan in plans.values())
    lines += ["", f"{len(studies)} studies, {runs} runs, {flops:.2g} operations", f"next: {again(name, scale)}"]
    value = {
        "collection": name,
        "scale": scale,
        "studies": {each: {"runs": study.runs, "flops": plans[each].flops} for each, study in studies.items()},
        "left_out": collection.left_out(assignments),
    }
    answer(value, as_json, "\n".join(lines))


def run_collection_command(name: str, scale: str, assignments: list[str], place: "Place", as_json: bool) -> None:
    """Every study in turn, then how many claims came to which verdict."""
    from studies.judging.judgement import sentence
    from studies.running.run_study import run_collection

    collection = load_collection(name)

    def tell(study: str, ran: "Ran") -> None:
        for verdict in ran.verdicts:
            note(f"  {sentence(verdict)}")

    left_out = collection.left_out(assignments)
    for study, needs in left_out.items():
        note(f"{study}: {lacking(needs)}")
    ran, failed = run_collection(collection, scale, assignments, place, tell)
    found: list[str] = [verdict.verdict for each in ran.values() for verdict in each.verdicts]
    kinds = ("supported", "contradicted", "inconclusive")
    counts = ", ".join(f"{found.count(kind)} {kind}" for kind in kinds)
    trained = sum(each.trained for each in ran.values())
    value = {
        "collection": name,
        "scale": scale,
        "studies": {study: each.tree() for study, each in ran.items()},
        "left_out": left_out,
        "failed": failed,
    }
    answer(value, as_json, f"{len(ran)} studies, {trained} runs trained; of {len(found)} claims {counts}")
    note(f"next: {again(name, scale, place.home).replace('study run', 'report')}")
    if failed:
        reasons = "; ".join(f"{study}: {why}" for study, why in failed.items())
        raise WorkFailed(f"{len(failed)} of {len(ran.keys() | failed.keys())} studies failed: {reasons}")


def collection_status(name: str, scale: str | None, home: Path, as_json: bool) -> None:
    """How far each study is."""
    value: dict[str, Tree | None] = {}
    rows = []
    for member in load_collection(name).members:
        if not StudyFolder.all_stored(home, member.study, scale):
            rows.append(f"{member.study:<22}never ran")
            value[member.study] = None
            continue
        folder = StudyFolder.latest(home, member.study, scale)
        study = folder.read_study()
        ended = sum(cell.counts().ended for cell in folder.read_cells())
        rows.append(f"{member.study:<22}{ended} of {study.runs} runs ended, scale {study.scale}")
        value[member.study] = {"scale": study.scale, "runs": study.runs, "ended": ended}
    answer(value, as_json, "\n".join(rows))


def members_stored(name: str, scale: str | None, home: Path) -> list[str]:
    """The studies of a collection that ran.

    Raises:
        UserError: none did.
    """
    members = [member.study for member in load_collection(name).members]
    found = [study for study in members if StudyFolder.all_stored(home, study, scale)]
    if not found:
        at = f" at scale {scale}" if scale else ""
        raise UserError(f"no study of {name} ran{at} under {home}; start with: {again(name, scale or 'cpu')}")
    return found


def expanded(names: list[str], scale: str | None, home: Path) -> list[str]:
    """Names of studies, those of collections among them replaced by their studies that ran, each once."""
    found: list[str] = []
    for name in names:
        found += members_stored(name, scale, home) if is_collection(name) else [name]
    return list(dict.fromkeys(found))


def lacking(needs: list[str]) -> str:
    """What a study waits for."""
    return "left out; it needs " + " ".join(f"--set {key}=..." for key in needs)


def again(name: str, scale: str, home: Path = DEFAULT_HOME) -> str:
    """The command that runs something."""
    at = "" if scale == "cpu" else f" --scale {scale}"
    return f"lab study run {name}{at}" + (f" --home {home}" if home != DEFAULT_HOME else "")
