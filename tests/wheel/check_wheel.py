"""Builds the distribution, installs the wheel into a fresh environment and runs the lab from there.

    python tests/wheel/check_wheel.py        # make wheel-check; about two minutes, most of them for installing torch

1. The wheel built from the checkout and the wheel built from the sdist hold the same files: every file of the four
   packages except `reports/published`.
2. The wheel is installed with its dependencies, at the versions of constraints.txt, into an environment that holds
   nothing else.
3. Commands run in an empty folder whose path has a space and a letter outside ASCII. Their exit codes, some of their
   output and the page are checked. The example package and those that `lab new` writes are installed in between.

Exits with 1 on the first thing that is wrong.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("generators", "lab", "studies", "reports")
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "experiments", "shared"
)

# Arguments of `lab`, and text that its standard output must contain.
COMMANDS = (
    ("--help", "study"),
    ("study list", "induction-quick"),
    ("study show paper", "polynomial"),
    ("study run induction-quick --scale smoke --json", '"trained": 12'),
    ("study run induction-quick --scale smoke --json", '"trained": 0'),
    ("report induction-quick", "induction-quick-smoke.html"),
    ("data check star --json", '"unconfirmed": 0'),
)
BEGINNINGS = (
    ("new objective skip_ahead", "wrote skip_ahead"),
    ("new task carries", "wrote carries"),
    ("new trunk averages", "wrote averages"),
)
COMMANDS_WITH_THE_BEGINNINGS = (
    ("objective check skip_ahead", "ok"),
    ("data check carries --json", '"unconfirmed": 0'),
    ("model check averages", "ok"),
    ("train skip_ahead/run.toml --set training.steps=2 --set training.warmup_steps=1", "complete"),
)
COMMANDS_WITH_THE_EXAMPLE = (
    ("objective list", "previous_token"),
    ("objective check previous_token", "ok"),
    ("data list", "reverse"),
    ("analyse --help", "calibration"),
    ("study run --help", "logged"),
    ("data check reverse --json", '"unconfirmed": 0'),
)


def usual_environment() -> dict[str, str]:
    """Returns the environment variables without those that lead to another installation or another home."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "LAB_HOME")}


def run(arguments: Sequence[str | Path], folder: Path) -> str:
    """Returns the standard output of a command; a failure ends the check with all that the command printed."""
    command = list(map(str, arguments))
    done = subprocess.run(command, cwd=folder, env=usual_environment(), capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr)
        raise SystemExit(f"exit code {done.returncode}: {' '.join(map(str, arguments))}")
    return done.stdout


def package_files(source: Path) -> set[str]:
    """Returns the files that the wheel must hold, as paths relative to the checkout."""
    paths = [path for package in PACKAGES for path in (source / package).rglob("*") if path.is_file()]
    return {str(path.relative_to(source)) for path in paths if source / "reports" / "published" not in path.parents}


def wheel_files(wheel: Path) -> set[str]:
    """Returns the files of a wheel, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def compare(name: str, actual: set[str], expected: set[str]) -> None:
    """Ends the check if two sets of files differ."""
    if actual != expected:
        missing, surplus = sorted(expected - actual), sorted(actual - expected)
        raise SystemExit(f"{name}: missing {missing}; not in the checkout {surplus}")


def build(folder: Path) -> Path:
    """Builds the sdist, the wheel from it and the wheel from the checkout; returns the wheel from the sdist."""
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=NOT_COPIED)
    expected = package_files(source)
    run([sys.executable, "-m", "build", "--outdir", folder / "dist", source], folder)
    run([sys.executable, "-m", "build", "--wheel", "--outdir", folder / "direct", source], folder)
    (direct,), (wheel,) = (folder / "direct").glob("*.whl"), (folder / "dist").glob("*.whl")
    compare("the wheel built from the checkout", wheel_files(direct), expected)
    compare("the wheel built from the sdist", wheel_files(wheel), expected)
    print(f"{len(expected)} files in both wheels")
    return wheel


def install(folder: Path, *requirements: str | Path) -> None:
    """Installs requirements into the fresh environment, at the pinned versions."""
    pip = [folder / "environment" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "-c", ROOT / "constraints.txt", *requirements], folder)


def run_lab(folder: Path, home: Path, commands: Sequence[tuple[str, str]]) -> None:
    """Runs commands of the installed `lab` and looks for the expected text in what they print."""
    for arguments, expected in commands:
        output = run([folder / "environment" / "bin" / "lab", *arguments.split()], home)
        if expected not in output:
            raise SystemExit(f"lab {arguments}: {expected!r} is missing from its output:\n{output}")
        print(f"lab {arguments}: as expected")


def check_page(home: Path) -> None:
    """Ends the check unless the study has a page with figures and verdicts; smoke scale tests no claim."""
    page = home / "experiments" / "reports" / "induction-quick-smoke.html"
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    missing = [part for part in ("<svg", "NOT TESTED", "induction-quick") if part not in text]
    if missing:
        raise SystemExit(f"{page}: {missing} missing")
    print(f"{page.name}: as expected")


def main() -> None:
    """Builds, installs and runs."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheel = build(folder)
        venv.create(folder / "environment", with_pip=True)
        install(folder, wheel)
        home = folder / "un été vide"
        home.mkdir()
        location = run([folder / "environment" / "bin" / "python", "-c", "import lab; print(lab.__file__)"], home)
        if "site-packages" not in location:
            raise SystemExit(f"lab was imported from {location.strip()}, not from the installed wheel")
        run_lab(folder, home, COMMANDS)
        check_page(home)
        example = folder / "example"
        shutil.copytree(ROOT / "tests" / "example_package", example, ignore=NOT_COPIED)
        install(folder, example)
        run_lab(folder, home, COMMANDS_WITH_THE_EXAMPLE)
        run_lab(folder, home, BEGINNINGS)
        install(folder, *(home / name for name in ("skip_ahead", "carries", "averages")))
        run_lab(folder, home, COMMANDS_WITH_THE_BEGINNINGS)
    print("the wheel works")


if __name__ == "__main__":
    main()
