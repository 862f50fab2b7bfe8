"""Two studies side by side: two scales of one, two homes, or two that make claims of the same names."""

import json
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from markupsafe import Markup

from generators.foundation.settings import Tree
from reports.exhibits import scoreboard
from reports.exhibits.scoreboard import Line
from reports.exhibits.tables import Column, Table, columns, whole
from reports.frames import formatting as words
from reports.frames.formatting import MISSING, Value, word
from reports.frames.results import Results, columns_under
from reports.pages.html import filled
from reports.pages.index import Entry, entry_of, judged
from studies.declared.study import Study
from studies.judging.judgement import Judgement

PROSE = {"title", "question", "paper", "caveat", "text", "scales", "base", "factors"}
"""Keys of a declaration that say nothing of what ran, or what the study at its scale says itself."""


@dataclass(frozen=True)
class Side:
    """One of the two."""

    home: Path
    study: Study

    @property
    def name(self) -> str:
        return f"{self.study.name}@{self.study.scale}"

    @cached_property
    def read(self) -> tuple[Results, list[Judgement]]:
        """What is stored of it, and its verdicts."""
        return judged(self.home, self.study)

    @cached_property
    def entry(self) -> Entry:
        """What an index says of it."""
        return entry_of(*self.read, self.home)

    @property
    def settings(self) -> dict[str, str]:
        """Dotted key -> value, of everything that decides what it runs and how it is judged."""
        study, declared = self.study, self.study.declaration.model_dump(mode="json", exclude=PROSE)
        outside = {*PROSE, "name"}
        claims = {claim.name: claim.model_dump(mode="json", exclude=outside) for claim in study.declaration.claims}
        ran: Tree = {**declared, "claims": claims, "seeds": study.seeds}
        ran["tuning"] = {**declared["tuning"], "trials": study.trials}
        factors = {
            f"factor {key}": [study.described(key, level) for level in levels] for key, levels in study.factors.items()
        }
        return {key: words.portable(value, self.home) for key, value in flat({**study.base, **ran, **factors}).items()}

    @property
    def environment(self) -> dict[str, str]:
        """Versions and machine -> what its runs had."""
        runs = self.read[0].runs
        columns_found = columns_under(runs, "environment").items()
        found = {name: sorted(set(runs[column].dropna().map(whole))) for name, column in columns_found}
        return {name: ", ".join(values) for name, values in found.items() if values}


@dataclass(frozen=True)
class Comparison:
    """A page, and what it says in short: claim -> the two verdicts, None where only one study makes it."""

    page: str
    claims: dict[str, list[str | None]]

    @property
    def said(self) -> str:
        return "\n".join(f"{name}: {one or MISSING}, {other or MISSING}" for name, (one, other) in self.claims.items())


def flat(tree: Tree, prefix: str = "") -> dict[str, str]:
    """A tree of settings as dotted key -> value in words; what is None or empty is left out."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        elif value not in (None, [], ""):
            found[f"{prefix}{key}"] = said(value)
    return found


def said(value: Any) -> str:
    """A setting as people read it."""
    if isinstance(value, list):
        return ", ".join(map(said, value))
    return value if isinstance(value, str) else json.dumps(value)


def compare(first: Side, second: Side) -> Comparison:
    """The page of two studies."""
    labels = names(first, second)
    judgements = [{one.claim.name: one for one in side.entry.judgements} for side in (first, second)]
    every = list(dict.fromkeys([*judgements[0], *judgements[1]]))
    pairs = {name: (judgements[0].get(name), judgements[1].get(name)) for name in every}
    lines = lines_of((first, second), labels, every)
    sides = [(label, side.entry) for label, side in zip(labels, (first, second), strict=True)]
    settings = differing("What differs in the settings", labels, first.settings, second.settings)
    machines = differing("What differs in versions and machine", labels, first.environment, second.environment)
    page = filled(
        "comparison.html",
        f"{labels[0]} beside {labels[1]}",
        sides=sides,
        answer=agreement(pairs),
        claims=claims(labels, pairs),
        effects=scoreboard.effects(lines),
        figure=Markup(scoreboard.drawn(lines)),
        settings=settings,
        machines=machines,
        commands=commands(first, second),
    )
    return Comparison(page, {name: [one.verdict if one else None for one in pair] for name, pair in pairs.items()})


def names(first: Side, second: Side) -> tuple[str, str]:
    """What the two are called: with the folders of their homes, where that is all that differs."""
    if first.name != second.name:
        return first.name, second.name
    return f"{first.name}, first home", f"{second.name}, second home"


def lines_of(sides: tuple[Side, Side], labels: tuple[str, str], every: list[str]) -> list[Line]:
    """The claims of both, each beside its counterpart."""
    found: list[Line] = []
    for name in every:
        for side, label in zip(sides, labels, strict=True):
            for line in side.entry.lines():
                if line.judgement.claim.name == name:
                    found.append(Line(len(found) + 1, line.study, line.judgement, line.minutes, "", label))
    return found


def agreement(pairs: dict[str, tuple[Judgement | None, Judgement | None]]) -> str:
    """How many of the claims that both make have the same verdict."""
    both = [(one.verdict, other.verdict) for one, other in pairs.values() if one and other]
    if not both:
        return "They make no claim of the same name."
    same = sum(one == other for one, other in both)
    opposed = sum({"supported", "contradicted"} == set(pair) for pair in both)
    told = f"Of {words.plural(len(both), 'claim')} that both make, {same} came out the same"
    return told + (f"; {opposed} came out opposite." if opposed else "; none came out opposite.")


def claims(labels: tuple[str, str], pairs: dict[str, tuple[Judgement | None, Judgement | None]]) -> Table:
    """Verdict, effect and interval of each claim, of one study and of the other."""
    form = [Column("claim", "text")]
    for label in labels:
        form += [Column(f"{label}: verdict", "word"), Column("measured"), Column("interval"), Column("seeds")]
    table = Table("Claims side by side", form)
    for name, pair in pairs.items():
        texts = list(dict.fromkeys(one.claim.text for one in pair if one))
        row = [word(f"{words.spoken(name)}: {' / '.join(texts)}")]
        for one in pair:
            if one is None:
                row += [Value("not claimed"), *[Value(MISSING)] * 3]
            else:
                row += [
                    words.stands(one),
                    *scoreboard.measured(one.contrast),
                    Value(str(len(one.by_seed)), len(one.by_seed)),
                ]
        table.rows.append(row)
    return table


def differing(caption: str, labels: tuple[str, str], first: dict[str, str], second: dict[str, str]) -> Table:
    """The keys that two have different values of."""
    table = Table(caption, [Column("what", "name"), *columns("name", *labels)])
    for key in dict.fromkeys([*first, *second]):
        values = first.get(key, MISSING), second.get(key, MISSING)
        if values[0] != values[1]:
            table.rows.append([word(key), *map(Value, values)])
    return table


def commands(first: Side, second: Side) -> list[str]:
    """The command that draws the page again, and those that put the runs behind it into tables."""
    elsewhere = " --second-home HOME" if first.home.resolve() != second.home.resolve() else ""
    tables = [
        f"lab results {shlex.quote(side.study.name)} --scale {side.study.scale} --out {name}.csv"
        for side, name in ((first, "first"), (second, "second"))
    ]
    return [f"lab compare {shlex.quote(first.name)} {shlex.quote(second.name)}{elsewhere}", *tables]
