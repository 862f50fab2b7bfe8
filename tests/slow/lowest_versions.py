"""Installs every dependency at the lowest version that pyproject.toml allows, in a fresh environment, and tests the lab.

    python -m tests.slow.lowest_versions                                   # the fast suite; a quarter of an hour
    python -m tests.slow.lowest_versions --folder F tests/generators -k star   # anything after the options goes to pytest

uv resolves the declared requirements, those of all extras and of the build included, to the lowest versions that fit
together; what they need in turn comes at the newest version. torch is the exception: its version is the one installed
here unless `--torch` names another. The environment is deleted at the end, or stays in the folder that `--folder` names
and is used again as long as the declared requirements are the same. The exit code is pytest's.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
import venv
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.wheel.check_wheel import ROOT, run, usual_environment

PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def declared_requirements() -> list[str]:
    """Returns the requirements that pyproject.toml declares for running, for building and in every extra, once each."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = declared["project"]
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    return sorted({*declared["build-system"]["requires"], *project["dependencies"], *extras})


def lowest_version(requirement: str) -> Version:
    """Returns the version that a requirement names as its lower bound."""
    (bound,) = (part.version for part in Requirement(requirement).specifier if part.operator == ">=")
    return Version(bound)


def resolve(python: Path, folder: Path, torch: str) -> list[str]:
    """Returns a pin of each declared requirement, at the lowest version that fits with the others and with torch."""
    declared, constraint = folder / "declared.txt", folder / "torch.txt"
    declared.write_text("\n".join(declared_requirements()))
    constraint.write_text(f"torch=={torch}")
    command = [python, "-m", "uv", "pip", "compile", declared, "-c", constraint, "--resolution", "lowest-direct"]
    output = run([*command, "--quiet", "--no-header", "--no-annotate"], folder)
    names = {canonicalize_name(Requirement(requirement).name) for requirement in declared_requirements()}
    return [line for line in output.splitlines() if canonicalize_name(line.partition("==")[0]) in names]


def create_environment(folder: Path, torch: str) -> Path:
    """Creates the environment, or finds it complete, and returns its Python."""
    python, complete = folder / "environment" / "bin" / "python", folder / "complete.txt"
    content = "\n".join([*declared_requirements(), f"torch=={torch}"])
    if complete.exists() and complete.read_text() == content:
        print(f"the environment in {folder} is used again", flush=True)
        return python
    complete.unlink(missing_ok=True)
    venv.create(folder / "environment", with_pip=True, clear=True)
    run([python, *PIP, "install", "uv"], folder)
    pins = folder / "pins.txt"
    pins.write_text("\n".join(resolve(python, folder, torch)))
    run([python, *PIP, "install", "-r", pins], folder)
    run([python, *PIP, "install", "--no-deps", "--no-build-isolation", "--editable", ROOT], folder)
    run([python, *PIP, "check"], folder)
    complete.write_text(content)
    return python


def print_versions(python: Path, folder: Path) -> None:
    """Prints the declared bound and the installed version of every requirement, and which bounds could not be tested."""
    listing = run([python, "-m", "pip", "list", "--format", "freeze"], folder).splitlines()
    installed = {canonicalize_name(name): number for name, _, number in (line.partition("==") for line in listing)}
    higher = []
    for requirement in declared_requirements():
        name = canonicalize_name(Requirement(requirement).name)
        number = installed[name]
        print(f"{requirement:<28}{number}")
        if Version(number) > lowest_version(requirement):
            higher.append(name)
    print(
        f"Python {sys.version.partition(' ')[0]}; torch is the one installed here or named by --torch: {installed['torch']}"
    )
    if others := [name for name in higher if name != "torch"]:
        print(f"higher than the bound, which cannot be installed with the others: {', '.join(others)}")


def main() -> int:
    """Installs, prints the versions, tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keeps the environment here")
    parser.add_argument("--torch", default=Version(version("torch")).public, help="version of torch to install")
    options, selection = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        python = create_environment(folder, options.torch)
        print_versions(python, folder)
        command = [python, "-m", "pytest", "-p", "no:cacheprovider", *(selection or ["-n", "2"])]
        print(f"pytest {' '.join(map(str, command[5:]))}", flush=True)
        return subprocess.run(command, cwd=ROOT, env=usual_environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
