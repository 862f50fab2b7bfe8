"""The BibTeX entries of README and of study pages say what CITATION.cff says."""

import re
import tomllib
from pathlib import Path

import yaml

from reports.pages.html import TEMPLATES

ROOT = Path(__file__).parents[1]
BIBTEX = (TEMPLATES / "cite.bib").read_text(encoding="utf-8")
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def entries() -> list[dict[str, str]]:
    """Returns the fields of each BibTeX entry, as they print."""
    parsed = []
    for entry in re.findall(r"@\w+\{\w+,\n(.*?)\n\}", BIBTEX, flags=re.DOTALL):
        fields = dict(re.findall(r"^  (\w+) *= \{(.*)\},$", entry, flags=re.MULTILINE))
        plain = {key: text.replace(r"{\`e}", "è").replace(r"\&", "&").strip("{}") for key, text in fields.items()}
        parsed.append(plain)
    return parsed


def test_the_entry_of_the_lab_says_what_the_citation_file_says() -> None:
    lab, _ = entries()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert lab["title"] == CITATION["title"]
    assert lab["author"] == " and ".join(author["name"] for author in CITATION["authors"])
    assert lab["note"] == f"Software, version {CITATION['version']}"
    assert CITATION["version"] == version


def test_the_entry_of_the_paper_says_what_the_citation_file_says() -> None:
    _, paper = entries()
    (reference,) = CITATION["references"]
    authors = [f"{author['family-names']}, {author['given-names']}" for author in reference["authors"]]
    assert paper["author"] == " and ".join(authors)
    assert {key: paper[key] for key in ("title", "url")} == {key: reference[key] for key in ("title", "url")}
    assert paper["year"] == str(reference["year"])
    assert paper["journal"].removeprefix("arXiv preprint arXiv:") == reference["url"].rpartition("/")[2]


def test_the_readme_has_the_entries_of_the_pages() -> None:
    assert f"```bibtex\n{BIBTEX}```\n" in (ROOT / "README.md").read_text(encoding="utf-8")
