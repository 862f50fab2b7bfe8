"""Small texts made up for tests, and how the documents of a text task are read back."""

from pathlib import Path

from generators.foundation.settings import validate
from generators.material.bpe import byte_letters
from generators.material.windows import Codes
from generators.tasks.text import Text, TextConfig
from tests.generators.tales import invented

SPLITS = ("train", "validation", "test")
FOOTER = "\nTold by nobody to nobody, and written down by nobody, in a year that nobody knows.\n"


def written_folder(root: Path) -> Path:
    """40 tales that end alike, and 10 that are shorter than a window."""
    for number, tale in enumerate(invented(40)):
        (root / f"tale-{number:02}.txt").write_text(tale + " å日" + FOOTER, encoding="utf-8")
    for number in range(10):
        (root / f"note-{number}.txt").write_text(f"Note {number}: none.", encoding="utf-8")
    return root


def small(corpus: Path | str, **changes: object) -> TextConfig:
    tree = {"kind": "text", "corpus": str(corpus), "length_tokens": 32, "test_samples": 50, "validation_samples": 50}
    return validate(TextConfig, {**tree, **changes}, "the test's spec", "task")


def built(corpus: Path, tokens: str) -> Text:
    """The task of a folder in bytes or in bpe; of the standard library for "stdlib"."""
    if tokens == "stdlib":
        return Text(TextConfig())
    return Text(small(corpus) if tokens == "bytes" else small(corpus, tokens="bpe", vocabulary_tokens=400))


def rows_of(task: Text, split: str) -> list[Codes]:
    """The tokens of each document of a split."""
    shelf = task.corpus.splits[split]
    return [shelf.row[start : start + size] for start, size in zip(shelf.starts, shelf.sizes, strict=True)]


def documents_of(task: Text, split: str) -> list[bytes]:
    """The documents of a split, read back from its tokens as GPT-2's alphabet is meant to be read."""
    byte = {letter: number for number, letter in enumerate(byte_letters())}
    words = [[task.vocabulary[token] for token in row] for row in rows_of(task, split)]
    return [bytes(byte[letter] for word in document for letter in word) for document in words]
