"""Writes FINDINGS.md from its template and the published archives."""

from collections import Counter
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.findings.matrix import PublishedMatrix
from benchmarks.findings.numbers import SECONDS_PER_MINUTE, StudyNumbers
from generators.foundation.errors import UserError
from studies.judging.controls import controls_in, controls_text
from studies.ledger.archive import unpack

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "reports" / "published"
LOG = ROOT / "LOG.md"
TEMPLATE = "findings.md.jinja"
VERDICTS = ("supported", "contradicted", "negligible", "inconclusive", "not tested")


class Published:
    """The published studies, as the template reads them.

    Args:
        home: a folder to unpack the archives in.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.names = [unpack(path, home)[0] for path in sorted(PUBLISHED.glob("*.tar.xz"))]
        self.controls = [unpack(path, home)[0] for path in sorted((PUBLISHED / "controls").glob("*.tar.xz"))]
        self.study = cache(self._study)

    def _study(self, name: str) -> StudyNumbers:
        if name not in (*self.names, *self.controls):
            raise UserError(f"{PUBLISHED}: no archive of {name}, which {TEMPLATE} names; git checkout restores it")
        return StudyNumbers(name, self.home)

    @property
    def totals(self) -> str:
        """The number of claims of the published studies by verdict; controls are left out."""
        claims = [claim for name in self.names for claim in self.study(name).claims.values()]
        counts = Counter(claim.verdict for claim in claims)
        return f"{len(claims)} claims: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)

    @property
    def controls_seen(self) -> str:
        """How many of the published controls have the verdicts that they should have, in a sentence."""
        return controls_text(controls_in(self.home))

    @cached_property
    def matrix(self) -> PublishedMatrix:
        """The published runs of the matrix."""
        return PublishedMatrix(self.home / "matrix")

    @property
    def undecided(self) -> str:
        """The rows of a table of the claims that are inconclusive, with the effects and seeds that limit them."""
        rows = [
            f"| {study.texts[name]} | {study.name} | {claim.summary} | {claim.resolution} | {claim.seeds} "
            f"| {claim.seeds_needed} |"
            for study in map(self.study, self.names)
            for name, claim in study.claims.items()
            if claim.verdict == "inconclusive"
        ]
        return "\n".join(rows)

    @property
    def costs(self) -> str:
        """The rows of a table of what every study and row of the matrix cost; a shared run counts once in a sum."""
        groups = {name: [name] for name in self.names}
        groups |= {"these studies": self.names, "the controls": self.controls}
        rows = []
        for title, names in groups.items():
            members = [self.study(name) for name in names]
            costs = pd.concat([study.costs for study in members])
            rows.append(_cost_row(title, costs, str(sum(study.runs_at_most for study in members))))
        matrix = self.matrix.costs
        for name, title in self.matrix.objectives.items():
            rows.append(_cost_row(f"matrix, {title}", matrix[matrix.objective == name], "–"))
        return "\n".join([*rows, _cost_row("the matrix", matrix, "–")])


def _cost_row(title: str, costs: pd.DataFrame, at_most: str) -> str:
    """Returns the number of runs and that at most, their core-minutes, and the share of their steps that was taken."""
    costs = costs[~costs.index.duplicated()]
    minutes, steps = costs.seconds.sum() / SECONDS_PER_MINUTE, costs.steps.sum() / costs.whole.sum()
    return f"| {title} | {len(costs)} | {at_most} | {minutes:z.1f} | {steps:z.0%} |"


def logged(text: str) -> str:
    """Returns a number that LOG.md has, word for word.

    Raises:
        ValueError: it does not.
    """
    if text not in LOG.read_text(encoding="utf-8"):
        raise ValueError(f"LOG.md does not contain {text!r}")
    return text


def cited(text: str) -> str:
    """Returns numbers of a publication; the text around them names it."""
    return text


def page_of(published: Published) -> str:
    """Returns the page that the template makes of published studies."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    values = {"published": published, "study": published.study, "logged": logged, "cited": cited}
    return environment.get_template(TEMPLATE).render(values)


def findings() -> str:
    """Returns the page of the archives in reports/published."""
    with TemporaryDirectory() as folder:
        return page_of(Published(Path(folder)))
