"""The command that installs an optional package works where the lab is installed, with no index that has the lab."""

import json
import shlex
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from lab.doctor import extras
from lab.doctor.extras import EXTRAS, install_command

ROOT = Path(__file__).parents[3]


class InstalledLab:
    """Metadata of the lab in a folder.

    Args:
        folder: where the metadata is.
        url: the folder that an editable installation names, or empty.
    """

    requires = ("numpy>=2.1", 'ray[default]>=2.52; extra == "dev"', "ray[default]>=2.53; extra == 'ray'")

    def __init__(self, folder: Path, url: str = "", editable: bool = True) -> None:
        self.folder, self.url, self.editable = folder, url, editable

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return json.dumps({"url": self.url, "dir_info": {"editable": self.editable}}) if self.url else None

    def locate_file(self, path: str) -> Path:
        return self.folder / path


def words_of(monkeypatch: pytest.MonkeyPatch, installed: InstalledLab) -> list[str]:
    """Returns the words after `install` of the command for Ray."""
    monkeypatch.setattr(extras, "distribution", lambda name: installed)
    words = shlex.split(install_command("ray"))
    return words[words.index("install") + 1 :]


def test_a_checkout_is_installed_again_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editable = InstalledLab(tmp_path, "file:///a%20lab/mtp")
    assert words_of(monkeypatch, editable) == ["-e", "/a lab/mtp[ray]"]
    (tmp_path / "pyproject.toml").write_text("")
    assert words_of(monkeypatch, InstalledLab(tmp_path)) == ["-e", f"{tmp_path}[ray]"], "metadata inside a checkout"


@pytest.mark.parametrize("url", ["", "file:///built/from/this/folder", "https://example.org/mtp_lab.whl"])
def test_next_to_a_wheel_the_package_itself_is_installed(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert words_of(monkeypatch, InstalledLab(tmp_path, url, editable=False)) == ["ray[default]>=2.53"]


def test_a_checkout_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", find_nothing)
    assert install_command("tensorboard").endswith(f"install -e {shlex.quote(f'{ROOT}[tensorboard]')}")


def test_the_pip_of_another_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", "/an environment/bin/python")
    assert install_command("ray").startswith("'/an environment/bin/python' -m pip install ")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert install_command("ray").startswith("pip install ")


def test_every_extra_has_its_package_and_no_other() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for package, extra in EXTRAS.items():
        assert any(line.startswith(package) for line in declared[extra])
    assert set(EXTRAS.values()) == declared.keys() - {"dev"}
