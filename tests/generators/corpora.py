"""Small corpora for tests, the tasks built on them, and helpers that read their samples."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from generators.foundation.randomness import Integers
from generators.foundation.settings import validate
from generators.material.bpe import byte_letters
from generators.material.windows import Codes
from generators.tasks.induction_corpus import InductionCorpus, InductionCorpusConfig
from generators.tasks.text import Text, TextConfig

ROOT = Path(__file__).parents[2]
TALES = ROOT / "tests" / "data" / "tales.txt"
"""Thirty-two short tales, written for these tests."""
ANDERSEN = ROOT.parent / "shared" / "data" / "andersen-tales.txt"
"""A long corpus that may lie next to the checkout."""
SEPARATOR = "<|endoftext|>"
SPLITS = ("train", "validation", "test")
LARGE, SMALL, RIMES = "BDFGHKLMNPRSTVW", "bdfghk", ("an", "el", "ir", "om", "ub")
SENTENCES = (
    "Then {a} went to {b} and took the {noun}.",
    "In the {noun}, {a} and {b} were {verb}ing.",
    '{a} said, "{b} is {verb}ed."',
    '"{a}," said {b}, "is far off."',
    "so {a} saw how {b} was {verb}ed by the {noun}.",
    "{b}'s {noun} was {verb}ed, and {a} wept.",
)
FOOTER = "\nTold by nobody to nobody, and written down by nobody, in a year that nobody knows.\n"


def invented_tales(count: int = 30, sentences: int = 30, seed: int = 0) -> list[str]:
    """Makes up tales of three characters each, from syllables, so that many words begin and end alike."""
    random = np.random.default_rng(seed)
    names = [onset + rime + end for onset in LARGE for rime in RIMES for end in ("da", "ling", "red", "ton", "vy")]
    nouns = [onset + rime + end for onset in SMALL for rime in RIMES for end in ("da", "ling", "red")]
    verbs = [onset + rime for onset in "lmnpr" for rime in RIMES]
    tales = []
    for number in range(count):
        characters = random.choice(names, 3, replace=False)
        lines = [f"The tale {number}\n"]
        for _ in range(sentences):
            a, b = random.choice(characters, 2, replace=False)
            sentence = str(random.choice(SENTENCES))
            lines.append(sentence.format(a=a, b=b, noun=random.choice(nouns), verb=random.choice(verbs)))
        tales.append("\n".join(lines))
    return tales


def write_tales(path: Path, tales: list[str]) -> str:
    """Writes tales to one file with separators between them; returns its path."""
    path.write_text(f"\n{SEPARATOR}\n".join(tales), encoding="utf-8")
    return str(path)


def write_text_folder(root: Path) -> Path:
    """Writes 40 tales that end alike and 10 notes that are shorter than a window, one file each."""
    for number, tale in enumerate(invented_tales(40)):
        (root / f"tale-{number:02}.txt").write_text(tale + " å日" + FOOTER, encoding="utf-8")
    for number in range(10):
        (root / f"note-{number}.txt").write_text(f"Note {number}: none.", encoding="utf-8")
    return root


# ---- tasks


def tales_config(corpus: str, **changes: object) -> InductionCorpusConfig:
    """Returns settings of `induction_corpus` for a small corpus."""
    tree = {"kind": "induction_corpus", "corpus": corpus, "vocabulary_tokens": 400, "length_tokens": 64, **changes}
    return validate(InductionCorpusConfig, tree, "the test's spec", "task")


def text_config(corpus: Path | str, **changes: object) -> TextConfig:
    """Returns settings of `text` for a small corpus."""
    tree = {"kind": "text", "corpus": str(corpus), "length_tokens": 32, "test_samples": 50, "validation_samples": 50}
    return validate(TextConfig, {**tree, **changes}, "the test's spec", "task")


def build_text(corpus: Path, tokens: str) -> Text:
    """Builds the task of a folder in "bytes" or in "bpe", or of the standard library for "stdlib"."""
    if tokens == "stdlib":
        return Text(TextConfig())
    return Text(text_config(corpus) if tokens == "bytes" else text_config(corpus, tokens="bpe", vocabulary_tokens=400))


# ---- reading samples


def name_positions(task: InductionCorpus, tokens: list[int]) -> dict[int, list[int]]:
    """Maps the first token of each name to the positions of its second token."""
    prepared = task.prepared
    first, second = np.nonzero(prepared.pairs)
    pairs = set(zip(prepared.firsts[first].tolist(), prepared.seconds[second].tolist(), strict=True))
    positions = defaultdict(list)
    for position, pair in enumerate(pairwise(tokens), start=1):
        if pair in pairs:
            positions[pair[0]].append(position)
    return positions


def without_cut_words(task: InductionCorpus, tokens: Integers) -> list[int]:
    """Returns a window without padding and without its first and last word, which may be cut."""
    kept: list[int] = tokens[tokens != task.padding].tolist()
    spaces = [position for position, token in enumerate(kept) if task.vocabulary[token].startswith("Ġ")]
    return kept[spaces[1] : spaces[-1]]


def split_rows(task: Text, split: str) -> list[Codes]:
    """Returns the tokens of each document of a split."""
    tokens = task.corpus.splits[split]
    return [tokens.row[start : start + size] for start, size in zip(tokens.starts, tokens.sizes, strict=True)]


def split_documents(task: Text, split: str) -> list[bytes]:
    """Decodes the documents of a split from their tokens by GPT-2's byte alphabet."""
    byte = {letter: number for number, letter in enumerate(byte_letters())}
    words = [[task.vocabulary[token] for token in row] for row in split_rows(task, split)]
    return [bytes(byte[letter] for word in document for letter in word) for document in words]
