"""lab analyse: the measurements of a run, and their figure as a file."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from lab.analysis import step
from lab.run.training import train
from reports.drawing.svg import standalone
from reports.exhibits.table import exhibits_on
from tests.conftest import Lab, Spec


@pytest.fixture(scope="module")
def home(tiny: Spec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a home with one run."""
    home = tmp_path_factory.mktemp("home")
    train(tiny(), home)
    return home


@pytest.mark.parametrize(("name", "quantity"), [("decoding", "tokens a forward"), ("step", "ratio")])
def test_the_figure_of_a_run_has_its_numbers_in_words(
    home: Path, tmp_path: Path, name: str, quantity: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "TURNS", 1)
    (run,) = (home / "runs").iterdir()
    path = tmp_path / "new" / "figure.svg"
    value = json.loads(lab("analyse", run.name, name, "--home", home, "--json", "--figure", path).stdout)
    assert value["figure"] == str(path)
    (exhibit,) = exhibits_on("analysis", value["rows"])[name]
    assert path.read_text() == standalone(exhibit.figures())
    (description,) = ElementTree.fromstring(path.read_text()).iter("{http://www.w3.org/2000/svg}desc")
    measured = next(row["value"] for row in value["rows"] if row["quantity"] == quantity)
    assert f"{measured:.3f}" in (description.text or "")


def test_control_characters_of_a_corpus_are_shown_as_pictures(tmp_path: Path, tiny: Spec, lab: Lab) -> None:
    """A terminal obeys an escape sequence, and no reader of SVG accepts one."""
    corpus, random = tmp_path / "corpus", np.random.default_rng(0)
    corpus.mkdir()
    for name in range(20):
        letters = random.choice(list("\x1b[31m\x07\x08\r\x9b"), 60)
        (corpus / f"{name}.txt").write_bytes("".join(letters).encode())
    task = {"kind": "text", "corpus": str(corpus), "length_tokens": 16, "validation_samples": 1, "test_samples": 1}
    spec = tiny(task=task, training__steps=2, training__warmup_steps=0)
    train(spec, tmp_path)
    figure = tmp_path / "figure.svg"
    shown = lab("analyse", spec.identity, "samples", "--home", tmp_path, "--figure", figure)
    decoded = lab("decode", spec.identity, "--home", tmp_path)
    ElementTree.parse(figure)
    for answer in (shown, decoded):
        assert answer.returncode == 0, answer.stderr
        assert "␛" in answer.stdout
        assert not re.search(r"[^\t\n -~\xa0-\uffff\U00010000-\U0010ffff]", answer.stdout)
