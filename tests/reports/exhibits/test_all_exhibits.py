"""Every exhibit that the registry lists can be drawn, and those of other packages appear without an edit."""

import re
from importlib.metadata import EntryPoint

import pytest

from reports.drawing.tables import Column, Table, word
from reports.exhibits.exhibit import Exhibit, StudyExhibit
from reports.exhibits.table import EXHIBITS, exhibits_on
from reports.pages.study import render_study
from studies.reading.judged import read_judged
from tests.reports.figure_reader import FigureReader
from tests.reports.pages.page_reader import PageReader
from tests.reports.stored_study import STUDY_FILE, StoredStudy, StudyStore


class Heights(StudyExhibit):
    """An exhibit of another package, in its own section."""

    section = "heights"

    def table(self) -> Table:
        return Table("Heights by cell", [Column("cell", "word")], [[word(cell.label)] for cell in self.study.cells])


def test_every_row_of_the_registry_is_an_exhibit_with_page_and_section() -> None:
    classes = EXHIBITS.classes()
    assert list(classes) == EXHIBITS.names
    assert all(issubclass(exhibit, Exhibit) and exhibit.section for exhibit in classes.values())
    assert {exhibit.page for exhibit in classes.values()} == {"study", "index", "matrix", "comparison", "analysis"}


def test_an_exhibit_of_another_package_appears_on_the_page(
    usual_store: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("heights", "tests.reports.exhibits.test_all_exhibits:Heights", EXHIBITS.group)
    monkeypatch.setitem(EXHIBITS.__dict__, "outside", {"heights": [point]})
    text = PageReader(render_study(read_judged(usual_store.home, usual_store.study))).text
    section = text[text.index("Heights Heights by cell") :]
    assert section.index("width=16 n=2") < section.index("Method")


def test_figures_have_a_title_a_description_and_ids_of_their_own(usual_store: StoredStudy) -> None:
    judged = read_judged(usual_store.home, usual_store.study)
    panels = [
        svg for section in exhibits_on("study", judged).values() for exhibit in section for svg in exhibit.figures()
    ]
    assert len(panels) == 10
    all_ids: list[str] = []
    for svg in panels:
        root = FigureReader(svg).root
        assert root.get("role") == "img"
        for name in (root.get("aria-labelledby") or "").split():
            assert [element.text for element in root.iter() if element.get("id") == name and element.text]
        ids = [str(element.get("id")) for element in root.iter() if element.get("id")]
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= set(ids)
        all_ids += ids
        assert "#0a0a" not in svg
        assert "<style" not in svg
        assert "font-family: 'DejaVu" not in svg
    assert len(set(all_ids)) == len(all_ids)


@pytest.mark.slow
def test_one_factor_of_tables_is_compared_in_one_panel_under_its_names(store: StudyStore) -> None:
    names = [f"some_objective_{stride}" for stride in range(1, 9)]
    levels = [f'{name} = {{ kind = "multi_token", stride = {place} }}' for place, name in enumerate(names, start=1)]
    factors = f"objective = {names}\n\n[levels.objective]\n" + "\n".join(levels)
    text = STUDY_FILE.replace('[base.objective]\nkind = "multi_token"\n', "")
    text = text.replace("attention_heads = 1\n", "attention_heads = 1\nwidth = 8\n")
    text = text.replace('"model.width" = [8, 16]\n"objective.n" = [1, 2]', factors)
    arms = '"objective"\ntreatment = "some_objective_2"\ncontrol = "some_objective_1"'
    text = re.sub(r"where = .*\n", "", text.replace('"objective.n"\ntreatment = 2\ncontrol = 1', arms))
    stored = store(lambda cell, phase, number: 0.1 * int(cell[-1]) + 0.01 * number, text=text)
    judged = read_judged(stored.home, stored.study)
    panels = {
        type(exhibit).__name__: exhibit.figures()
        for section in exhibits_on("study", judged).values()
        for exhibit in section
    }
    (scores,) = panels["Score"]
    figure = FigureReader(scores)
    assert all(name in figure.text for name in names)
    means = [mark for mark in figure.marks if ": mean" in mark.tooltip]
    assert [mark.tooltip.partition(":")[0] for mark in means] == [f"objective={name}" for name in names]
    assert len({mark.shape for mark in means}) >= 6
    (curves,) = panels["LearningSteps"]
    assert all(name in FigureReader(curves).text for name in names)
    assert len(panels["TuningTrials"]) == 1
    assert "some_objective_3 (kind = &#34;multi_token&#34;, stride = 3)" in render_study(judged)
