"""Two studies on one page: verdicts, effects, and the settings that differ."""

import shlex

from generators.foundation.code.version import parts_text
from reports.exhibits.drawn import ExhibitProblems, drawn_on
from reports.frames.numbers import MISSING, plural
from reports.frames.pairs import StudyPair
from reports.pages.html import fill_template
from studies.judging.judgement import standing


def render_comparison(pair: StudyPair, problems: ExhibitProblems | None = None) -> str:
    """Returns the page of two studies.

    Args:
        pair: the studies.
        problems: collects the exhibits of other packages that the page cannot show, with the reasons.
    """
    problems = problems or ExhibitProblems()
    sections = drawn_on("comparison", pair, problems)
    return fill_template(
        "comparison.html",
        f"{pair.labels[0]} and {pair.labels[1]}",
        sides=[(label, side.summary) for label, side in zip(pair.labels, pair.sides, strict=True)],
        answer=" ".join(filter(None, (agreement(pair), code_remark(pair)))),
        left_out=problems.left_out,
        exhibits_by_section={name: sections.pop(name, []) for name in ("claims", "differences")},
        further_sections=sections,
        commands=_commands(pair),
    )


def verdicts_by_claim(pair: StudyPair) -> dict[str, list[str | None]]:
    """Returns name of a claim -> the two verdicts; None if a study does not make the claim."""
    return {
        name: [standing(judgement) if judgement else None for judgement in judgements]
        for name, judgements in pair.claims.items()
    }


def verdict_lines(pair: StudyPair) -> str:
    """Returns one line of text for each claim."""
    return "\n".join(
        f"{name}: {first or MISSING}, {second or MISSING}" for name, (first, second) in verdicts_by_claim(pair).items()
    )


def code_remark(pair: StudyPair) -> str:
    """Returns a sentence about code that is not the same in both studies; empty if the code is the same or unknown."""
    parts = pair.differing_code
    return f"Their runs were made by different code ({parts_text(parts)})." if parts else ""


def agreement(pair: StudyPair) -> str:
    """Returns how many of the claims that both studies make have the same verdict."""
    verdicts = [(first, second) for first, second in verdicts_by_claim(pair).values() if first and second]
    if not verdicts:
        return "The two studies have no claim of the same name."
    same = sum(first == second for first, second in verdicts)
    opposite = sum({"supported", "contradicted"} == set(both) for both in verdicts)
    claims = plural(len(verdicts), "claim")
    return f"Both studies make {claims}: {same} with the same verdict, {opposite} with opposite verdicts."


def _commands(pair: StudyPair) -> list[str]:
    """Returns the command that draws the page, and those that export the runs behind it."""
    first, second = pair.sides
    other_home = " --second-home HOME" if first.home.resolve() != second.home.resolve() else ""
    exports = [
        f"lab results {shlex.quote(side.study.name)} --scale {shlex.quote(side.study.scale)} --out {name}.csv"
        for side, name in ((first, "first"), (second, "second"))
    ]
    return [f"lab compare {shlex.quote(first.name)} {shlex.quote(second.name)}{other_home}", *exports]
