"""A study's page: one self-contained HTML file, verdicts first. The same results give the same bytes."""

from pathlib import Path

from lab.run.files import write_atomically
from reports.exhibits.drawn import ExhibitProblems, drawn_on
from reports.frames.study_summary import StudySummary, summarise
from reports.frames.wording import answer, cautions
from reports.pages.claim_cards import claim_cards
from reports.pages.html import TEMPLATES, fill_template
from reports.pages.method import method_of, redraw_commands
from reports.pages.metrics import anchor_of, metric_definitions
from studies.declared.measures import definition_of, main_measure
from studies.declared.scales import SMOKE
from studies.declared.study import Study
from studies.judging.controls import controls_in, nearest_control
from studies.reading.judged import JudgedStudy, read_judged

SECTIONS = ("scores", "contrasts", "learning", "samples", "method")
"""Sections with a fixed place in the template; others follow before the last."""


def render_study(
    judged: JudgedStudy, refresh_seconds: int | None = None, problems: ExhibitProblems | None = None
) -> str:
    """Returns a study's page.

    Args:
        judged: the study.
        refresh_seconds: interval after which a browser loads the page again, for a study that is still running.
        problems: collects the exhibits of other packages that the page cannot show, with the reasons.
    """
    problems = problems or ExhibitProblems()
    results, study, declaration = judged.results, judged.study, judged.study.declaration
    exhibits = drawn_on("study", judged, problems)
    return fill_template(
        "study.html",
        declaration.title,
        refresh_seconds=refresh_seconds,
        study=study,
        declaration=declaration,
        scale=study.declaration.scales[study.scale],
        answer=answer(results, judged.judgements),
        cautions=cautions(results),
        left_out=problems.left_out,
        control=control_text(judged),
        cards=claim_cards(judged),
        metric=definition_of(declaration.metric).summary,
        metric_anchor=anchor_of(main_measure(declaration)),
        metrics=metric_definitions(declaration),
        exhibits_by_section={name: exhibits.pop(name, []) for name in SECTIONS},
        further_sections=exhibits,
        redraw=redraw_commands(study),
        method=method_of(results),
        citation=(TEMPLATES / "cite.bib").read_text(encoding="utf-8").strip(),
    )


def control_text(judged: JudgedStudy) -> str:
    """Returns what a control says about the study, in a sentence; empty at scale smoke.

    A control speaks for itself; any other study is read beside the control that is nearest to its task.
    """
    study, declaration = judged.study, judged.study.declaration
    if study.scale == SMOKE:
        return ""
    if declaration.control is not None:
        expected = "every claim" if declaration.control == "positive" else "no claim"
        return f"This study is a {declaration.control} control: {expected} should be supported."
    control = nearest_control(controls_in(judged.results.home), str(study.base.get("task", {}).get("kind")))
    if not control.has_run:
        return f"Control: {control.name} has not run in this home; lab study run {control.name} runs it."
    seen = "was seen as it should be" if control.as_expected else "was NOT seen as it should be"
    return f"Control: {control.name}, the nearest to this task, {seen}; lab report {control.name} writes its page."


def page_name(study: Study) -> str:
    """Returns the file name of a study's page."""
    return f"{study.name}-{study.scale}.html"


def write_page(
    home: Path,
    study: Study,
    path: Path,
    refresh_seconds: int | None = None,
    problems: ExhibitProblems | None = None,
) -> StudySummary:
    """Writes a study's page, and returns what an index says about it. Its arguments are those of `render_study`.

    Raises:
        UserError: a stored file is damaged.
    """
    judged = read_judged(home, study)
    write_atomically(path, render_study(judged, refresh_seconds, problems).encode())
    return summarise(judged, path.name)
