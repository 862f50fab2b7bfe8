"""Parts of other packages that cannot be used: lists still work and name them, and their names give one sentence."""

import json
from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.fake_package import Install
from tests.small_study import write_small_study

KINDS = ("tasks", "objectives", "analyses", "claims", "executors")
BROKEN = "cannot be imported (OSError: the disk is full)"


def uses(folder: Path) -> dict[str, list[str]]:
    """Returns kind of part -> a command that uses the part `mine`."""
    claim = ('kind = "difference"', 'kind = "mine"')
    return {
        "tasks": ["data", "show", "mine"],
        "objectives": ["objective", "show", "mine"],
        "analyses": ["analyse", "0123", "mine"],
        "claims": ["study", "show", str(write_small_study(folder, claim)), "--no-probe"],
        "executors": ["study", "run", "induction-quick", "--executor", "mine"],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_part_is_refused_by_name_in_one_sentence_that_names_its_package(
    kind: str, install: Install, lab: Lab, tmp_path: Path
) -> None:
    install("outside_broken", f"[mtp_lab.{kind}]\nmine = outside_broken:Mine", "raise OSError('the disk is full')")
    done = lab(*uses(tmp_path)[kind])
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"entry point outside_broken:Mine of outside_broken {BROKEN}" in done.stderr


@pytest.mark.parametrize(
    ("command", "kind", "own"), [("data", "tasks", "star"), ("objective", "objectives", "registers")]
)
def test_lists_go_on_and_name_broken_and_clashing_packages(
    command: str, kind: str, own: str, install: Install, lab: Lab
) -> None:
    before = json.loads(lab(command, "list", "--json").stdout)
    install(
        f"outside_{kind}", f"[mtp_lab.{kind}]\nmine = outside_{kind}:Mine\n{own} = outside_{kind}:Mine", "print(1 / 0)"
    )
    done = lab(command, "list", "--json")
    assert done.returncode == 0
    after = json.loads(done.stdout)
    assert f"of outside_{kind} cannot be imported (ZeroDivisionError" in after.pop("mine")
    assert after == before
    assert (
        f"{own} of outside_{kind} is left out: provided by mtp-lab and by outside_{kind}; the name stays with"
        in done.stderr
    )


@pytest.mark.parametrize(
    ("kind", "own", "command", "answer"),
    [
        ("tasks", "star", ["data", "show", "star", "--count", "1"], "scored:"),
        ("objectives", "registers", ["objective", "show", "registers"], 'kind = "registers"'),
        ("executors", "here", ["study", "run", "small.toml", "--scale", "smoke", "--executor", "here"], "NOT TESTED"),
    ],
)
def test_a_name_of_the_lab_goes_on_to_work_and_the_other_package_is_named(
    kind: str,
    own: str,
    command: list[str],
    answer: str,
    install: Install,
    lab: Lab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(write_small_study(tmp_path).parent)
    package = f"outside_thief_of_{kind}"
    install(package, f"[mtp_lab.{kind}]\n{own} = {package}:Mine", "raise OSError('imported for nothing')")
    done = lab(*command)
    assert done.returncode == 0, done.stderr
    assert answer in done.stdout
    assert f"provided by mtp-lab and by {package}; the name stays with mtp-lab" in done.stderr
