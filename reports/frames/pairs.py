"""Two studies to compare: two scales of one study, two homes, or two studies whose claims have the same names."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from generators.foundation.code.version import CodeVersion, conflicting_parts
from generators.foundation.settings import Tree
from reports.frames.claim_lines import ClaimLine
from reports.frames.numbers import without_point
from reports.frames.study_summary import StudySummary, summarise
from studies.declared.study import Study
from studies.judging.judgement import Judgement
from studies.reading.judged import JudgedStudy, read_judged
from studies.reading.portable import portable
from studies.reading.results import columns_under

PROSE = {"title", "question", "paper", "caveat", "text", "scales", "base", "factors"}
"""Keys of a declaration that do not decide what runs, or that the study at its scale has resolved."""


@dataclass(frozen=True)
class ComparedStudy:
    """One study of a pair."""

    home: Path
    study: Study

    @property
    def name(self) -> str:
        return f"{self.study.name}@{self.study.scale}"

    @cached_property
    def judged(self) -> JudgedStudy:
        """Its runs and verdicts, read when first needed."""
        return read_judged(self.home, self.study)

    @cached_property
    def summary(self) -> StudySummary:
        return summarise(self.judged)

    @cached_property
    def by_claim(self) -> dict[str, Judgement]:
        """Name of a claim -> its verdict."""
        return {judgement.claim.name: judgement for judgement in self.judged.judgements}

    @property
    def settings(self) -> dict[str, str]:
        """Dotted key -> value, for every setting that decides what runs and how it is judged."""
        study, declaration = self.study, self.study.declaration.model_dump(mode="json", exclude=PROSE)
        claims = {
            claim.name: claim.model_dump(mode="json", exclude={*PROSE, "name"}) for claim in study.declaration.claims
        }
        resolved: Tree = {**declaration, "claims": claims, "seeds": study.seeds}
        resolved["tuning"] = {**declaration["tuning"], "trials": study.trials}
        factors = {
            f"factor {key}": [study.described(key, level) for level in levels] for key, levels in study.factors.items()
        }
        values = flattened({**study.base, **resolved, **factors})
        return {key: portable(value, self.home) for key, value in values.items()}

    @property
    def code_versions(self) -> list[CodeVersion]:
        """The versions of the code that made the study's runs, as far as they are known."""
        return self.judged.results.code.versions()

    @property
    def environment(self) -> dict[str, str]:
        """Package or machine component -> the versions that occur in the study's runs."""
        runs = self.judged.results.runs
        columns = columns_under(runs, "environment").items()
        versions = {name: sorted(set(runs[column].dropna().map(without_point))) for name, column in columns}
        return {name: ", ".join(values) for name, values in versions.items() if values}


@dataclass(frozen=True)
class StudyPair:
    """The two studies that `lab compare` compares."""

    first: ComparedStudy
    second: ComparedStudy

    @property
    def sides(self) -> tuple[ComparedStudy, ComparedStudy]:
        return self.first, self.second

    @property
    def labels(self) -> tuple[str, str]:
        """Names of the two, with their homes if nothing else differs."""
        if self.first.name != self.second.name:
            return self.first.name, self.second.name
        return f"{self.first.name}, first home", f"{self.second.name}, second home"

    @cached_property
    def differing_code(self) -> list[str]:
        """The parts of the code that are not the same in all runs of both studies."""
        return conflicting_parts([*self.first.code_versions, *self.second.code_versions])

    @cached_property
    def claims(self) -> dict[str, tuple[Judgement | None, Judgement | None]]:
        """Name of a claim -> its verdict in each study; None if a study does not make the claim."""
        names = dict.fromkeys([*self.first.by_claim, *self.second.by_claim])
        return {name: (self.first.by_claim.get(name), self.second.by_claim.get(name)) for name in names}

    @cached_property
    def lines(self) -> list[ClaimLine]:
        """The claims of both studies, with claims of the same name next to each other."""
        lines: list[ClaimLine] = []
        for judgements in self.claims.values():
            for side, label, judgement in zip(self.sides, self.labels, judgements, strict=True):
                if judgement:
                    minutes = side.summary.minutes
                    lines.append(ClaimLine(len(lines) + 1, side.study, judgement, minutes, "", label))
        return lines


def flattened(tree: Tree, prefix: str = "") -> dict[str, str]:
    """Returns a tree of settings as dotted key -> value as text, without values that are None or empty."""
    values: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            values |= flattened(value, f"{prefix}{key}.")
        elif value not in (None, [], ""):
            values[f"{prefix}{key}"] = _setting_text(value)
    return values


def _setting_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_setting_text, value))
    return value if isinstance(value, str) else json.dumps(value)
