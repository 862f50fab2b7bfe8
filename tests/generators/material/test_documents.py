"""How a corpus is split into documents, and which corpora are refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generators.foundation.errors import UserError
from generators.material.documents import read_documents
from generators.tasks.text import Text, TextConfig
from tests.generators.corpora import invented_tales


def documents(path: Path, separator: str | None = None, files: str = "*") -> list[str]:
    return sorted(read_documents(str(path), files, separator).texts)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# ---- documents


def test_a_separator_splits_a_file_and_line_breaks_around_documents_are_dropped(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbfone\r\n--\r\n  two\n--\n\n \n--two\nlines\n\n--one--")
    assert documents(path, "--") == ["  two", "one", "two\nlines"]


def test_each_visible_text_file_of_a_folder_and_its_subfolders_is_a_document(
    tmp_path: Path,
) -> None:
    for name in ("a.txt", "b.md", "deep/er/c.txt", ".hidden.txt", ".git/d.txt", "__pycache__/e.txt"):
        write(tmp_path / name, f"text of {name}")
    write(tmp_path / "zeros.txt", bytes(50))
    write(tmp_path / "latin.txt", "Köln".encode("latin-1"))
    write(tmp_path / "empty.txt", "\n")
    os.symlink(tmp_path, tmp_path / "deep" / "round")
    assert documents(tmp_path) == ["text of a.txt", "text of b.md", "text of deep/er/c.txt"]
    write(tmp_path / "f.txt", "text of f.txt")
    assert documents(tmp_path, files="*.txt") == ["text of a.txt", "text of deep/er/c.txt", "text of f.txt"]


@pytest.mark.parametrize(
    ("size", "blocks", "longest"), [(1_000, 20, 50), (65_536 * 20, 20, 65_536), (2_000_000, 31, 65_536)]
)
def test_one_long_text_is_cut_into_blocks(size: int, blocks: int, longest: int, tmp_path: Path) -> None:
    letters = np.random.default_rng(0).integers(97, 123, size, dtype=np.uint8).tobytes().decode()
    cut_blocks = documents(write(tmp_path / "a.txt", letters))
    assert len(cut_blocks) == blocks
    assert max(map(len, cut_blocks)) == longest
    assert sum(map(len, cut_blocks)) == size
    assert all(block in letters for block in cut_blocks)


def test_three_documents_are_not_cut_into_blocks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "%%".join(invented_tales(3)))
    assert documents(path, "%%") == sorted(invented_tales(3))


# ---- errors


@pytest.mark.parametrize(
    ("content", "separator", "reason"),
    [
        (b"", None, "is empty; should be text"),
        (b" \n\n ", None, "is empty; should be text"),
        (b"----", "--", "is empty; should be text"),
        (bytes(5000), None, "not UTF-8 text .byte 0 is NUL.; give a text file"),
        (b"abc\0def", None, "not UTF-8 text .byte 3 is NUL.; give a text file"),
        ("so viel: Köln".encode("latin-1"), None, "not UTF-8 text .see byte 10.; give a text file"),
        (b"a" * 5000, None, "only 1 different document.s. or blocks of text; should be at least 3"),
        (b"ab", None, "only 2 different document.s. or blocks of text; should be at least 3"),
        (
            b"one--two",
            "--",
            'only 2 different document.s. between task.separator = "--"; should be at least 3',
        ),
        (b"text without any", "--", "only 1 different document.s. between task.separator"),
    ],
)
def test_an_unusable_file_is_refused_in_one_sentence(
    content: bytes, separator: str | None, reason: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.txt", content)
    with pytest.raises(UserError, match=reason) as raised:
        documents(path, separator)
    assert str(raised.value).startswith(f'task.corpus = "{path}": ')
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("names", [[], ["picture.png"], [".hidden.txt"]])
def test_a_folder_without_text_is_refused(names: list[str], tmp_path: Path) -> None:
    for name in names:
        write(tmp_path / name, bytes([137, 80, 78, 71, 0]) if name == "picture.png" else "text")
    with pytest.raises(UserError, match=r"none of the . files in this folder that match task.files is UTF-8 text"):
        documents(tmp_path)


@pytest.mark.parametrize(("name", "reason"), [("missing.txt", "no such file; give "), ("x" * 300, "cannot be read")])
def test_a_path_that_cannot_be_read_is_refused_with_its_key(name: str, reason: str, tmp_path: Path) -> None:
    config = TextConfig(corpus=str(tmp_path / name))
    for read_corpus in (config.canonical, lambda: Text(config)):
        with pytest.raises(UserError, match=reason) as raised:
            read_corpus()
        assert str(raised.value).startswith(f'task.corpus = "{tmp_path / name}": ')


def test_a_file_pattern_is_refused_if_the_corpus_is_not_a_folder(tmp_path: Path) -> None:
    for corpus in ("stdlib", str(write(tmp_path / "a.txt", "text"))):
        with pytest.raises(UserError, match=r'task.files = "\*.txt": only a folder has files to choose from'):
            read_documents(corpus, "*.txt")


def test_a_corpus_too_large_for_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(600_000_000)
    with pytest.raises(UserError, match=r"600 MB, but it has to fit in memory; give a part of it, at most 512 MB"):
        documents(tmp_path / "a.txt")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(
        st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=50), max_size=8
    ),
    stories=st.integers(0, 3),
    separator=st.sampled_from([None, "%%"]),
    bpe=st.booleans(),
)
def test_any_file_gives_a_task_or_a_user_error(
    parts: list[bytes], stories: int, separator: str | None, bpe: bool, tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"%%".join([*parts, *(tale.encode() for tale in invented_tales(stories))]))
    config = TextConfig(
        corpus=str(path),
        separator=separator,
        tokens="bpe" if bpe else "bytes",
        vocabulary_tokens=320 if bpe else None,
        length_tokens=16,
        test_samples=1,
        validation_samples=1,
    )
    task = build_or_error(config)
    if isinstance(task, UserError):
        assert str(task).startswith("task.")
    else:
        for split in task.splits:
            assert task.confirmed(task.batch(split, np.arange(20))).all()


def build_or_error(config: TextConfig) -> Text | UserError:
    try:
        return Text(config)
    except UserError as error:
        return error
