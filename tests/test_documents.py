"""The documents: links and paths lead somewhere, commands and options exist, the README stays short."""

import ast
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer

from lab.__main__ import COMMANDS, load_command

ROOT = Path(__file__).parents[1]
ROOMS = ("generators", "lab", "studies", "reports")
DOCUMENTS = [ROOT / name for name in ("README.md", "FINDINGS.md", "LOG.md")] + sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w/.-])((?:generators|lab|studies|reports|tests|benchmarks|docs)/[\w./-]*\w)")
MODULE = re.compile(r"python -m ([\w.]+)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
WRITTEN_BY_THE_LAB = "studies/NAME/SCALE/"

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def anchors(document: Path) -> set[str]:
    """Returns the anchors of a document's headings, as GitHub forms them."""
    headings = HEADING.findall(document.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@documents
def test_every_relative_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    links = [link for link in LINK.findall(document.read_text(encoding="utf-8")) if "://" not in link]
    broken = []
    for link in links:
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@documents
def test_every_path_and_module_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    paths = {path for path in PATH.findall(text) if not path.startswith(WRITTEN_BY_THE_LAB)}
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    modules = {module for module in MODULE.findall(text) if module.partition(".")[0] in ("lab", "tests", "benchmarks")}
    assert {module for module in modules if find_spec(module) is None} == set()


def command_lines(document: Path) -> list[str]:
    """Returns the `lab` commands in a document's code blocks and inline code, without comments."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:sh|bash)?\n(.*?)```", text, re.DOTALL) + re.findall(
        r"(?:^    .+\n)+", text, re.MULTILINE
    )
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`(lab [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    commands = [part.strip() for line in lines for part in line.partition("   #")[0].split("&&")]
    return [command for command in commands if re.match(r"lab [a-z]", command)]


def unknown_words(line: str) -> list[str]:
    """Returns the subcommands and options of a command line that `lab` does not have."""
    words = shlex.split(line.partition(" # ")[0], posix=True)[1:]
    if words[0] not in COMMANDS:
        return words[:1]
    application = load_command(words[0], COMMANDS[words[0]][0])
    command: Any = typer.main.get_command(application)  # a click command, of whichever click typer brings
    position = 0
    while hasattr(command, "commands") and position < len(words) and not words[position].startswith("-"):
        if words[position] not in command.commands:
            return [words[position]]
        command = command.commands[words[position]]
        position += 1
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    options = {word.strip("[]").partition("=")[0] for word in words[position:] if word.startswith(("--", "[--"))}
    return sorted(options - known)


@documents
def test_every_command_and_option_exists(document: Path) -> None:
    unknown = {line: words for line in command_lines(document) if (words := unknown_words(line))}
    assert unknown == {}


@documents
def test_python_examples_import_public_names_only(document: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    tree = ast.parse("\n".join(blocks)) if document.name != "your-own-objective.md" else ast.parse(blocks[0])
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ROOMS:
            names |= {(node.module or "", alias.name) for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ROOMS:
            names.add((node.value.id, node.attr))
    assert {name for name in names if name[0] not in ROOMS or name[1] not in import_module(name[0]).__all__} == set()


def test_the_readme_is_short() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(re.sub(r"\n```bibtex.*?```\n", "", readme, flags=re.DOTALL).splitlines()) <= 150
