"""A task, a trunk, an objective, an analysis, a kind of claim, an exhibit and an executor of another package, in one study.

Nothing in the lab names any of them: each is a file and an entry point of the example package.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from tests.outside_package import EXAMPLE, OUTSIDE_CLAIM, ROOT, STUDY, lay_out_example

SEVERAL_COMMANDS = """
import contextlib, io, json, sys
from lab.__main__ import main

outputs = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["lab", *arguments]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            main()
        except SystemExit as end:
            assert not end.code, (arguments, end.code)
    outputs.append(output.getvalue())
print(json.dumps(outputs))
"""


def outputs_of_commands(folder: Path) -> list[str]:
    """Lays out the package and returns what a few commands print, run in one process to save imports."""
    (folder / "mine.toml").write_text(STUDY + OUTSIDE_CLAIM)
    executor = ["--executor", "logged", "--executor-set", "log=ended.log"]
    commands = [
        ["data", "list", "--json"],
        ["objective", "list", "--json"],
        ["analyse", "--help"],
        ["study", "run", "--help"],
        ["study", "run", "./mine.toml", *executor, "--json"],
        ["report", "mine", "--json"],
        ["results", "mine", "--out", "runs.csv", "--json"],
        ["doctor", "--json"],
    ]
    path = os.pathsep.join(map(str, [ROOT, lay_out_example(folder)]))
    environment = {**os.environ, "PYTHONPATH": path, "LAB_HOME": str(folder / "home")}
    command = [sys.executable, "-c", SEVERAL_COMMANDS, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    texts: list[str] = json.loads(done.stdout)
    return texts


def check_that_the_command_line_lists_every_part(outputs: list[str]) -> None:
    tasks, objectives, analyse_help, run_help, *_ = outputs
    assert json.loads(tasks)["reverse"].endswith("(mtp-lab-example 0.1.0)")
    assert json.loads(objectives)["previous_token"].endswith("(mtp-lab-example 0.1.0)")
    assert "calibration" in analyse_help
    assert "logged" in run_help
    doctor = json.loads(outputs[7])
    groups = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    parts = [f"{group} {name}" for group, names in groups.items() for name in names]
    assert len(parts) == 7
    assert [doctor[part] for part in parts] == [{"ok": True, "finding": "mtp-lab-example 0.1.0"}] * 7


def check_that_the_executor_trains_every_run_with_its_own_settings(outputs: list[str], folder: Path) -> None:
    result = json.loads(outputs[4])
    assert (result["trained"], result["failed"]) == (12, [])
    log = (folder / "home" / "studies" / "mine" / "cpu" / "ended.log").read_text()
    assert log.count(": complete\n") == 12


def check_that_the_kind_of_claim_is_judged_on_the_measure_of_the_analysis(outputs: list[str], folder: Path) -> None:
    verdicts = {verdict["claim"]: verdict for verdict in json.loads(outputs[4])["verdicts"]}
    runs = pd.read_csv(folder / "runs.csv").query("phase == 'confirm'")
    means = runs.groupby("cell")["measure/analysis/calibration/overconfidence"].mean()
    lead = means["objective=next_token"] - means["objective=mine"]
    assert verdicts["calibrated"]["difference"] == pytest.approx(lead), "less overconfidence is better"
    low, high = verdicts["calibrated"]["interval"]
    assert low < lead < high


def check_that_the_page_shows_the_exhibit_the_claim_and_the_package(outputs: list[str]) -> None:
    page = Path(json.loads(outputs[5])["report"]).read_text()
    assert "Score against seconds of training" in page
    assert "minus the mean of the others" in page
    assert "overconfidence" in page
    assert "objective=mine" in page
    assert "reverse" in page
    assert "mtp-lab-example" in page


def test_one_study_uses_a_part_of_each_kind_of_another_package(tmp_path: Path) -> None:
    """These are checks of one run of the commands, since workers of pytest would each run the commands again."""
    outputs = outputs_of_commands(tmp_path)
    check_that_the_command_line_lists_every_part(outputs)
    check_that_the_executor_trains_every_run_with_its_own_settings(outputs, tmp_path)
    check_that_the_kind_of_claim_is_judged_on_the_measure_of_the_analysis(outputs, tmp_path)
    check_that_the_page_shows_the_exhibit_the_claim_and_the_package(outputs)
