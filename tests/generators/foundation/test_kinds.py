"""Kinds of other packages: found without being imported, one table with ours, and a sentence for what is wrong."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from generators.foundation.kinds import Kinds
from generators.table import TASKS
from generators.task import Task

MODULE = '''"""A task of somebody else's."""
from typing import Literal
from generators.task import Task, TaskConfig

class MineConfig(TaskConfig):
    kind: Literal["mine"] = "mine"
    size: int = 3

class Mine(Task):
    config: MineConfig
    def draw(self, stream, split): ...
    def oracle(self, batch): ...
'''

Package = Callable[..., Kinds]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """package("one", "mine = one:Mine", code): the table of tasks beside an installed package of one module."""

    def install(name: str, entry: str, code: str = MODULE) -> Kinds:
        site = tmp_path / name
        info = site / f"{name}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[mtp_lab.tasks]\n{entry}\n")
        (site / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return Kinds("task", TASKS.rows, Task)

    return install


def test_an_outside_kind_is_found_beside_ours_and_names_its_package(package: Package) -> None:
    kinds = package("outside_good", "mine = outside_good:Mine")
    assert kinds.names == [*TASKS.rows, "mine"]
    assert kinds.find("mine", "here").__name__ == "Mine"
    assert kinds.config({"kind": "mine", "size": 5}, "here").size == 5
    assert kinds.configured("mine", ["task.size=7"], "here").size == 7
    assert kinds.summaries()["mine"] == "A task of somebody else's. (outside_good 1.2)"
    found = kinds.package("mine")
    assert found is not None
    assert (found.name, found.version) == ("outside_good", "1.2")
    assert kinds.package("star") is None


def test_nothing_is_imported_until_it_is_asked_for(package: Package) -> None:
    kinds = package("outside_lazy", "mine = outside_lazy:Mine")
    assert kinds.find("star", "here").__name__ == "Star"
    assert "mine" in kinds.names
    assert "outside_lazy" not in sys.modules
    kinds.find("mine", "here")
    assert "outside_lazy" in sys.modules


def test_an_unknown_kind_gives_the_nearest_of_all(package: Package) -> None:
    kinds = package("outside_near", "mine = outside_near:Mine")
    with pytest.raises(UserError, match=r"task.kind = 'mien': no such task; the nearest is mine \(there are: .*mine\)"):
        kinds.find("mien", "here")


def test_a_name_of_ours_or_of_two_packages_names_both_givers(package: Package) -> None:
    package("outside_first", "mine = outside_first:Mine\nstar = outside_first:Mine")
    kinds = package("outside_second", "mine = outside_second:Mine")
    with pytest.raises(UserError, match="'star': given by mtp-lab and by outside_first;"):
        kinds.find("star", "here")
    with pytest.raises(UserError, match=r"'mine': given by outside_(first|second) and by outside_(first|second);"):
        kinds.find("mine", "here")
    assert kinds.find("text", "here").__name__ == "Text", "what is not in doubt is still to be had"
    assert "given by" in kinds.summaries()["mine"]


WRONG = {
    "no such module": ("mine = outside_nowhere:Mine", MODULE, "cannot be imported (ModuleNotFoundError: No module named 'outside_nowhere')"),
    "no such class": ("mine = {name}:Yours", MODULE, "cannot be imported (AttributeError: "),
    "a module that raises": ("mine = {name}:Mine", "raise OSError('the disk\\nis full')", "cannot be imported (OSError: the disk)"),
    "no task": ("mine = {name}:MineConfig", MODULE, "is no subclass of generators.task.Task"),
    "no class at all": ("mine = {name}:Literal", MODULE, "is no subclass of generators.task.Task"),
    "no settings": ("mine = {name}:Mine", MODULE.replace("    config: MineConfig\n", ""), "should annotate `config` with settings of its own, a subclass of TaskConfig"),
    "settings of something else": ("mine = {name}:Mine", MODULE.replace("config: MineConfig", "config: int"), "should annotate `config` with settings of its own"),
    "another kind": ("mine = {name}:Mine", MODULE.replace('Literal["mine"] = "mine"', 'Literal["yours"] = "yours"'), 'should have kind: Literal["mine"] in MineConfig'),
    "half a task": ("mine = {name}:Mine", MODULE.replace("    def oracle(self, batch): ...\n", ""), "leaves abstract: oracle"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_an_entry_point_of_no_use_is_a_sentence_and_harms_no_other(package: Package, case: str) -> None:
    entry, code, sentence = WRONG[case]
    name = f"outside_{case.replace(' ', '_')}"
    kinds = package(name, entry.format(name=name), code)
    with pytest.raises(UserError) as raised:
        kinds.config({"kind": "mine"}, "here")
    assert sentence in str(raised.value)
    assert f"of {name}" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sentence in kinds.summaries()["mine"]
    assert kinds.find("text", "here").__name__ == "Text"
