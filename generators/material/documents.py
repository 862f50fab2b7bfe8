"""Documents of a corpus: a text file, a folder of text files, or the source of Python's standard library.

A document is a file or the text between two separators. If there are fewer than three documents (one long text), they
are cut into blocks of 64 KB, or of a twentieth of the text if that is less, so that some can be held out; the text
before and after a held-out block is then training text. Equal documents count once. Documents are sorted by their hash,
so neither file names nor their order matter.

The standard library is that of the running interpreter without its tests, its tables (`encodings`, `pydoc_data`) and
the files that its build generated: about 10 MB in 600 files. Another release of Python is another corpus.
"""

import os
import sysconfig
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from generators.foundation.errors import UserError

STDLIB = "stdlib"
STDLIB_EXCLUDED = (
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idle_test",
    "encodings",
    "pydoc_data",
    "config-*",
)
STDLIB_GENERATED = "_sysconfigdata*"
DOCUMENTS_MINIMUM = 3
BLOCKS = 20
BLOCK_CHARACTERS_MAXIMUM = 65536
CORPUS_MEGABYTES_MAXIMUM = 512

Files = tuple[tuple[Path, int, int], ...]
"""Path, size in bytes and modification time in ns of every file."""


@dataclass(frozen=True, eq=False)
class Documents:
    """The documents of a corpus. An instance equals only itself, so it can be the key of a cache.

    Attributes:
        texts: the distinct documents, sorted by hash.
        digest: SHA-256 of the sorted hashes.
    """

    texts: tuple[str, ...]
    digest: str


def read_documents(corpus: str, files: str = "*", separator: str | None = None) -> Documents:
    """Reads the documents of `task.corpus`; files are read again only if they have changed.

    Args:
        corpus: path of a text file or a folder, or "stdlib".
        files: pattern for the names of the files of a folder.
        separator: text between two documents of a file; without one each file is a document.

    Raises:
        UserError: the corpus is missing, unreadable, not text, or too small or too large.
    """
    try:
        return _read(corpus, _list_files(corpus, files), separator)
    except OSError as error:
        raise UserError(f'task.corpus = "{corpus}": cannot be read ({error.strerror}); give a text file') from None


def _list_files(corpus: str, pattern: str) -> Files:
    """Lists the files of a corpus; in a folder, the files that match the pattern and are not hidden."""
    path = Path(sysconfig.get_paths()["stdlib"] if corpus == STDLIB else corpus)
    if not path.exists():
        raise UserError(
            f'task.corpus = "{corpus}": no such file; give a path of a text file or of a folder of them, or "{STDLIB}"'
        )
    if pattern != "*" and (corpus == STDLIB or not path.is_dir()):
        raise UserError(f'task.files = "{pattern}": only a folder has files to choose from; leave it out')
    if corpus == STDLIB:
        paths = [file for file in _walk(path, STDLIB_EXCLUDED, "*.py") if not fnmatch(file.name, STDLIB_GENERATED)]
    else:
        paths = _walk(path, (), pattern) if path.is_dir() else [path]
    stats = [(file, file.stat()) for file in paths]
    megabytes = sum(stat.st_size for _, stat in stats) / 1e6
    if megabytes > CORPUS_MEGABYTES_MAXIMUM:
        raise UserError(
            f'task.corpus = "{corpus}": {megabytes:z,.0f} MB, but it has to fit in memory; '
            f"give a part of it, at most {CORPUS_MEGABYTES_MAXIMUM} MB"
        )
    return tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats)


def _walk(root: Path, excluded: tuple[str, ...], pattern: str) -> list[Path]:
    """Lists the files under a folder in order, without following links to folders."""
    excluded = (".*", "__pycache__", *excluded)
    files = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not any(fnmatch(name, glob) for glob in excluded))
        paths = [Path(folder, name) for name in sorted(names) if fnmatch(name, pattern) and not name.startswith(".")]
        files += [path for path in paths if path.is_file()]
    return files


@lru_cache(maxsize=4)
def _read(corpus: str, files: Files, separator: str | None) -> Documents:
    several = corpus == STDLIB or Path(corpus).is_dir()
    texts = [text for file, _, _ in files if (text := _read_text(file, corpus, required=not several)) is not None]
    if not texts:
        raise UserError(
            f'task.corpus = "{corpus}": none of the {len(files)} files in this folder that match task.files is '
            f"UTF-8 text; give a folder of text files"
        )
    documents = _distinct([part for text in texts for part in (text.split(separator) if separator else [text])])
    if not documents:
        raise UserError(
            f'task.corpus = "{corpus}": is empty; should be text, in at least {DOCUMENTS_MINIMUM} documents'
        )
    if len(documents) < DOCUMENTS_MINIMUM and not separator:
        documents = _distinct([block for text in documents for block in _blocks(text)])
    if len(documents) < DOCUMENTS_MINIMUM:
        unit = f'document(s) between task.separator = "{separator}"' if separator else "document(s) or blocks of text"
        raise UserError(
            f'task.corpus = "{corpus}": only {len(documents)} different {unit}; '
            f"should be at least {DOCUMENTS_MINIMUM}, for training, validation and test"
        )
    hashes = {text: sha256(text.encode()).digest() for text in documents}
    return Documents(
        texts=tuple(sorted(documents, key=hashes.__getitem__)),
        digest=sha256(b"".join(sorted(hashes.values()))).hexdigest(),
    )


def _read_text(file: Path, corpus: str, required: bool) -> str | None:
    """Reads a file. If it is not UTF-8 text, returns None, or raises a UserError if the file is required."""
    content = file.read_bytes()
    try:
        text, invalid_byte = content.decode("utf-8-sig"), content.find(b"\0")
    except UnicodeDecodeError as error:
        text, invalid_byte = "", error.start
    if invalid_byte < 0:
        return text
    if required:
        fault = f"byte {invalid_byte} is NUL" if text else f"see byte {invalid_byte}"
        raise UserError(f'task.corpus = "{corpus}": not UTF-8 text ({fault}); give a text file')
    return None


def _distinct(texts: list[str]) -> list[str]:
    """Strips the line breaks around texts and drops blank and repeated ones."""
    return list(dict.fromkeys(text.strip("\r\n") for text in texts if text.strip()))


def _blocks(text: str) -> list[str]:
    """Cuts a text into blocks of 65,536 characters, or of a twentieth of the text if that is less."""
    size = min(BLOCK_CHARACTERS_MAXIMUM, -(-len(text) // BLOCKS))
    return [text[start : start + size] for start in range(0, len(text), size)]
