"""FINDINGS.md and README.md agree with the published archives, no number of their text is by hand, and these are whole."""

import re
from pathlib import Path

import pytest

from benchmarks.findings.page import PUBLISHED, TEMPLATE, Published, cited, logged, page_of
from generators.foundation.errors import UserError
from studies.judging.judgement import sentence
from studies.ledger.folder import StudyFolder

ROOT = Path(__file__).parent.parent
FINDINGS = (ROOT / "FINDINGS.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCE = (ROOT / "benchmarks" / "findings" / TEMPLATE).read_text(encoding="utf-8")

NO_TEXT = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|`[^`]*`|\]\([^)]*\)|^    [^\n]*$", re.DOTALL | re.MULTILINE)
"""Expressions, code and the targets of links."""
NAMES = re.compile(
    r"""\b[nk]\ =\ \d+(?:,\ \d+)*(?:\ and\ \d+)?      # n = 1, 2 and 4
    |G\(\d,\ ?\d\)|n\(n\+1\)/2
    |\b\d+[kMB]\b                                     # sizes of models
    |[Ss]ection\ \d(?:\.\d)*|[Ff]igures?\ S?\d+(?:,\ S?\d+)*(?:\ and\ S?\d+)?|table\ S\d
    |fractions\ of\ 1|accuracy\ of\ 0\.9(?:5)?\ or\ more|pass@1|95%\ interval|80%\ power|GPT-2|arXiv\ \d{4}\.\d{5}""",
    re.VERBOSE,
)
"""Digits that name something or are a definition, and that no archive could change."""


def numbers_by_hand(source: str) -> list[str]:
    """Returns the lines of a template whose text has digits that are no names."""
    with_texts_of_rows = re.sub(r'\{\{ row\("([^"]*)".*?\}\}', r"\1", source)
    return re.findall(r".*\d.*", NAMES.sub("", NO_TEXT.sub("", with_texts_of_rows)))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)  # ten thousand files, which no power cut has to spare
        return Published(tmp_path_factory.mktemp("published"))


def test_the_page_is_the_template_with_the_numbers_of_the_archives(published: Published) -> None:
    assert page_of(published) == FINDINGS, "make findings writes the page anew"


def test_a_study_without_an_archive_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.findings.page.PUBLISHED", tmp_path)
    with pytest.raises(UserError, match=rf"^{re.escape(str(tmp_path))}: no archive of star-quick, which findings\.md"):
        page_of(Published(tmp_path / "home"))


def test_every_published_study_has_a_section_and_no_other_study_has_one(published: Published) -> None:
    sections = re.findall(r"^### ([a-z0-9-]+):", FINDINGS, re.MULTILINE)
    assert len(published.names) >= 12
    assert sorted(sections) == sorted(published.names)


def test_no_number_of_the_text_is_written_by_hand() -> None:
    assert numbers_by_hand(SOURCE) == []
    planted = SOURCE.replace("single prompts faster with", "single prompts 1.9 times faster with", 1)
    planted = planted.replace("## What was not run", "## What was not run\n\nAbout 12 studies were not run.", 1)
    assert len(numbers_by_hand(planted)) == 2


def test_a_number_that_the_log_does_not_have_is_refused() -> None:
    assert logged("922") == cited("922")
    with pytest.raises(ValueError, match=r"LOG\.md does not contain '922\.5'"):
        logged("922.5")


def test_the_verdicts_in_the_readme_are_those_of_the_archive(published: Published) -> None:
    star = published.study("star-quick").loaded
    lines = ["star-quick, scale cpu", f"  {star.study.untuned}"]
    lines += [f"  {sentence(judgement)}" for judgement in star.judgements]
    block = re.search(r"```\n(star-quick, scale cpu\n.*?)```", README, re.DOTALL)
    assert block is not None
    assert block[1].splitlines() == lines


def test_what_the_readme_says_of_the_demo_is_in_the_archive(published: Published) -> None:
    star = published.study("star-quick")
    heads, next_token = star.arm("objective=two_heads"), star.arm("objective=next_token")
    assert heads.solved == "6 of 6"
    assert next_token.solved == "0 of 6"
    assert "All six runs with two heads do so within 2,000 steps,\nand none of the six with next-token" in README
    assert heads.values("measure/steps_to_solve").max() <= 2000
    assert f"their best ends at {100 * float(next_token.highest('last/validation/exact', 2)):.0f}%" in README


def test_what_the_readme_says_was_found_is_in_the_archives(published: Published) -> None:
    for study, claim in (("star-quick", "heads_solve_it"), ("suffix-depth", "heads_climb")):
        assert published.study(study).claim(claim).verdict == "supported"
    arithmetic = published.study("polynomial-longer").claim("two_out_of_domain")
    assert arithmetic.verdict == "supported"
    assert (
        f"({arithmetic.effect} of\nthe answers, {arithmetic.interval}, and less at two lower learning rates)" in README
    )
    rates = published.study("polynomial-rates")
    for lower in (rates.claim("at_the_lowest"), rates.claim("at_the_middle")):
        assert lower.verdict == "supported"
        assert float(lower.effect) < float(arithmetic.effect)
    assert published.study("induction-delayed").claim("next_token_is_sooner").verdict == "supported"
    loss = published.study("best-n-bytes").claim("above_one").judgement.contrast
    assert loss is not None
    assert f"four bytes cost {-loss.difference:.3f} nats of the next-byte loss" in README


def test_the_picture_of_the_readme_has_the_seeds_objectives_and_tasks_of_the_runs(published: Published) -> None:
    matrix = published.matrix
    words = {7: "seven", 8: "eight", 11: "eleven"}
    counts = [words[count] for count in (matrix.seeds, len(matrix.tasks), len(matrix.objectives))]
    assert "how many of {} runs solve each of {} tasks with each of {} objectives".format(*counts) in README
    best = {
        task: max(matrix.objectives, key=lambda name: matrix.squares[name, task].solved.sum()) for task in matrix.tasks
    }
    assert best["star"] == "two-heads"
    assert matrix.squares["four-heads", "star"].sign == "▲"
    assert matrix.squares["future-summary", "suffix-5"].sign == "▲"


def test_the_rate_of_an_untuned_run_is_the_one_that_it_had(published: Published) -> None:
    rates = {name: published.matrix.squares["joint", name].arm.rate for name in ("star", "suffix-4", "satisfiability")}
    assert rates == {"star": "0.0080", "suffix-4": "0.0080", "satisfiability": "0.0040"}


def test_all_archives_were_read(published: Published) -> None:
    assert len(published.names) == len(list(PUBLISHED.glob("*.tar.xz")))
    assert len(published.controls) == 7


def test_every_published_study_is_read_and_written_to_the_same_bytes(published: Published) -> None:
    for name in (*published.names, *published.controls):
        folder = StudyFolder(published.home, name, "cpu")
        before = {path: path.read_bytes() for path in folder.path.glob("*.json")}
        assert {path.name for path in before} == {"study.json", "ledger.json", "verdicts.json", "looks.json"}, name
        verdicts = folder.read_verdicts()
        assert verdicts is not None
        folder.write_study(folder.read_study())
        folder.write_ledger(folder.read_ledger())
        folder.write_verdicts(verdicts)
        folder.write_looks(folder.read_looks())
        assert {path: path.read_bytes() for path in before} == before


def test_nothing_published_contains_a_path_of_the_machine_it_ran_on(published: Published) -> None:
    for path in published.home.rglob("*.json"):
        if not path.name.startswith("analysis-samples"):  # samples quote their corpus
            assert '"/' not in path.read_text(), path.name
