"""The package `reports` exports its public names lazily, and an exhibit of another package needs no others."""

import subprocess
import sys
from pathlib import Path

import pytest

import reports
import studies
from tests.generators.test_public_names import imported_names
from tests.reports.stored_study import StoredStudy, usual_score


class MeanScore(reports.StudyExhibit):
    """An exhibit as another package writes it."""

    section = "scores"

    def figures(self) -> list[str]:
        with reports.open_sheet("mean-score", 200) as sheet:
            for index, (cell, score) in enumerate(reports.scores(self.results).items()):
                sheet.mark(index, score.mean, "o", f"{cell}: {score.mean:.3f}", color=reports.SERIES[0])
            return [sheet.svg("Mean score", "one mark per cell")]

    def table(self) -> reports.Table:
        table = reports.Table("Mean score by cell", [reports.Column("cell", "word"), reports.Column("score")])
        for cell, score in reports.scores(self.results).items():
            table.rows.append([reports.word(cell), reports.number(score.mean)])
        return table


@pytest.mark.parametrize("name", reports.__all__)
def test_every_public_name_is_importable(name: str) -> None:
    assert getattr(reports, name) is not None


def test_type_checkers_see_the_same_names_as_the_interpreter() -> None:
    assert imported_names(Path(reports.__file__)) == set(reports.__all__)


def test_importing_the_package_imports_neither_torch_nor_matplotlib() -> None:
    names = "('matplotlib', 'pandas', 'torch')"
    code = f"import sys, reports; print([name for name in {names} if name in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_a_notebook_reads_frames_and_draws_an_exhibit(usual_store: StoredStudy) -> None:
    judged = studies.load("small", usual_store.home)
    runs = judged.runs
    means = runs[runs["phase"] == "confirm"].groupby("cell")["score"].mean()
    mean = sum(usual_score("width=8 n=1", seed) for seed in range(5)) / 5
    assert means["width=8 n=1"] == pytest.approx(mean)
    exhibit = MeanScore(judged)
    assert exhibit.table().rows[0][1].text == f"{mean:.3f}"
    assert f"width=8 n=1: {mean:.3f}" in exhibit.figures()[0]
