"""Documents of a corpus: a text file, a folder of text files, or the source of Python's standard library.

A document is a file, or what stands between two separators. Fewer than three documents (one long text) are cut into
blocks of 64 KB, or of a twentieth where that is less, so that there is something to hold out; the neighbours of a
held-out block are then training text. Equal documents are one. Documents stand in the order of their hashes, so that
neither the names of files nor their order has a say in anything.

The standard library is that of the interpreter at hand, less its tests, its tables (`encodings`, `pydoc_data`) and
what the machine's build wrote: about 10 MB in 600 files. Another release of Python is another corpus.
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
STDLIB_WITHOUT = ("site-packages", "dist-packages", "test", "tests", "idle_test", "encodings", "pydoc_data", "config-*")
STDLIB_GENERATED = "_sysconfigdata*"
DOCUMENTS_MINIMUM = 3
BLOCKS = 20
BLOCK_CHARACTERS_MAXIMUM = 65536
CORPUS_MEGABYTES_MAXIMUM = 512

Files = tuple[tuple[Path, int, int], ...]
"""Path, size and time of change of each."""


@dataclass(frozen=True, eq=False)
class Documents:
    """A corpus, read. Equal only to itself, so that it can be the key of a cache.

    Attributes:
        texts: the distinct documents, in the order of their hashes.
        digest: of them all.
    """

    texts: tuple[str, ...]
    digest: str


def read_documents(corpus: str, files: str = "*", separator: str | None = None) -> Documents:
    """The documents of `task.corpus`, read again only when its files have changed.

    Raises:
        UserError: there is nothing to read, it is no text, or it is too little or too much.
    """
    try:
        return _read(corpus, _listed(corpus, files), separator)
    except OSError as error:
        raise UserError(f'task.corpus = "{corpus}": cannot be read ({error.strerror}); give a text file') from None


def _listed(corpus: str, pattern: str) -> Files:
    """The files of a corpus; of a folder those whose name fits the pattern, hidden ones left out."""
    path = Path(sysconfig.get_paths()["stdlib"] if corpus == STDLIB else corpus)
    if not path.exists():
        raise UserError(
            f'task.corpus = "{corpus}": no such file; give a path of a text file or of a folder of them, or "{STDLIB}"'
        )
    if pattern != "*" and (corpus == STDLIB or not path.is_dir()):
        raise UserError(f'task.files = "{pattern}": only a folder has files to choose from; leave it out')
    if corpus == STDLIB:
        found = [file for file in _walk(path, STDLIB_WITHOUT, "*.py") if not fnmatch(file.name, STDLIB_GENERATED)]
    else:
        found = _walk(path, (), pattern) if path.is_dir() else [path]
    stats = [(file, file.stat()) for file in found]
    megabytes = sum(stat.st_size for _, stat in stats) / 1e6
    if megabytes > CORPUS_MEGABYTES_MAXIMUM:
        raise UserError(
            f'task.corpus = "{corpus}": {megabytes:,.0f} MB, and it is held in memory; '
            f"give a part of it, at most {CORPUS_MEGABYTES_MAXIMUM} MB"
        )
    return tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats)


def _walk(root: Path, without: tuple[str, ...], pattern: str) -> list[Path]:
    """Files under a folder, in order; links to folders are not followed."""
    found = []
    for folder, subfolders, names in os.walk(root):
        left_out = (".*", "__pycache__", *without)
        subfolders[:] = sorted(name for name in subfolders if not any(fnmatch(name, each) for each in left_out))
        paths = [Path(folder, name) for name in sorted(names) if fnmatch(name, pattern) and not name.startswith(".")]
        found += [path for path in paths if path.is_file()]
    return found


@lru_cache(maxsize=4)
def _read(corpus: str, files: Files, separator: str | None) -> Documents:
    several = corpus == STDLIB or Path(corpus).is_dir()
    texts = [text for file, _, _ in files if (text := _text(file, corpus, must=not several)) is not None]
    if not texts:
        raise UserError(
            f'task.corpus = "{corpus}": none of the {len(files)} files of this folder that task.files allows is '
            f"UTF-8 text; give a folder of text files"
        )
    found = _distinct([part for text in texts for part in (text.split(separator) if separator else [text])])
    if not found:
        raise UserError(
            f'task.corpus = "{corpus}": is empty; should be text, in at least {DOCUMENTS_MINIMUM} documents'
        )
    if len(found) < DOCUMENTS_MINIMUM and not separator:
        found = _distinct([block for text in found for block in _blocks(text)])
    if len(found) < DOCUMENTS_MINIMUM:
        parted = f'where task.separator = "{separator}" parts them' if separator else "or blocks of text"
        raise UserError(
            f'task.corpus = "{corpus}": only {len(found)} different document(s) {parted}; '
            f"should be at least {DOCUMENTS_MINIMUM}, for training, validation and test"
        )
    hashes = {text: sha256(text.encode()).digest() for text in found}
    return Documents(
        texts=tuple(sorted(found, key=hashes.__getitem__)),
        digest=sha256(b"".join(sorted(hashes.values()))).hexdigest(),
    )


def _text(file: Path, corpus: str, must: bool) -> str | None:
    """What a file says; None for one that is no text, unless it must be."""
    content = file.read_bytes()
    try:
        text, wrong = content.decode("utf-8-sig"), content.find(b"\0")
    except UnicodeDecodeError as error:
        text, wrong = "", error.start
    if wrong < 0:
        return text
    if must:
        raise UserError(f'task.corpus = "{corpus}": not UTF-8 text (see byte {wrong}); give a text file')
    return None


def _distinct(texts: list[str]) -> list[str]:
    """Each text once, without the line breaks around it; blank ones are none."""
    return list(dict.fromkeys(text.strip("\r\n") for text in texts if text.strip()))


def _blocks(text: str) -> list[str]:
    size = min(BLOCK_CHARACTERS_MAXIMUM, -(-len(text) // BLOCKS))
    return [text[start : start + size] for start in range(0, len(text), size)]
