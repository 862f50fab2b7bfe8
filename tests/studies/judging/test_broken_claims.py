"""A kind of claim of another package that breaks costs its own claims their test; every other claim is judged.

The lab's own difference stands in for such a kind: an installed package provides it in place of the lab.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators.foundation.errors import UserError
from generators.foundation.settings import validate
from studies.declared.checks.claims import usable_claims
from studies.declared.claims.claim import Claim
from studies.declared.claims.comparison import Comparison
from studies.declared.claims.difference import Difference
from studies.declared.claims.table import CLAIMS, claim_from
from studies.declared.loading import declare
from studies.declared.study import Study
from studies.declared.study_file import StudyDeclaration
from studies.judging.judge import judge
from studies.judging.judgement import Judgement, sentence
from studies.ledger.folder import StudyFolder
from studies.statistics.effects import WeightedMeans
from tests.conftest import Lab
from tests.fake_package import Install
from tests.small_study import write_small_study
from tests.stub_training import stub_attempt

SUBJECT = "kind of claim difference of outside_difference 1.2 failed with "


class BrokenMeans(WeightedMeans):
    """An effect that works on no scores."""

    def __init__(self, broken: str) -> None:
        super().__init__()
        object.__setattr__(self, broken, lambda *arguments: {}["absent"])


def compared(labels: tuple[Any, ...], effect: Any) -> Callable[..., Comparison]:
    """Returns a method that compares cells, of which the first have these labels, by an effect."""

    def method(self: Claim, study: Study) -> Comparison:
        cells = [cell.label for cell in study.cells]
        return Comparison.of_cells([*labels, *cells[: 2 - len(labels)]], effect, (cells[0], cells[1]))

    return method


def absent(*arguments: Any) -> Any:
    raise KeyError("absent")


BROKEN: dict[str, tuple[str, Callable[..., Any], str]] = {
    "compared raises": ("compared", absent, "KeyError: 'absent' (test_broken_claims.py, line "),
    "compared exits": ("compared", lambda self, study: exit(3), "SystemExit: 3"),
    "comparison is replaced": ("comparison", lambda self, study: None, "TypeError: compared() gives None, which is no Comparison"),
    "another cell": ("compared", compared(("n=9",), WeightedMeans()), "TypeError: compared() gives 'n=9', which is no cell of the study"),
    "no effect": ("compared", compared((), "gain"), "TypeError: compared() gives the effect 'gain', which is no Effect"),
    "no arms": ("compared", lambda self, study: Comparison((), WeightedMeans(), ("a", "b")), "TypeError: compared() gives no arms"),
    "weights of three arms": ("compared", compared((), WeightedMeans((1, 0, -1))), "ValueError: "),
    "evidence": ("compared", compared((), BrokenMeans("evidence")), "KeyError: 'absent'"),
    "effects by seed": ("compared", compared((), BrokenMeans("by_seed")), "KeyError: 'absent'"),
    "leaders": ("compared", compared((), BrokenMeans("leaders")), "KeyError: 'absent'"),
    "p_values raises": ("p_values", absent, "KeyError: 'absent'"),
    "p_values is None": ("p_values", lambda *arguments: None, "TypeError: "),
    "p_values is nan": ("p_values", lambda *arguments: (np.nan, 0.5), "TypeError: p_values() gives nan and 0.5, which are not two p values"),
    "p_values is negative": ("p_values", lambda *arguments: (0.5, -1.0), "TypeError: p_values() gives 0.5 and -1, which are not two p values"),
    "effect_text is None": ("effect_text", lambda *arguments: None, "TypeError: effect_text() and margin_text() give (None, ''), which are not two texts"),
    "margin_text raises": ("margin_text", absent, "KeyError: 'absent'"),
}  # fmt: skip


@pytest.fixture
def foreign(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes another package the provider of the kind `difference`."""
    points = "[mtp_lab.claims]\ndifference = studies.declared.claims.difference:Difference"
    install("outside_difference", points, "")
    monkeypatch.setattr(CLAIMS, "rows", {name: row for name, row in CLAIMS.rows.items() if name != "difference"})


def scores(study: Study) -> dict[str, dict[int, float]]:
    """Returns scores at which both claims of the small study are supported."""
    gains = {"width=8 n=1": 0.0, "width=8 n=2": 0.5, "width=16 n=1": 0.2, "width=16 n=2": 0.2}
    return {cell.label: {seed: gains[cell.label] + 0.01 * seed for seed in range(study.seeds)} for cell in study.cells}


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("case", BROKEN)
def test_a_claim_whose_kind_breaks_is_not_tested_and_says_why_and_the_other_is_judged(
    case: str, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, replacement, reason = BROKEN[case]
    before, (_, expected) = scores(small), judge(small, scores(small))
    monkeypatch.setattr(Difference, method, replacement)
    helps, same = judge(small, before)
    assert helps.failure.startswith(SUBJECT + reason)
    assert (helps.contrast, helps.p, helps.verdict, helps.reason) == (None, None, "inconclusive", helps.failure)
    assert sentence(helps) == f"NOT TESTED: {helps.claim.text} ({helps.failure})"
    assert helps.record().reason == helps.failure
    assert (same.verdict, same.p, same.p_corrected) == (expected.verdict, expected.p, expected.p_corrected)


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("case", BROKEN)
def test_before_any_run_a_claim_that_will_not_be_tested_is_named(
    case: str, small: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    method, replacement, reason = BROKEN[case]
    monkeypatch.setattr(Difference, method, replacement)
    assert [claim.name for claim in usable_claims(small)] == ["same"]
    assert f"{small.source}: claims.helps will not be tested: {SUBJECT}{reason}" in capsys.readouterr().err


@pytest.mark.usefixtures("foreign")
def test_what_a_kind_refuses_itself_stays_an_error_of_the_study_file(
    small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Difference, "compared", lambda self, study: self.refuse(study, "treatment", "is too high"))
    with pytest.raises(UserError, match=r"small.toml: claims.helps.treatment: is too high"):
        declare(small.source, "cpu", [])
    assert judge(small, scores(small))[0].reason == f"{small.source}: claims.helps.treatment: is too high"


def test_a_kind_of_the_lab_that_breaks_is_a_bug_and_raises(small: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Difference, "p_values", absent)
    with pytest.raises(KeyError):
        judge(small, scores(small))


def inconclusive(study: Study) -> Judgement:
    noise = {seed: 0.1 * (seed % 3) for seed in range(study.seeds)}
    by_cell = {cell.label: {seed: value + 0.02 * index for seed, value in noise.items()} for index, cell in enumerate(study.cells)}  # fmt: skip
    return judge(study, by_cell)[0]


@pytest.mark.usefixtures("foreign")
def test_a_kind_that_breaks_on_simulated_studies_alone_has_a_verdict_without_an_outlook(
    small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Difference.p_values
    assert inconclusive(small).seeds_needed_text

    def p_values(self: Difference, above: Any, below: Any) -> Any:
        assert np.ndim(above(0.0)) == 0, "one number"
        return own(self, above, below)

    monkeypatch.setattr(Difference, "p_values", p_values)
    judgement = inconclusive(small)
    assert (judgement.verdict, judgement.failure, judgement.seeds_needed) == ("inconclusive", "", None)
    outlook = "the seeds that would decide it cannot be estimated: " + SUBJECT + "AssertionError: one number"
    assert judgement.seeds_needed_text.startswith(outlook)
    assert judgement.record().outlook.startswith(outlook)


@pytest.mark.usefixtures("foreign")
def test_a_claim_that_cannot_be_stored_is_refused_before_any_run(small: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Difference, "model_dump_json", lambda self: absent())
    with pytest.raises(RuntimeError, match=SUBJECT + "KeyError: 'absent'"):
        declare(small.source, "cpu", [])
    monkeypatch.setattr(Difference, "model_dump_json", lambda self: json.dumps({**self.model_dump(), "treatment": 1}))
    with pytest.raises(RuntimeError, match=r"claims\.helps changes when it is stored and read again"):
        declare(small.source, "cpu", [])


@pytest.mark.usefixtures("foreign")
def test_a_validator_that_breaks_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Difference, "model_validate_json", absent)
    with pytest.raises(ValueError, match=rf"^{SUBJECT}KeyError: 'absent' \("):
        claim_from({"kind": "difference"})


KINDS = {
    'kind: Literal["mine"]\n    levels: "Absent"': "cannot be imported (PydanticUndefinedAnnotation: ",
    'effect_name = 3\n    kind: Literal["mine"]': "has effect_name = 3, which should be a valid string",
    'kind: Literal["mine", "yours"]': 'should have kind: Literal["mine"] in Mine',
}
MODULE = """
from typing import Literal
from studies import Claim

class Mine(Claim):
    {body}
    def compared(self, study): ...
"""


@pytest.mark.parametrize("body", KINDS)
def test_a_kind_whose_class_is_no_kind_of_claim_is_left_out(body: str, install: Install) -> None:
    name = f"outside_kind_{list(KINDS).index(body)}"
    install(name, f"[mtp_lab.claims]\nmine = {name}:Mine", MODULE.format(body=body))
    classes, left_out = CLAIMS.usable()
    assert list(classes) == list(CLAIMS.rows)
    assert f"kind of claim mine of {name} is left out: entry point {name}:Mine of {name} {KINDS[body]}" in left_out[0]


@pytest.mark.usefixtures("foreign")
def test_the_command_judges_the_other_claims_stores_every_verdict_and_exits_with_1(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studies.running.executors.here.attempt", stub_attempt)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)

    def no_p(*arguments: object) -> None:
        raise KeyError("no p")

    monkeypatch.setattr(Difference, "p_values", no_p)
    done = lab("study", "run", write_small_study(tmp_path), "--executor", "here", "--home", tmp_path, "--json")
    assert done.returncode == 1
    helps, same = json.loads(done.stdout)["verdicts"]
    assert f"small.toml: claims.helps will not be tested: {SUBJECT}KeyError: 'no p'" in done.stderr
    assert f"claim helps is not tested: {SUBJECT}KeyError: 'no p'" in done.stderr
    assert helps["reason"].startswith(f"{SUBJECT}KeyError: 'no p'")
    assert (helps["p"], same["p"] is None) == (None, False)
    assert done.stderr.splitlines()[-1].startswith(f"lab: 1 claim failed: helps: {SUBJECT}KeyError")
    stored = StudyFolder(tmp_path, "small", "cpu").read_verdicts()
    assert stored is not None
    assert [verdict.claim for verdict in stored.verdicts] == ["helps", "same"]
    claims = lab("claims", "small", "--home", tmp_path)
    assert claims.returncode == 1
    assert "NOT TESTED: Two are better than one." in claims.stdout
    assert "no different from one. (difference " in claims.stdout
    assert claims.stderr.splitlines()[-1] == "lab: not tested, because its kind failed: small.helps"


EVERYTHING = """
from typing import Literal
import reports
from studies import Claim, Comparison, InProcess, WeightedMeans, attempt, judge

class Mine(Claim):
    kind: Literal["mine"]
    levels: list[int]
    def compared(self, study):
        labels = [self.label(study, {self.factor: level}) for level in self.levels]
        return Comparison.of_cells(labels, WeightedMeans((0.5, 0.5)), (labels[0], labels[-1]))

class Drawn(reports.StudyExhibit):
    section = "cost"
    def table(self): ...

class Running(InProcess): ...
"""


def test_one_module_may_bring_parts_of_several_kinds_and_import_anything(
    install: Install, tmp_path: Path, small: Study
) -> None:
    points = "[mtp_lab.claims]\nmine = outside_all:Mine\n[mtp_lab.exhibits]\ndrawn = outside_all:Drawn\n[mtp_lab.executors]\nrunning = outside_all:Running"
    install("outside_all", points, EVERYTHING)
    change = (
        'kind = "difference"\nfactor = "objective.n"\ntreatment = 2\ncontrol = 1',
        'kind = "mine"\nfactor = "objective.n"\nlevels = [2, 1]',
    )
    study = declare(str(write_small_study(tmp_path, change, name="mine")), "cpu", [])
    stored = study.declaration.model_dump(mode="json")
    assert stored["claims"][0]["levels"] == [2, 1]
    assert validate(StudyDeclaration, stored, "the stored study") == study.declaration
    assert [judgement.failure for judgement in judge(study, scores(study))] == ["", ""]
