"""An analysis of another package that breaks is one sentence that names it, with exit code 1."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from generators.foundation.errors import UserError
from generators.foundation.outside import PartFailed
from lab.analysis.measure_store import result_path
from lab.analysis.table import ANALYSES, analyse
from lab.run.stored_run import StoredRun
from lab.run.training import train
from studies.declared.measures import Measure
from studies.running.executors.attempt import attempt
from studies.running.executors.executor import RunRequest
from tests.conftest import Lab, Spec
from tests.fake_package import Install

MODULE = """
import numpy as np
from generators.foundation.errors import UserError
from lab import Analysis, AnalysisResult, MeasureInfo

class Mine(Analysis):
    name = "{name}"
    summary = "counts"
    measures = {{"count": MeasureInfo("less")}}
    {body}

    def count(self, value, rows=(), lines=()):
        return AnalysisResult(self.name, list(rows), {{"count": value}}, list(lines))
"""
GOOD = "def analyse(self, run): return self.count(1.5)"
BODIES = {
    "def analyse(self, run): return 1 / 0": "ZeroDivisionError: division by zero ({name}.py, line 10)",
    "def analyse(self, run): raise SystemExit(0)": "SystemExit: 0 ({name}.py, line 10)",
    "def __init__(self): self.network\n    def analyse(self, run): ...": "AttributeError: 'Mine' object has no attribute 'network' ({name}.py, line 10)",
    "def analyse(self, run): return None": "TypeError: analyse() gives None, which is no AnalysisResult",
    "def analyse(self, run): return AnalysisResult('items', [], {{}}, [])": "TypeError: analyse() gives the result of the analysis 'items'",
    "def analyse(self, run): return self.count(float('nan'))": "TypeError: analyse() gives the measure 'count' = nan; should be a finite number",
    "def analyse(self, run): return self.count(np.float32(1))": "TypeError: analyse() gives the measure 'count' = ",
    "def analyse(self, run): return self.count('1')": "TypeError: analyse() gives the measure 'count' = '1'; should be a finite number",
    "def analyse(self, run): return self.count(1, [3])": "TypeError: analyse() gives the rows [3]; should be a list of dictionaries",
    "def analyse(self, run): return self.count(1, [{{}}, {{'a': [1]}}])": "TypeError: analyse() gives row 2 with 'a' = [1]; should be a text, a finite number or None",
    "def analyse(self, run): return self.count(1, lines=[None])": "TypeError: analyse() gives the lines [None]; should be a list of texts",
}


def add(install: Install, package: str, body: str, name: str = "mine") -> None:
    code = MODULE.format(name=name, body=body.replace("{{", "{").replace("}}", "}"))
    install(package, f"[mtp_lab.analyses]\n{name} = {package}:Mine", code)


@pytest.mark.parametrize("body", BODIES)
def test_an_analysis_that_breaks_or_returns_no_result_is_named(body: str, install: Install) -> None:
    package = f"outside_analysis_{list(BODIES).index(body)}"
    add(install, package, body)
    run = cast(StoredRun, SimpleNamespace(folder=SimpleNamespace(identity="0123")))
    with pytest.raises(PartFailed) as raised:
        analyse("mine", run)
    assert str(raised.value).startswith(
        f"analysis mine of {package} 1.2 failed with {BODIES[body].format(name=package)}"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Mine", "has the name 'Mine'; should be lower-case letters, digits, - and _"),
        ("a/b", "has the name 'a/b'; should be lower-case letters, digits, - and _"),
        ("induction_heads", "has the name 'induction_heads', which a metric cannot tell from that of the analysis induction-heads"),
    ],
)  # fmt: skip
def test_a_name_that_files_or_metrics_cannot_have_is_refused(name: str, reason: str, install: Install) -> None:
    package = f"outside_named_{len(reason)}"
    add(install, package, GOOD, name)
    with pytest.raises(UserError) as raised:
        ANALYSES.find(name, "")
    assert f"of {package} {reason}" in str(raised.value)


def test_digits_and_hyphens_in_a_name_are_those_of_a_metric(install: Install) -> None:
    add(install, "outside_digits", GOOD, "top-5")
    measure = Measure("analysis/top_5/count", None)
    assert (measure.analysis, measure.analysis_measure, measure.better) == ("top-5", "count", "less")


@pytest.fixture(scope="module")
def home(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a home with one run."""
    home = tmp_path_factory.mktemp("home")
    train(tiny(), home)
    return home


def test_the_command_exits_with_1_and_one_sentence(home: Path, install: Install, lab: Lab) -> None:
    (run,) = (home / "runs").iterdir()
    add(install, "outside_command", "def analyse(self, run):\n        print('so far')\n        return 1 / 0")
    done = lab("analyse", run.name, "mine", "--home", home, "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    reason = "ZeroDivisionError: division by zero (outside_command.py, line 12)"
    assert done.stderr == f"so far\nlab: analysis mine of outside_command 1.2 failed with {reason}\n"


def test_what_the_run_lacks_stays_wrong_input(home: Path, install: Install, lab: Lab) -> None:
    (run,) = (home / "runs").iterdir()
    add(install, "outside_needy", "def analyse(self, run): raise UserError('the run has one head; give one with more')")
    done = lab("analyse", run.name, "mine", "--home", home)
    assert (done.returncode, done.stderr) == (2, "lab: the run has one head; give one with more\n")


FIGURE = """
from reports import AnalysisExhibit

class Drawn(AnalysisExhibit):
    section = "mine"
    def figures(self): {body}
"""
SHEET = 'return [\'<svg viewBox="0 0 4 3" xmlns="http://www.w3.org/2000/svg"></svg>\']'


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        (SHEET, 0, ""),
        ("return 1 / 0", 1, "failed with ZeroDivisionError: division by zero"),
        ("return ['<svg/>']", 1, "failed with TypeError: figures() gives '<svg/>', which has no viewBox"),
    ],
)
def test_the_answer_is_given_where_the_figure_cannot_be_drawn(
    body: str, code: int, reason: str, home: Path, install: Install, lab: Lab, tmp_path: Path
) -> None:
    (run,) = (home / "runs").iterdir()
    package = f"outside_figure_{len(body)}"
    points = f"[mtp_lab.analyses]\nmine = {package}:Mine\n[mtp_lab.exhibits]\ndrawn = {package}:Drawn"
    install(package, points, MODULE.format(name="mine", body=GOOD) + FIGURE.format(body=body))
    done = lab("analyse", run.name, "mine", "--home", home, "--figure", tmp_path / "figure.svg", "--json")
    assert done.returncode == code
    assert json.loads(done.stdout)["measures"] == {"count": 1.5}
    assert (tmp_path / "figure.svg").exists() == (code == 0)
    if reason:
        first, last = done.stderr.splitlines()
        assert first.startswith(f"exhibit drawn of {package} 1.2 {reason}")
        assert (
            last
            == f"lab: --figure {tmp_path / 'figure.svg'}: the figure lacks the parts that could not be drawn (see above)"
        )


def test_a_run_counts_where_an_analysis_of_it_breaks(home: Path, tiny: Spec, install: Install) -> None:
    add(install, "outside_in_a_study", "def analyse(self, run): raise SystemExit(0)")
    (run,) = (home / "runs").iterdir()
    outcome = attempt(RunRequest(tiny().tree(), (("mine", "best"), ("items", "best"), ("samples", "best"))), home)
    assert outcome.result is not None
    assert (outcome.result["status"], outcome.failure) == ("complete", None)
    failures = dict(outcome.analysis_failures)
    assert (
        failures.pop("mine")
        == "analysis mine of outside_in_a_study 1.2 failed with SystemExit: 0 (outside_in_a_study.py, line 10)"
    )
    assert failures.pop("items").startswith("options = 4: only 0 samples of split 'test'")
    assert failures == {}
    assert not result_path(home, run.name, "best", "mine").exists()
