"""`lab table` prints a table of a study, or writes it to a file of that format's ending."""

import json
from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.reports.stored_study import StoredStudy


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ((), "% Claims of the study small at scale cpu"),
        (("--format", "md"), "| claim"),
        (("--format", "csv", "--of", "arms"), "arm,model.width,objective.n,seeds,"),
    ],
)
def test_it_prints_the_table(usual_store: StoredStudy, lab: Lab, arguments: tuple[str, ...], start: str) -> None:
    done = lab("table", "small", *arguments, "--home", str(usual_store.home))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(start)
    done = lab("table", "small", *arguments, "--home", str(usual_store.home), "--json")
    assert json.loads(done.stdout)["table"].startswith(start)


def test_it_writes_a_file_with_the_ending_of_its_format(usual_store: StoredStudy, lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "claims.tex"
    done = lab("table", "small", "--out", str(out), "--home", str(usual_store.home))
    assert done.returncode == 0, done.stderr
    assert out.read_text().endswith("\\end{tabularx}\n")
    done = lab("table", "small", "--format", "md", "--out", str(out), "--home", str(usual_store.home))
    assert done.returncode == 2
    assert done.stderr == f"lab: --out {out}: should end in .md\n"
