"""A corpus made up for tests, and how its samples are read."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from generators.foundation.randomness import Integers
from generators.foundation.settings import validate
from generators.task import Batch
from generators.tasks.induction_corpus import InductionCorpus, InductionCorpusConfig

ROOT = Path(__file__).parents[2]
ANDERSEN = ROOT.parent / "shared" / "data" / "andersen-tales.txt"
SEPARATOR = "<|endoftext|>"
LARGE, SMALL, RIMES = "BDFGHKLMNPRSTVW", "bdfghk", ("an", "el", "ir", "om", "ub")
SENTENCES = (
    "Then {a} went to {b} and took the {noun}.",
    "In the {noun}, {a} and {b} were {verb}ing.",
    '{a} said, "{b} is {verb}ed."',
    '"{a}," said {b}, "is far off."',
    "so {a} saw how {b} was {verb}ed by the {noun}.",
    "{b}'s {noun} was {verb}ed, and {a} wept.",
)


def invented(tales: int = 30, sentences: int = 30, seed: int = 0) -> list[str]:
    """Tales of three characters each, with words of syllables, so that many words begin and end alike."""
    random = np.random.default_rng(seed)
    names = [onset + rime + end for onset in LARGE for rime in RIMES for end in ("da", "ling", "red", "ton", "vy")]
    nouns = [onset + rime + end for onset in SMALL for rime in RIMES for end in ("da", "ling", "red")]
    verbs = [onset + rime for onset in "lmnpr" for rime in RIMES]
    told = []
    for number in range(tales):
        characters = random.choice(names, 3, replace=False)
        lines = [f"The tale {number}\n"]
        for _ in range(sentences):
            a, b = random.choice(characters, 2, replace=False)
            sentence = str(random.choice(SENTENCES))
            lines.append(sentence.format(a=a, b=b, noun=random.choice(nouns), verb=random.choice(verbs)))
        told.append("\n".join(lines))
    return told


def written(path: Path, tales: list[str]) -> str:
    path.write_text(f"\n{SEPARATOR}\n".join(tales), encoding="utf-8")
    return str(path)


def small(corpus: str, **changes: object) -> InductionCorpusConfig:
    tree = {"kind": "induction_corpus", "corpus": corpus, "vocabulary_tokens": 400, "length_tokens": 64, **changes}
    return validate(InductionCorpusConfig, tree, "the test's spec", "task")


def names_of(task: InductionCorpus, tokens: list[int]) -> dict[int, list[int]]:
    """Places of the second tokens of each name, by its first token."""
    prepared = task.prepared
    first, second = np.nonzero(prepared.pairs)
    pairs = set(zip(prepared.firsts[first].tolist(), prepared.seconds[second].tolist(), strict=True))
    places = defaultdict(list)
    for place, pair in enumerate(pairwise(tokens), start=1):
        if pair in pairs:
            places[pair[0]].append(place)
    return places


def inner(task: InductionCorpus, tokens: Integers) -> list[int]:
    """A window less the words it begins and ends in, which are cut."""
    kept: list[int] = tokens[tokens != task.padding].tolist()
    spaces = [place for place, token in enumerate(kept) if task.vocabulary[token].startswith("Ġ")]
    return kept[spaces[1] : spaces[-1]]


def assert_equal(one: Batch, other: Batch) -> None:
    assert (one.tokens == other.tokens).all()
    assert (one.loss == other.loss).all()
    assert (one.scored == other.scored).all()
    assert (one.labels["mention"] == other.labels["mention"]).all()
