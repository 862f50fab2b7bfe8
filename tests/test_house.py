"""The shape of the code base: sizes, names, and the things that may exist only once."""

import ast
import re
import subprocess
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.version import Version

from tests.slow.lowest_versions import declared_requirements, lowest_version

ROOT = Path(__file__).parents[1]
ROOMS = ("generators", "lab", "studies", "reports")
LINES_MAXIMUM = 300
FILES_MAXIMUM = 13
EMPTY_NAMES = {"found", "each", "told", "said", "made", "given", "wanted", "beside", "one"}
LEDGER_FILES = {"study.json", "ledger.json", "verdicts.json", "looks.json", "search.json"}


def source_files(*folders: str) -> list[Path]:
    patterns = [f"{folder}/*.py" for folder in folders]
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.splitlines() if (ROOT / name).exists()]


@cache
def module_at(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def parsed(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in source_files(*folders):
        yield path.relative_to(ROOT), module_at(path)


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in source_files(*ROOMS, "tests", "benchmarks")}
    assert {str(path): count for path, count in lengths.items() if count > LINES_MAXIMUM} == {}


def test_no_folder_is_crowded() -> None:
    counts = Counter(path.parent for path in source_files(*ROOMS) if path.name != "__init__.py")
    assert {str(folder): count for folder, count in counts.items() if count > FILES_MAXIMUM} == {}


def test_no_two_classes_share_a_name() -> None:
    homes = defaultdict(list)
    for path, module in parsed(*ROOMS):
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_every_data_file_of_a_package_is_in_the_wheel() -> None:
    """The wheel holds data files only where the package data names them; results that are published stay out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *ROOMS]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    files = {name for name in listing if not name.endswith(".py") and not name.startswith("reports/published/")}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packaged = {
        str(path.relative_to(ROOT))
        for package, patterns in declared.items()
        for pattern in patterns
        for folder in ([ROOT / package.replace(".", "/")] if package != "*" else [ROOT / room for room in ROOMS])
        for path in folder.glob(pattern)
    }
    assert files - packaged == set()


def test_every_requirement_has_one_lower_bound() -> None:
    for requirement in declared_requirements():
        assert lowest_version(requirement) > Version("0"), requirement


def test_one_function_takes_the_optimiser_step() -> None:
    pattern = re.compile(r"\.step\(|clip_grad_norm_\(|\b(adamw|sgd)\(")
    files = source_files(*ROOMS, "benchmarks")
    places = {str(path.relative_to(ROOT)): len(pattern.findall(path.read_text())) for path in files}
    assert {path: count for path, count in places.items() if count} == {
        "lab/run/optimisers/adamw.py": 1,
        "lab/run/optimisers/flat.py": 1,
        "lab/run/optimisers/muon.py": 1,
        "lab/run/optimisers/sgd.py": 1,
        "lab/run/step.py": 1,
    }


def test_only_the_ledger_room_knows_the_names_of_its_files() -> None:
    places = {
        str(path)
        for path, module in parsed(*ROOMS)
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and node.value in LEDGER_FILES
    }
    assert {path for path in places if not path.startswith("studies/ledger/")} == set()


def names_bound(module: ast.Module) -> Iterator[str]:
    """Returns every name that a module gives to a variable, argument, function, class or field."""
    for node in ast.walk(module):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name.strip("_")


@pytest.mark.parametrize("folder", [*ROOMS, "tests", "benchmarks"])
def test_names_say_what_they_hold(folder: str) -> None:
    empty = {
        (str(path), name) for path, module in parsed(folder) for name in names_bound(module) if name in EMPTY_NAMES
    }
    assert empty == set()


@pytest.mark.parametrize("folder", [*ROOMS, "tests", "benchmarks"])
def test_docstrings_name_their_subject_first(folder: str) -> None:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    openings = {
        f"{path}: {text.splitlines()[0]}"
        for path, module in parsed(folder)
        for node in ast.walk(module)
        if isinstance(node, documented) and (text := ast.get_docstring(node))
        if text.split()[0] in {"Of", "What", "Whether", "Those", "They"}
        or re.search(r"[.]\s+(Of|That of|Those of)\s", text)
    }
    assert openings == set()


def float_formats(module: ast.Module) -> Iterator[str]:
    """Yields the formats of floats in the f-strings of a module; what is filled in reads as 0."""
    for node in ast.walk(module):
        if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "0" for part in node.format_spec.values]
            form = "".join(map(str, parts))
            if form[-1:] in ("e", "f", "g", "%"):
                yield form


def test_no_number_is_written_as_minus_zero() -> None:
    """The option z of a format leaves out the minus sign of a number that rounds to 0, as in -0.000."""
    formats = {(str(path), form) for path, module in parsed(*ROOMS) for form in float_formats(module)}
    assert len(formats) > 50
    assert {(path, form) for path, form in formats if "z" not in form} == set()
