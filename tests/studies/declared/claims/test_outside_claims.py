"""A kind of claim of another package: one class and one entry point; a broken one takes nothing else with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.fake_package import Install, write_package
from tests.small_study import write_small_study

ROOT = Path(__file__).parents[4]
MODULE = '''
"""A claim that every level of the factor scores above a threshold, on average."""

from typing import Literal

import reports
from studies import Claim, Comparison, Grid, InProcess, WeightedMeans


class Average(Claim):
    effect_name = "average"

    kind: Literal["average"]
    levels: list[int]

    def compared(self, study: Grid) -> Comparison:
        labels = [self.label(study, {self.factor: level}) for level in self.levels]
        return Comparison.of_cells(labels, WeightedMeans((0.5, 0.5)), (labels[0], labels[-1]))


class Running(InProcess): ...
'''
ENTRY_POINTS = """
[mtp_lab.executors]
average = average_claim:Running
[mtp_lab.claims]
average = average_claim:Average
broken = no_such_module:Broken
"""
CLAIM = (
    'kind = "difference"\nfactor = "objective.n"\ntreatment = 2\ncontrol = 1',
    'kind = "average"\nfactor = "objective.n"\nlevels = [1, 2]',
)
SHOW_CLAIM = """
import sys
from studies.running.executors.table import EXECUTORS
EXECUTORS.find("average", "")  # imports the module of the claim before the table of claims
from studies import declare
claim = declare(sys.argv[1], "smoke", []).declaration.claims[0]
print(type(claim).__name__, claim.effect_name, claim.model_dump(mode="json")["levels"])
"""


def run(site: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, site)))}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


@pytest.mark.slow
def test_a_study_can_use_a_kind_of_claim_from_another_package(tmp_path: Path) -> None:
    site = write_package(tmp_path, "average_claim", ENTRY_POINTS, MODULE)
    study = write_small_study(tmp_path, CLAIM)
    shown = run(site, "-c", SHOW_CLAIM, study)
    assert shown.stdout == "Average average [1, 2]\n", shown.stderr


def test_without_the_package_the_claim_is_refused_in_one_sentence(tmp_path: Path, lab: Lab) -> None:
    shown = lab("study", "show", write_small_study(tmp_path, CLAIM), "--no-probe")
    assert shown.returncode == 2
    assert shown.stderr.count("\n") == 1
    assert "claims.0: kind = 'average': no such kind of claim" in shown.stderr


def test_a_broken_kind_of_claim_is_named_where_a_study_uses_it(tmp_path: Path, lab: Lab, install: Install) -> None:
    install("average_claim", ENTRY_POINTS.strip(), MODULE)
    study = write_small_study(tmp_path, (CLAIM[0], CLAIM[1].replace("average", "broken")))
    shown = lab("study", "show", study, "--no-probe")
    assert shown.returncode == 2
    assert shown.stderr.count("\n") == 1
    assert (
        "claims.0: kind = 'broken': entry point no_such_module:Broken of average_claim cannot be imported"
        in shown.stderr
    )
