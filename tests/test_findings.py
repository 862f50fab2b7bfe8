"""FINDINGS.md agrees with the published results: every verdict, effect, interval, number of seeds and total."""

import re
from collections import Counter
from pathlib import Path

import pytest

from studies.declared.study import Study
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.ledger.archive import unpack
from studies.ledger.declared_study import find_study
from studies.ledger.scores import scores_for
from tests.studies.conftest import cells_of

ROOT = Path(__file__).parent.parent
FINDINGS = (ROOT / "FINDINGS.md").read_text(encoding="utf-8")
PUBLISHED = sorted((ROOT / "reports" / "published").glob("*.tar.xz"))
SECTION = re.compile(r"^### ([a-z0-9-]+): .*?$(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| (.+?) \| (supported|contradicted|inconclusive) \| (.+?) \| (.+?) \| (\d+) \|$", re.MULTILINE)
TOTAL = re.compile(r"(\d+) claims: (\d+) supported, (\d+) contradicted, (\d+) inconclusive, (\d+) not tested")

Row = tuple[str, str, str, str, int]
"""Claim, verdict, effect, interval and number of seeds, as FINDINGS.md prints them."""


def printed_rows() -> dict[str, list[Row]]:
    """Returns the rows of each study's table."""
    return {
        name: [
            (claim, verdict, effect, interval, int(seeds))
            for claim, verdict, effect, interval, seeds in ROW.findall(body)
        ]
        for name, body in SECTION.findall(FINDINGS)
    }


def effect_and_interval(judgement: Judgement) -> tuple[str, str]:
    contrast = judgement.contrast
    if contrast is None:
        return "not tested", "–"
    return f"{contrast.difference:+.3g}", f"{contrast.low:+.3g} to {contrast.high:+.3g}"


def judged_rows(study: Study, home: Path) -> list[Row]:
    """Returns the rows that the published results of a study give."""
    judgements = judge(study, scores_for(study, cells_of(home, study)))
    return [(item.claim.text, item.verdict, *effect_and_interval(item), study.seeds) for item in judgements]


def test_every_published_study_has_a_section_and_no_other_study_has_one() -> None:
    names = [path.name.removesuffix("-cpu.tar.xz") for path in PUBLISHED]
    assert len(names) >= 12
    assert sorted(printed_rows()) == sorted(names)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_the_table_of_a_study_equals_its_results(path: Path, tmp_path: Path) -> None:
    name, scale, _ = unpack(path, tmp_path)
    assert printed_rows()[name] == judged_rows(find_study(tmp_path, name, scale), tmp_path)


def test_the_totals_are_those_of_the_tables() -> None:
    verdicts = Counter(
        "not tested" if effect == "not tested" else verdict
        for rows in printed_rows().values()
        for _, verdict, effect, _, _ in rows
    )
    counts = [verdicts[name] for name in ("supported", "contradicted", "inconclusive", "not tested")]
    assert [tuple(map(int, match)) for match in TOTAL.findall(FINDINGS)] == [(sum(counts), *counts)]
