"""FINDINGS.md agrees with the published results and with the catalog.

The archives in reports/published hold every verdict, effect, interval and number of seeds and runs. Titles, questions
and texts of claims come from the catalog, because the archives keep the wording of the day on which they were written.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from studies.declared.catalog import STUDIES
from studies.declared.loading import read_study_file
from studies.declared.study import Study
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.ledger.archive import unpack
from studies.ledger.declared_study import cells_of, find_study
from studies.ledger.scores import scores_for

ROOT = Path(__file__).parent.parent
FINDINGS = (ROOT / "FINDINGS.md").read_text(encoding="utf-8")
PUBLISHED = sorted((ROOT / "reports" / "published").glob("*.tar.xz"))
VERDICTS = ("supported", "contradicted", "inconclusive", "not tested")
SECTION = re.compile(r"^### ([a-z0-9-]+): (.*?)\n\n\*(.*?)\*$(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
RUNS = re.compile(r"^`lab study run ([a-z0-9-]+)` trained (\d+) runs in ", re.MULTILINE)
ROW = re.compile(rf"^\| (.+?) \| ({'|'.join(VERDICTS)}) \| (.+?) \| (.+?) \| (\d+(?: of \d+)?) \|$", re.MULTILINE)
TOTAL = re.compile(r"(\d+) claims: (\d+) supported, (\d+) contradicted, (\d+) inconclusive, (\d+) not tested")

Row = tuple[str, str, str, str, str]
"""Claim, verdict, effect, interval and number of seeds, as FINDINGS.md prints them."""


def printed_rows() -> dict[str, list[Row]]:
    """Returns study -> the rows of its table in FINDINGS.md."""
    return {name: ROW.findall(body) for name, _, _, body in SECTION.findall(FINDINGS)}


def published_rows(study: Study, home: Path) -> list[Row]:
    """Returns the rows of a study: the results of its archive, and the catalog's text of each claim."""
    texts = {claim.name: claim.text for claim in read_study_file(STUDIES.path(study.name)).claims}
    judgements = judge(study, scores_for(study, cells_of(home, study)))
    return [(texts[item.claim.name], *result(item), seeds(item, study.seeds)) for item in judgements]


def result(judgement: Judgement) -> tuple[str, str, str]:
    """Returns the verdict, the effect and the interval."""
    contrast = judgement.contrast
    if contrast is None:
        return "not tested", "–", "–"
    return judgement.verdict, f"{contrast.difference:+.3g}", f"{contrast.low:+.3g} to {contrast.high:+.3g}"


def seeds(judgement: Judgement, planned: int) -> str:
    """Returns the number of seeds that have the metric in every arm, and the planned number if that is larger."""
    scored = len(judgement.by_seed)
    return str(planned) if scored == planned else f"{scored} of {planned}"


def test_every_published_study_has_a_section_and_no_other_study_has_one() -> None:
    names = [path.name.removesuffix("-cpu.tar.xz") for path in PUBLISHED]
    assert len(names) >= 12
    assert sorted(printed_rows()) == sorted(names)


def test_titles_and_questions_are_those_of_the_catalog() -> None:
    printed = {name: (title, question) for name, title, question, _ in SECTION.findall(FINDINGS)}
    declared = {name: read_study_file(STUDIES.path(name)) for name in printed}
    assert printed == {name: (study.title, study.question) for name, study in declared.items()}


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_the_table_and_the_runs_of_a_study_equal_its_results(path: Path, tmp_path: Path) -> None:
    name, scale, _ = unpack(path, tmp_path)
    study = find_study(tmp_path, name, scale)
    assert printed_rows()[name] == published_rows(study, tmp_path)
    assert dict(RUNS.findall(FINDINGS))[name] == str(sum(len(cell.runs) for cell in cells_of(tmp_path, study)))


def test_the_totals_are_those_of_the_tables() -> None:
    verdicts = Counter(verdict for rows in printed_rows().values() for _, verdict, *_ in rows)
    counts = [verdicts[name] for name in VERDICTS]
    assert [tuple(map(int, match)) for match in TOTAL.findall(FINDINGS)] == [(sum(counts), *counts)]
