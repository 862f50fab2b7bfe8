"""FINDINGS.md says what the published results say: every verdict, effect, interval and number of seeds."""

import re
from pathlib import Path

import pytest

from studies.declared.study import Study
from studies.judging.judge import Judgement, judge
from studies.ledger.archive import unpack
from studies.ledger.declared_study import find_study
from studies.ledger.scores import scores_for
from tests.studies.conftest import cells_of

ROOT = Path(__file__).parent.parent
PUBLISHED = sorted((ROOT / "reports" / "published").glob("*.tar.xz"))
SECTION = re.compile(r"^### ([a-z0-9-]+): .*?$(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| (.+?) \| (supported|contradicted|inconclusive) \| (.+?) \| (.+?) \| (\d+) \|$", re.MULTILINE)


def shown(judgement: Judgement) -> tuple[str, str]:
    """Effect and interval, as FINDINGS.md has them."""
    found = judgement.contrast
    if found is None:
        return "not tested", "–"
    return f"{found.difference:+.3g}", f"{found.low:+.3g} to {found.high:+.3g}"


def told() -> dict[str, list[tuple[str, str, str, str, int]]]:
    """The rows of each study's section."""
    text = (ROOT / "FINDINGS.md").read_text(encoding="utf-8")
    return {
        name: [
            (claim, verdict, effect, interval, int(seeds))
            for claim, verdict, effect, interval, seeds in ROW.findall(body)
        ]
        for name, body in SECTION.findall(text)
    }


def found(study: Study, home: Path) -> list[tuple[str, str, str, str, int]]:
    judgements = judge(study, scores_for(study, cells_of(home, study)))
    return [(one.claim.text, one.verdict, *shown(one), study.seeds) for one in judgements]


def test_at_least_twelve_studies_are_told() -> None:
    names = [path.name.removesuffix("-cpu.tar.xz") for path in PUBLISHED]
    assert len(names) >= 12
    assert sorted(told()) == sorted(names)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_what_is_told_of_a_study_is_what_its_results_say(path: Path, tmp_path: Path) -> None:
    name, scale, _ = unpack(path, tmp_path)
    assert told()[name] == found(find_study(tmp_path, name, scale), tmp_path)
