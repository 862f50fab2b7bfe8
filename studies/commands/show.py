"""Implements `lab study show`."""

from typing import Annotated

import typer

from generators.foundation.options import Assignments, Json, answer
from studies.commands.options import Joining, Scale, StudyName, refuse_joining
from studies.declared.catalog import COLLECTIONS, STUDIES
from studies.declared.collection import is_collection, load_collection
from studies.declared.names import run_command_line
from studies.ledger.arguments import note_on_catalog_name
from studies.ledger.collection_members import left_out_text


def show_command(
    name: StudyName,
    scale: Scale = "cpu",
    assignments: Assignments = None,
    probe: Annotated[bool, typer.Option(help="time a few steps here to estimate the duration of the study")] = True,
    flops_rate: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            help="operations per second to assume instead of timing steps",
        ),
    ] = None,
    joining: Joining = None,
    as_json: Json = False,
) -> None:
    """Show which runs a study would train and what they would cost, before anything runs."""
    if is_collection(name):
        show_collection(name, scale, assignments or [], joining or [], as_json)
    else:
        refuse_joining(name, joining)
        show_study(name, scale, assignments or [], probe, flops_rate, as_json)


def show_study(
    name: str, scale: str, assignments: list[str], probe: bool, flops_rate: float | None, as_json: bool
) -> None:
    """Prints the cells, claims, runs and cost of a study."""
    from studies.declared.loading import declare
    from studies.running.executors.table import usual_workers
    from studies.running.plan.compiling import choice_for
    from studies.running.plan.cost import duration_text, estimate_time, plan_study
    from studies.running.plan.sensitivity import detectable_effects, negligible_effects
    from studies.running.plan.stacking import stacking_lines, trained_alone
    from studies.statistics.interim import looks_until
    from studies.statistics.power import POWER

    note_on_catalog_name(name, STUDIES)
    study = declare(name, scale, assignments)
    declaration = study.declaration
    plan = plan_study(study)
    time = estimate_time(plan, flops_rate, probe=probe)
    workers = usual_workers(study)
    choice = choice_for(plan, time, workers) if time and study.leaves_compile_open else None
    detectable, negligible = detectable_effects(study), negligible_effects(study)
    looks = looks_until(study.seeds, declaration.looks)
    first = f", the first of which is {declaration.first_seed}" if declaration.first_seed else ""
    needed = f"{study.seeds} fresh seeds{first}"
    if len(looks) > 1:
        needed = f"{', '.join(map(str, looks[:-1]))} or {needed}, as many as the claims need"
    search = ", ".join(f"{key} from {span.low:zg} to {span.high:zg}" for key, span in declaration.tuning.search.items())
    done = f"tuned in {study.trials} trials ({search}), then {needed}" if study.trials else f"with {needed}"
    reasons: dict[str, list[str]] = {}
    for cell, reason in study.excluded.items():
        reasons.setdefault(reason, []).append(cell.label)
    starts = f", and {plan.start_runs} that they start from" if plan.start_runs else ""
    sampled = f", from {plan.counted} of {plan.networks} networks" if plan.counted < plan.networks else ""
    duration = f"; about {duration_text(time.seconds / workers)} on {workers} at once, {time.basis}" if time else ""
    lines = [
        declaration.title,
        f"{study.source}, scale {scale}: {declaration.scales[scale].summary}",
        f"question: {declaration.question}",
        f"cells: {len(study.cells)}, each {done}",
        *(f"  {cell.label}" for cell in study.cells),
        *([study.untuned] if study.untuned else []),
        *(f"excluded, {reason}: {len(labels)}\n  " + "\n  ".join(labels) for reason, labels in reasons.items()),
        *(f"{key}: {study.described(key, level)}" for key in declaration.levels for level in study.factors[key]),
        f"runs: {'at most ' if len(looks) > 1 else ''}{study.runs}{starts}",
        f"cost: {plan.flops:z.3g} operations{sampled}{duration}",
        *([choice.reason] if choice else []),
        *stacking_lines(study),
        *(
            f"claim {claim.name}: {claim.text} (paper: {claim.paper})\n"
            f"  finds with {POWER:z.0%} power: {detectable[claim.name]}"
            + (f"\n  negligible: {negligible[claim.name]}" if claim.name in negligible else "")
            for claim in declaration.claims
        ),
        f"next: {run_command_line(name, scale, assignments=assignments)}",
    ]
    value = {
        "study": study.name,
        "scale": scale,
        "cells": [cell.label for cell in study.cells],
        "excluded": {cell.label: reason for cell, reason in study.excluded.items()},
        "trials": study.trials,
        "seeds": study.seeds,
        "first_seed": declaration.first_seed,
        "looks": looks,
        "runs": study.runs,
        "start_runs": plan.start_runs,
        "flops": plan.flops,
        "networks": plan.networks,
        "networks_counted": plan.counted,
        "seconds": time and time.seconds,
        "seconds_from": time and time.basis,
        "workers": workers,
        "compiled": choice and choice.compiled,
        "trained_alone": trained_alone(study),
        "claims": [claim.model_dump(mode="json") for claim in declaration.claims],
        "detectable": detectable,
        "negligible": negligible,
    }
    answer(value, as_json, "\n".join(lines))


def show_collection(name: str, scale: str, assignments: list[str], joining: list[str], as_json: bool) -> None:
    """Prints the runs and cost of each study of a collection, chapter by chapter."""
    from studies.declared.loading import declare
    from studies.running.plan.cost import plan_study

    note_on_catalog_name(name, COLLECTIONS)
    collection = load_collection(name).joined(joining)
    studies = {member: declare(member, scale, own) for member, own in collection.assigned(assignments).items()}
    plans = {member: plan_study(study) for member, study in studies.items()}
    width = max(22, *(len(member.study) + 2 for member in collection.members))
    lines = [collection.declaration.title, collection.declaration.question]
    for chapter in collection.chapters:
        lines += ["", chapter.title, f"  {'' if collection.matrix else 'the paper: '}{chapter.text}"]
        for member in chapter.studies:
            if member.study in studies:
                cost = f"{studies[member.study].runs:>4} runs, {plans[member.study].flops:z.2g} operations"
            else:
                cost = left_out_text(member.needs)
            lines.append(f"  {member.study:<{width}}{cost}")
    runs = sum(study.runs for study in studies.values())
    flops = sum(plan.flops for plan in plans.values())
    shared = "; the baseline's, half of each row, are trained once" if collection.matrix else ""
    lines += [
        "",
        f"{len(studies)} studies, {runs} runs, {flops:z.2g} operations{shared}",
        f"next: {run_command_line(name, scale, assignments=assignments, joining=joining)}",
    ]
    value = {
        "collection": name,
        "scale": scale,
        "studies": {member: {"runs": study.runs, "flops": plans[member].flops} for member, study in studies.items()},
        "left_out": collection.left_out(assignments),
    }
    answer(value, as_json, "\n".join(lines))
