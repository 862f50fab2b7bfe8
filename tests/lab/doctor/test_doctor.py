"""`lab doctor` compares tiny runs with known losses and lists the parts of other packages, broken ones with the reason."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from generators.foundation.kinds import Registry
from lab.doctor import figures
from lab.doctor.figures import compare_figures
from lab.doctor.machine import examine
from lab.doctor.parts import REGISTRIES, check_parts
from lab.model import network
from tests.conftest import Lab

Install = Callable[..., None]

ANALYSIS = '''"""An analysis from elsewhere."""
from lab import Analysis

class Mine(Analysis):
    name = "mine"
    summary = "counts"
    def analyse(self, run): ...
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """install("package", "[mtp_lab.tasks]\\n...", code): a package of one module, on the path of this process."""

    def write(package: str, entry_points: str, code: str) -> None:
        site = tmp_path / package
        info = site / f"{package}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(entry_points)
        (site / f"{package}.py").write_text(code)
        monkeypatch.syspath_prepend(site)

    def forget_packages() -> None:
        for registry in REGISTRIES.values():
            registry.__dict__.pop("outside", None)

    forget_packages()
    yield write
    forget_packages()


def test_doctor_finds_nothing_wrong_here(tmp_path: Path, lab: Lab) -> None:
    done = lab("doctor", "--json", "--home", tmp_path)
    assert done.returncode == 0
    value = json.loads(done.stdout)
    assert value["training"]["ok"]
    assert value["figures"] == {
        "ok": True,
        "finding": "4 losses of tiny runs are those of other machines, to 0.0001 of their value",
    }


def test_a_loss_that_is_off_is_named_with_both_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lab: Lab
) -> None:
    monkeypatch.setitem(figures.EXPECTED[0][1], "loss_2", 4.5309)
    done = lab("doctor", "--home", tmp_path)
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if "figures" in line)
    assert line.startswith("WRONG")
    assert line.endswith("loss_2 of multi_token after 12 steps is 4.531879, not 4.530900")
    assert "the lines marked WRONG say why" in done.stderr


@pytest.mark.parametrize(
    ("setting", "value"), [("weight_decay", 0.0), ("clip_norm", 1e9), ("beta1", 0.91), ("beta2", 0.999)]
)
def test_the_figures_are_off_where_a_setting_of_training_is_ignored(
    setting: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(figures.TINY_RUN, "training", {**figures.TINY_RUN["training"], setting: value})
    with pytest.raises(AssertionError, match="loss_1 of multi_token after 12 steps is"):
        compare_figures()


def test_the_figures_are_off_where_norms_compute_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network.Block, "forward", lambda self, x_BxTxD, *rest: x_BxTxD)
    with pytest.raises(AssertionError, match="loss_1 of registers after 12 steps is"):
        compare_figures()


def test_parts_are_listed_by_group_and_name_with_package_and_version(install: Install) -> None:
    install("other", "[mtp_lab.analyses]\nmine = other:Mine\n[mtp_lab.exhibits]\nmine = other:Mine\n", ANALYSIS)
    parts = {check.name: (check.mark, check.finding) for check in check_parts()}
    assert parts == {"mtp_lab.analyses mine": ("ok", "other 1.2"), "mtp_lab.exhibits mine": ("ok", "other 1.2")}


@pytest.mark.parametrize(
    ("point", "code", "reason"),
    [
        ("[mtp_lab.analyses]\nmine = broken:Mine", "import absent", "ModuleNotFoundError: No module named 'absent'"),
        ("[mtp_lab.claims]\nmine = broken:Mine", "raise SystemExit('no')", "cannot be imported (SystemExit: no)"),
        ("[mtp_lab.tasks]\nmine = broken:Mine", "Mine = 3", "is not a subclass of generators.task.Task"),
        ("[mtp_lab.executors]\nmine = broken:Absent", "Mine = 3", "AttributeError: module 'broken' has no attribute"),
        ("[mtp_lab.objectives]\ntoken_order = broken:Mine", "Mine = 3", "provided by mtp-lab and by broken"),
        ("[mtp_lab.task]\nmine = broken:Mine", "Mine = 3", "no such group; the nearest is mtp_lab.tasks"),
    ],
)
def test_a_part_that_cannot_be_used_is_listed_with_the_reason(
    point: str, code: str, reason: str, install: Install, tmp_path: Path, lab: Lab
) -> None:
    install("broken", f"{point}\n", code)
    done = lab("doctor", "--home", tmp_path / "home")
    assert done.returncode == 0, "the rest of the lab works"
    (line,) = (line for line in done.stdout.splitlines() if "mtp_lab." in line.split()[1])
    assert line.startswith("broken  mtp_lab.")
    assert "broken 1.2: " in line
    assert reason in line


def test_every_group_of_the_lab_is_known_to_doctor() -> None:
    from reports.exhibits.table import EXHIBITS
    from studies.declared.claims.table import CLAIMS
    from studies.running.executors.table import EXECUTORS

    registries: list[Registry] = [EXHIBITS, CLAIMS, EXECUTORS]
    assert {registry.group for registry in registries} < REGISTRIES.keys()


def test_the_machine_lists_every_check_once(tmp_path: Path) -> None:
    names = [check.name for check in examine(tmp_path)]
    assert len(names) == len(set(names))
