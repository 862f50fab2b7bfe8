"""`lab figure` lists the exhibits of a study, draws one of them, and says in a sentence what it cannot draw."""

from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.reports.stored_study import StoredStudy


def test_without_an_exhibit_it_lists_those_of_the_study(usual_store: StoredStudy, lab: Lab) -> None:
    done = lab("figure", "small", "--home", str(usual_store.home))
    assert done.returncode == 0, done.stderr
    assert "contrasts" in done.stdout
    assert "share-solved" not in done.stdout


def test_it_writes_the_file_and_says_where(usual_store: StoredStudy, lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "new" / "figure.pdf"
    done = lab("figure", "small", "score", "--home", str(usual_store.home), "--out", str(out), "--width", "3.03")
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout
    assert out.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("contrast",), "'contrast' is no exhibit of this study; the nearest is contrasts"),
        (("parameters",), "'parameters' has nothing to draw; "),
        (("score", "--width", "wide"), "--width wide: should be column, page, or inches from 2 to 12"),
        (("score", "--out", "figure.jpg"), "--out figure.jpg: should end in .pdf or .svg or .png"),
        (("--out", "figure.pdf"), "--out figure.pdf: needs the name of an exhibit; lab figure small lists them"),
    ],
)
def test_wrong_arguments_get_one_sentence(
    usual_store: StoredStudy, lab: Lab, arguments: tuple[str, ...], sentence: str
) -> None:
    done = lab("figure", "small", *arguments, "--home", str(usual_store.home))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
