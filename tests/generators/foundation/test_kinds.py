"""Registries: entry points extend a table without being imported, and a defective one is refused with a sentence."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from generators.foundation.kinds import Registry, SettingsRegistry
from generators.foundation.settings import Settings
from generators.table import TASKS
from generators.task import Task

TASK_MODULE = '''"""A task from another package."""
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
ANALYSIS_MODULE = '''"""The first line of a module that is not the summary."""
from tests.generators.foundation.test_kinds import PlainBase

class Mine(PlainBase):
    name = "mine"
    summary = "counts the tokens"
    def analyse(self): ...
'''
CLAIM_MODULE = '''"""A kind of claim from another package."""
from typing import Literal
from tests.generators.foundation.test_kinds import SettingsBase

class Mine(SettingsBase):
    kind: Literal["mine"] = "mine"
    threshold: float = 0.5
'''


class PlainBase(ABC):
    """The base of a table of plain classes, such as that of analyses."""

    name: str
    summary: str

    @abstractmethod
    def analyse(self) -> None: ...


class Ours(PlainBase):
    name = "ours"
    summary = "an analysis of this lab"

    def analyse(self) -> None: ...


class SettingsBase(Settings):
    """The base of a table of classes that are settings themselves, such as that of claims."""

    kind: str


Package = Callable[..., None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """package("one", "tasks", "mine = one:Mine", code) installs a package of one module into a temporary folder."""

    def install(name: str, plural: str, entry_point: str, code: str) -> None:
        site = tmp_path / name
        info = site / f"{name}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[mtp_lab.{plural}]\n{entry_point}\n")
        (site / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install


def tasks() -> SettingsRegistry:
    """Returns a table of tasks that has not read its entry points yet."""
    return SettingsRegistry("task", TASKS.rows, Task, plural="tasks")


def analyses() -> Registry:
    return Registry("analysis", {"ours": f"{__name__}:Ours"}, PlainBase, plural="analyses")


def claims() -> Registry:
    return Registry("claim", {}, SettingsBase, plural="claims", key="claim.kind")


def test_an_entry_point_is_a_row_like_any_other_and_names_its_package(package: Package) -> None:
    package("outside_good", "tasks", "mine = outside_good:Mine", TASK_MODULE)
    registry = tasks()
    assert registry.names == [*TASKS.rows, "mine"]
    assert registry.find("mine", "here").__name__ == "Mine"
    assert registry.config({"kind": "mine", "size": 5}, "here").size == 5
    assert registry.configured("mine", ["task.size=7"], "here").size == 7
    assert registry.summaries()["mine"] == "A task from another package. (outside_good 1.2)"
    distribution = registry.package("mine")
    assert distribution is not None
    assert (distribution.name, distribution.version) == ("outside_good", "1.2")
    assert registry.package("star") is None


def test_a_plain_class_needs_no_settings_and_its_summary_attribute_is_shown(package: Package) -> None:
    package("outside_analysis", "analyses", "mine = outside_analysis:Mine", ANALYSIS_MODULE)
    registry = analyses()
    assert registry.names == ["ours", "mine"]
    assert registry.find("ours", "") is Ours
    assert registry.find("mine", "").__name__ == "Mine"
    assert registry.summaries() == {
        "ours": "an analysis of this lab",
        "mine": "counts the tokens (outside_analysis 1.2)",
    }
    with pytest.raises(UserError, match=r"^analysis = 'our': no such analysis; the nearest is ours"):
        registry.find("our", "")


def test_a_class_that_is_itself_settings_is_a_row_under_its_kind(package: Package) -> None:
    package("outside_claim", "claims", "mine = outside_claim:Mine\nyours = outside_claim:Mine", CLAIM_MODULE)
    registry = claims()
    assert registry.find("mine", "here").model_fields["threshold"].default == 0.5
    with pytest.raises(
        UserError, match=r"here: claim.kind = 'yours': .* should have kind: Literal\[\"yours\"\] in Mine"
    ):
        registry.find("yours", "here")


def test_groups_do_not_mix(package: Package) -> None:
    package("outside_group", "analyses", "mine = outside_group:Mine", ANALYSIS_MODULE)
    assert "mine" not in tasks().names
    assert "mine" in analyses().names


def test_nothing_is_imported_until_its_class_is_asked_for(package: Package) -> None:
    package("outside_lazy", "tasks", "mine = outside_lazy:Mine", TASK_MODULE)
    registry = tasks()
    assert registry.find("star", "here").__name__ == "Star"
    assert "mine" in registry.names
    assert "outside_lazy" not in sys.modules
    registry.find("mine", "here")
    assert "outside_lazy" in sys.modules


def test_an_unknown_name_is_answered_with_the_nearest_of_all_packages(package: Package) -> None:
    package("outside_near", "tasks", "mine = outside_near:Mine", TASK_MODULE)
    with pytest.raises(UserError, match=r"task.kind = 'mien': no such task; the nearest is mine \(there are: .*mine\)"):
        tasks().find("mien", "here")


def test_a_name_that_two_packages_provide_is_refused_and_both_are_named(package: Package) -> None:
    package("outside_first", "tasks", "mine = outside_first:Mine", TASK_MODULE)
    package("outside_second", "tasks", "mine = outside_second:Mine", TASK_MODULE)
    registry = tasks()
    with pytest.raises(UserError, match=r"'mine': provided by outside_(first|second) and by outside_(first|second);"):
        registry.find("mine", "here")
    assert registry.find("text", "here").__name__ == "Text", "other names are unaffected"
    assert "provided by" in registry.summaries()["mine"]


def without(line: str) -> str:
    """Returns the module of the task without one of its lines."""
    assert line in TASK_MODULE
    return TASK_MODULE.replace(line, "")


def test_a_name_of_this_lab_stays_with_this_lab_and_the_other_package_is_named(
    package: Package, capsys: pytest.CaptureFixture[str]
) -> None:
    package("outside_thief", "tasks", "star = outside_thief:Mine", "raise OSError('imported for nothing')")
    registry = tasks()
    for _ in range(2):
        assert registry.find("star", "spec.toml").__module__ == "generators.tasks.star"
    assert capsys.readouterr().err == (
        "spec.toml: task.kind = 'star': provided by mtp-lab and by outside_thief; the name stays with mtp-lab: "
        "rename the entry point of outside_thief or uninstall it\n"
    )
    classes, left_out = registry.usable()
    assert list(classes) == list(TASKS.rows)
    assert [sentence.partition(";")[0] for sentence in left_out] == [
        "task star of outside_thief is left out: provided by mtp-lab and by outside_thief"
    ]
    assert registry.summaries() == TASKS.summaries()


DEFECTIVE_TASKS = {
    "missing module": ("mine = outside_nowhere:Mine", TASK_MODULE, "cannot be imported (ModuleNotFoundError: No module named 'outside_nowhere')"),
    "missing class": ("mine = {name}:Yours", TASK_MODULE, "cannot be imported (AttributeError: "),
    "module that raises": ("mine = {name}:Mine", "raise OSError('the disk\\nis full')", "cannot be imported (OSError: the disk)"),
    "module that exits": ("mine = {name}:Mine", "raise SystemExit(3)", "cannot be imported (SystemExit: 3)"),
    "class of another base": ("mine = {name}:MineConfig", TASK_MODULE, "is not a subclass of generators.task.Task"),
    "not a class": ("mine = {name}:Literal", TASK_MODULE, "is not a subclass of generators.task.Task"),
    "no settings": ("mine = {name}:Mine", without("    config: MineConfig\n"), "should annotate `config` with its own settings, a subclass of TaskConfig"),
    "settings of another base": ("mine = {name}:Mine", TASK_MODULE.replace("config: MineConfig", "config: int"), "should annotate `config` with its own settings"),
    "settings of another kind": ("mine = {name}:Mine", TASK_MODULE.replace('Literal["mine"] = "mine"', 'Literal["yours"] = "yours"'), 'should have kind: Literal["mine"] in MineConfig'),
    "undefined type in settings": ("mine = {name}:Mine", TASK_MODULE.replace("size: int = 3", 'size: "Absent" = 3'), "cannot be imported ("),
    "error without text": ("mine = {name}:Mine", "class Mute(Exception):\n    def __str__(self): raise OSError\nraise Mute", "cannot be imported (Mute)"),
    "abstract method left": ("mine = {name}:Mine", without("    def oracle(self, batch): ...\n"), "does not implement oracle"),
}  # fmt: skip


@pytest.mark.parametrize("case", DEFECTIVE_TASKS)
def test_a_defective_entry_point_is_refused_in_one_sentence_and_harms_no_other_name(
    package: Package, case: str
) -> None:
    entry_point, code, sentence = DEFECTIVE_TASKS[case]
    name = f"outside_{case.replace(' ', '_')}"
    package(name, "tasks", entry_point.format(name=name), code)
    registry = tasks()
    with pytest.raises(UserError) as raised:
        registry.config({"kind": "mine"}, "here")
    assert sentence in str(raised.value)
    assert f"of {name}" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sentence in registry.summaries()["mine"]
    assert registry.find("text", "here").__name__ == "Text"
    classes, left_out = registry.usable()
    assert list(classes) == list(TASKS.rows)
    assert [
        sentence.startswith(f"task mine of {name} is left out: ") and f"of {name}" in sentence for sentence in left_out
    ] == [True]


DEFECTIVE_ANALYSES = {
    "abstract method": (ANALYSIS_MODULE.replace("    def analyse(self): ...\n", ""), "does not implement analyse"),
    "other name": (
        ANALYSIS_MODULE.replace('"mine"', '"yours"'),
        'should have name = "mine", as its entry point, not "yours"',
    ),
    "unrelated class": (ANALYSIS_MODULE.replace("(PlainBase)", ""), "is not a subclass of tests.generators.foundation"),
}


@pytest.mark.parametrize("case", DEFECTIVE_ANALYSES)
def test_a_defective_plain_class_is_refused(package: Package, case: str) -> None:
    code, sentence = DEFECTIVE_ANALYSES[case]
    name = f"outside_plain_{case.replace(' ', '_')}"
    package(name, "analyses", f"mine = {name}:Mine", code)
    with pytest.raises(UserError) as raised:
        analyses().find("mine", "lab analyse")
    assert str(raised.value).startswith("lab analyse: analysis = 'mine': entry point")
    assert sentence in str(raised.value)
    assert list(analyses().classes()) == ["ours"]
