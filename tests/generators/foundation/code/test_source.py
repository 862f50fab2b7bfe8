"""The modules that a module uses, in a package of many forms of imports."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from generators.foundation.code.source import find_source, import_closure
from generators.foundation.code.version import changed_parts, conflicting_parts, module_versions, version_digest

FILES = {
    "__init__.py": "from importing_package.facade import Thing\nfrom .unused import Unused\nCONSTANT = 1\n",
    "facade/__init__.py": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from importing_package.thing import Thing\n"
        "else:\n    __getattr__ = {'Thing': 1}.__getitem__\n"
    ),
    "thing.py": "import importing_package.used\nclass Thing: ...\n",
    "used.py": "def late():\n    from . import later\n",
    "later.py": "from importing_package.sub.deep import *\n",
    "sub/__init__.py": "",
    "sub/deep.py": "from ..sideways import NAME\nimport json, numpy\n",
    "sideways.py": "NAME = 1\n",
    "unused.py": "class Unused: ...\n",
    "typed.py": "class Typed: ...\n",
    "root.py": (
        "from typing import TYPE_CHECKING\nfrom importing_package import Thing\n"
        "if TYPE_CHECKING:\n    from importing_package.typed import Typed\n"
    ),
    "constant.py": "from importing_package import CONSTANT\n",
    "broken.py": "def (:\n",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("site")
    for name, text in FILES.items():
        path = folder / "importing_package" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder / "importing_package"
    find_source.cache_clear()


def closure(root: str, leave_out: str = "") -> set[str]:
    modules = import_closure(
        [f"importing_package.{root}"],
        frozenset({"importing_package"}),
        lambda module: not leave_out or not module.endswith(leave_out),
    )
    return {module.removeprefix("importing_package.") for module in modules}


def test_imports_are_followed_to_the_files_that_define_the_names(package: Path) -> None:
    assert closure("root") == {"root", "thing", "used", "later", "sub.deep", "sideways"}


def test_what_a_package_defines_itself_brings_all_that_it_imports(package: Path) -> None:
    assert closure("constant") >= {"constant", "importing_package", "unused", "thing"}


def test_a_module_that_is_not_covered_is_followed_no_further(package: Path) -> None:
    assert closure("root", leave_out="used") == {"root", "thing"}


def test_an_edit_changes_the_version_and_a_comment_does_not(package: Path) -> None:
    before = module_versions(import_closure(["importing_package.root"], frozenset({"importing_package"}), bool))
    assert changed_parts(before) == []

    def version_with(name: str, text: str) -> dict[str, str]:
        (package / name).write_text(text)
        find_source.cache_clear()
        return module_versions(before)

    commented = version_with("thing.py", "# A remark.\n" + FILES["thing.py"])
    edited = version_with("sideways.py", "NAME = 2\n")
    assert commented != before
    assert conflicting_parts([before, commented]) == []
    assert version_digest(commented) == version_digest(before) != version_digest(edited)
    assert conflicting_parts([before, commented, edited]) == ["importing_package.sideways"]
    assert conflicting_parts([before, {"another": edited["importing_package.sideways"]}]) == []
    (package / "used.py").unlink()
    find_source.cache_clear()
    assert "importing_package.used" not in module_versions(before)


def test_a_file_that_is_not_python_counts_by_its_content(package: Path) -> None:
    broken, extension = (find_source(name) for name in ("importing_package.broken", "numpy._core._multiarray_umath"))
    assert broken is not None
    assert broken.digest == f"{broken.content_digest}/{broken.content_digest}"
    assert extension is not None
    assert extension.digest == f"{extension.content_digest}/{extension.content_digest}"
    assert find_source("importing_package.nowhere") is None
