"""lab analyse: the measurements of a run, and their figure as a file."""

import json
from pathlib import Path
from xml.etree import ElementTree

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
