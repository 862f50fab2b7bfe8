"""The public names of `studies`, as a notebook or another package uses them."""

import subprocess
import sys
from pathlib import Path

import studies
from tests.small_study import write_small_study


def test_every_public_name_can_be_imported() -> None:
    assert all(getattr(studies, name) for name in studies.__all__)


def test_importing_studies_loads_no_torch() -> None:
    code = "import sys, studies; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_study_is_loaded_run_found_again_and_judged(tmp_path: Path) -> None:
    study = studies.declare(write_small_study(tmp_path), "smoke")
    outcome = studies.run_study(study, studies.InProcess(tmp_path / "home"), tmp_path / "home")
    stored = studies.find_study(tmp_path / "home", "small", "smoke")
    assert stored == study
    judgements = studies.judge_stored(tmp_path / "home", stored)
    assert judgements == outcome.judgements
    assert repr(outcome) == "<12 of 12 runs ended, 12 trained now; helps not tested; same not tested>"
    assert all("a verdict needs at least 5" in studies.sentence(judgement) for judgement in judgements)
