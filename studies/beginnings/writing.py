"""Writes a beginning from its templates, which are files of this package with `$name` and the like in them.

NAME/NAME.py  NAME/test_NAME.py  NAME/run.toml  NAME/pyproject.toml  NAME/README.md    a part
NAME.toml                                                                             a study
"""

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from generators.foundation.errors import UserError
from generators.foundation.outputs import check_output_folder, make_output_folder
from studies.beginnings.names import class_name_of, distribution_of

TEMPLATES = Path(__file__).parent / "templates"
ENDING = ".template"
FILE_NAMES = {"module.py": "{name}.py", "test.py": "test_{name}.py", "study.toml": "{name}.toml"}
"""Template -> the name of its file, if that is not the template's own."""
OPTION = "--to"


def beginning_files(noun: str, name: str) -> dict[str, str]:
    """Returns file name -> text of a beginning.

    Args:
        noun: the folder of its templates.

    Raises:
        UserError: the part's class would have the name of something that its module uses.
    """
    class_name = class_name_of(name)
    words = {"name": name, "class_name": class_name, "distribution": distribution_of(name)}
    files = {}
    for path in sorted((TEMPLATES / noun).glob(f"*{ENDING}")):
        text = path.read_text(encoding="utf-8")
        if path.stem.endswith(".py"):
            check_class_name(text, noun, name, class_name)
        files[FILE_NAMES.get(path.stem, path.stem).format(name=name)] = Template(text).substitute(words)
    return files


def check_class_name(template: str, noun: str, name: str, class_name: str) -> None:
    """Checks that neither the class nor its settings have a name that the template uses.

    Raises:
        UserError: one of them has.
    """
    used = set(re.findall(r"(?<![$\w])\w+", template))
    for own_name in (class_name, f"{class_name}Config"):
        if own_name in used:
            raise UserError(
                f"lab new {noun} {name}: its class {own_name} would hide another {own_name} of its module; "
                "give another name"
            )


def write_beginning(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Writes files into a folder, which is created if needed; returns their paths.

    Raises:
        UserError: one of the files exists, in which case nothing is written, or the folder cannot be written to.
    """
    check_output_folder(OPTION, folder)
    paths = [folder / name for name in files]
    for path in paths:
        if path.exists() or path.is_symlink():
            raise UserError(f"{path}: exists and stays as it is; give another name or another {OPTION}")
    make_output_folder(OPTION, folder, folder)
    for path, text in zip(paths, files.values(), strict=True):
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror}); give another {OPTION}") from None
    return paths
