"""A corpus, prepared for induction: its tales, the names told in them, their tokens, and what new names are made of.

What is a name (`find_names`): a word that begins with a capital and goes on in lower case, hyphenated words as a
whole, which in its tale
  - stands at least `mentions` times, twice or more in mid-sentence (behind a word and a space, comma or semicolon);
  - stands behind "in", "at", "from" ... in at most 30% of its mentions, for then it is a place ("in Lapland"),
    and behind "the", "a", "this" ... in at most 40%, for then it is a noun or a people ("the Reindeer");
and in the whole corpus is written small at most once in twenty; and which is no title, feast, day, month, people,
country or God (`NOT_NAMES`). The function words are English, and so is the precision: in Andersen's tales nine in
ten are characters. The rest are mostly places that act ("Glänö lay near ..."); they come back like any name.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.material.bpe import PADDING, train_bpe, vocabulary_of
from generators.task import Mask

TALES_MINIMUM = 3
HELD_OUT_SHARE = 10  # one tale in ten is for test, one for validation ...
NAMED_SHARE = 4  # ... but no more than one in four of those with names: training needs names too
# A part of a name is no rarer in training than this, so that only the pairing is new; the commonest are enough.
SEEN_MINIMUM = 10
FIRSTS_MAXIMUM, SECONDS_MAXIMUM = 64, 256

WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
PLACE_WORDS = {"at", "by", "from", "in", "into", "near", "of", "over", "round", "through", "to", "toward", "towards"}
NOUN_WORDS = {"a", "all", "an", "any", "every", "no", "our", "some", "that", "the", "these", "this", "those", "your"}
PLACE_SHARE_MAXIMUM, NOUN_SHARE_MAXIMUM, SMALL_SHARE_MAXIMUM = 0.3, 0.4, 0.05
MID_SENTENCE_MINIMUM = 2
NOT_NAMES = """
Mr Mrs Miss Ms Dr Sir Madam Madame Monsieur Lady Lord Herr Frau King Queen Prince Princess Saint St
God Christ Jesus Saviour Madonna Bible Testament Gospel Christian Christians Jew Jews Jewish
Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August
September October November December Christmas Easter Michaelmas Whitsuntide Yule New-year
American Arab Chinese Dane Danes Danish Dutch Egyptian English Englishman Englishmen European French German Germans
Greek Greeks Indian Irish Italian Latin Norse Norwegian Polish Portuguese Roman Romans Russian Scotch Spaniard
Spanish Swede Swedes Swedish Swiss Turk Turkish Turks
Africa Alps America Asia Denmark Egypt England Europe France Germany Greece India Italy Norway Spain Sweden
"""


@dataclass(frozen=True)
class Library:
    """A corpus, prepared.

    Attributes:
        tales, names: the texts of each split, and the names found in each text.
        codes: tokens of each tale; in held-out tales -1 - 2c and -2 - 2c stand for the name of character c.
        firsts, seconds: tokens [F], [S] that names are made of.
        pairs: bool [F, S], which of them make a name: encoded to just these two tokens, and nowhere in the corpus.
    """

    encoder: Tokenizer
    vocabulary: tuple[str, ...]
    tales: dict[str, list[str]]
    names: dict[str, list[tuple[str, ...]]]
    codes: dict[str, list[Integers]]
    firsts: Integers
    seconds: Integers
    pairs: Mask


def read_corpus(path: str) -> bytes:
    """The bytes of the file at `task.corpus`.

    Raises:
        UserError: there is no such file, it is none, or it cannot be read.
    """
    try:
        if not Path(path).exists():
            raise UserError(f'task.corpus = "{path}": no such file; give the path of a text file of tales')
        if not Path(path).is_file():
            raise UserError(f'task.corpus = "{path}": not a file; give the path of a text file of tales')
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f'task.corpus = "{path}": cannot be read ({error.strerror}); give a text file') from None


def split_tales(content: bytes, separator: str, path: str) -> list[str]:
    """The distinct tales of a text, in order; lines are joined, and a blank line becomes one line break.

    Raises:
        UserError: not UTF-8, or fewer than three different tales.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f'task.corpus = "{path}": not UTF-8 text (see byte {error.start}); give a text file') from None
    tales = []
    for tale in text.split(separator):
        unbroken = re.sub(r"(?<=\w)-\r?\n(?=\w)", "-", tale)
        paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", unbroken))
        tales.append("\n".join(paragraph for paragraph in paragraphs if paragraph))
    distinct = list(dict.fromkeys(tale for tale in tales if tale))
    if not distinct:
        raise UserError(f'task.corpus = "{path}": is empty; should be at least {TALES_MINIMUM} tales')
    if len(distinct) < TALES_MINIMUM:
        raise UserError(
            f'task.corpus = "{path}": only {len(distinct)} different tale(s) where task.separator = "{separator}" '
            f"parts them; should be at least {TALES_MINIMUM}, for training, validation and test"
        )
    return distinct


def find_names(tales: Sequence[str], mentions: int) -> list[tuple[str, ...]]:
    """The names in each tale, in order of appearance; the rule is in the docstring of this file."""
    not_names = frozenset(NOT_NAMES.split())
    small: Counter[str] = Counter()
    large: Counter[str] = Counter()
    told = []
    for tale in tales:
        contexts = defaultdict(list)
        before, end = "", 0
        for match in WORD.finditer(tale):
            word, gap = match.group(), tale[end : match.start()]
            if word[0].isupper() and word[1:2].islower():
                large[word.lower()] += 1
                contexts[word].append((before.lower() if gap == " " else "", bool(before) and gap in (" ", ", ", "; ")))
            else:
                small[word] += 1
            before, end = word, match.end()
        told.append(contexts)

    def is_name(word: str, contexts: list[tuple[str, bool]]) -> bool:
        count = len(contexts)
        return (
            count >= mentions
            and word not in not_names
            and sum(within for _, within in contexts) >= MID_SENTENCE_MINIMUM
            and sum(before in PLACE_WORDS for before, _ in contexts) <= PLACE_SHARE_MAXIMUM * count
            and sum(before in NOUN_WORDS for before, _ in contexts) <= NOUN_SHARE_MAXIMUM * count
            and small[word.lower()] <= SMALL_SHARE_MAXIMUM * large[word.lower()]
        )

    return [tuple(word for word, contexts in tale.items() if is_name(word, contexts)) for tale in told]


@lru_cache(maxsize=4)
def prepare(
    corpus: str, content: bytes, separator: str, vocabulary_tokens: int, name_mentions: int, names_per_window: int
) -> Library:
    """The library of a corpus: 2 s for 2 MB, once a process, since all tasks on the same bytes share it.

    Raises:
        UserError: not text, too few tales, too few names, or a vocabulary that no name can be made of.
    """
    texts = split_tales(content, separator, corpus)
    found = find_names(texts, name_mentions)
    usable = [n for n, names in enumerate(found) if len(names) >= names_per_window]
    if len(usable) < 2:
        raise UserError(
            f'task.corpus = "{corpus}": only {len(usable)} of its {len(texts)} tales have task.names_per_window = '
            f"{names_per_window} names of characters that come back; should be at least 2, for validation and test"
        )
    usable.sort(key=lambda n: sha256(texts[n].encode()).digest())
    size = max(1, min(len(texts) // HELD_OUT_SHARE, len(usable) // NAMED_SHARE))
    held_out = {"validation": usable[size : 2 * size], "test": usable[:size]}
    members = {"train": sorted(set(range(len(texts))).difference(*held_out.values())), **held_out}
    tales = {split: [texts[n] for n in places] for split, places in members.items()}
    names = {split: [found[n] for n in places] for split, places in members.items()}
    encoder = train_bpe(tales["train"], vocabulary_tokens - 1)
    codes = {"train": [_coded(encoder, text, ()) for text in tales["train"]]}
    for split in held_out:
        codes[split] = [_coded(encoder, text, known) for text, known in zip(tales[split], names[split], strict=True)]
    firsts, seconds, pairs = _name_parts(encoder, codes)
    if len(firsts) < 2:
        raise UserError(
            f"task.vocabulary_tokens = {vocabulary_tokens}: of the tokens learnt from {corpus} too few can be parts of "
            f"a name; about 400 suit a short text, 1024 and more a long one"
        )
    return Library(encoder, (*vocabulary_of(encoder), PADDING), tales, names, codes, firsts, seconds, pairs)


def _coded(encoder: Tokenizer, text: str, names: tuple[str, ...]) -> Integers:
    """Codes [T] of a tale. What stands between names is encoded by itself: the pre-tokeniser cuts there anyway."""
    codes: list[int] = []
    end = 0
    for match in WORD.finditer(text) if names else ():
        if match.group() in names:
            character = names.index(match.group())
            codes += encoder.encode(text[end : match.start()].removesuffix(" ")).ids
            codes += (-1 - 2 * character, -2 - 2 * character)
            end = match.end()
    return np.array(codes + encoder.encode(text[end:]).ids, dtype=np.int64)


def _name_parts(encoder: Tokenizer, codes: dict[str, list[Integers]]) -> tuple[Integers, Integers, Mask]:
    """What names are made of: first tokens [F], second tokens [S], and which pairs will do, bool [F, S].

    A first token is a space and a capitalised word, and in training goes on within the word more often than not;
    a second one is two small letters or more, and ends words there. Every first has at least F seconds.
    """
    size = encoder.get_vocab_size()
    texts = [encoder.decode([token]) for token in range(size)]
    opening = np.array([text[:1] == " " and text[1:].isalpha() and text[1:].istitle() for text in texts])
    closing = np.array([len(text) > 1 and text.isalpha() and text.islower() for text in texts])
    # The -1 of an end of tale, or of a name, picks the last entry: neither the one nor the other.
    continues = np.array([*(text[:1].isalpha() for text in texts), False])
    in_word = np.array([*(text[-1:].isalpha() for text in texts), False])
    row = np.concatenate([part for tale in codes["train"] for part in (tale, [-1])])
    before, here, after = row[:-2], row[1:-1], row[2:]
    seen = np.bincount(here[here >= 0], minlength=size)
    continued = np.bincount(here[(here >= 0) & continues[after]], minlength=size)
    ended = np.bincount(here[(here >= 0) & in_word[before] & ~continues[after]], minlength=size)

    def commonest(usable: Mask, counts: Integers, maximum: int) -> Integers:
        tokens = np.flatnonzero(usable & (counts >= SEEN_MINIMUM))
        return np.sort(tokens[np.argsort(-counts[tokens], kind="stable")[:maximum]])

    firsts = commonest(opening & (2 * continued >= seen), continued, FIRSTS_MAXIMUM)
    seconds = commonest(closing, ended, SECONDS_MAXIMUM)
    row = np.concatenate([part for tales in codes.values() for tale in tales for part in (tale, [-1])])
    here, after = row[:-1], row[1:]
    met = (here * size + after)[(here >= 0) & (after >= 0)]
    pairs = ~np.isin(firsts[:, None] * size + seconds, met)
    for first, second in np.argwhere(pairs):
        name = [firsts[first], seconds[second]]
        pairs[first, second] = encoder.encode(texts[name[0]] + texts[name[1]]).ids == name
    enough = pairs.sum(axis=1) >= len(firsts)
    return firsts[enough], seconds, pairs[enough]
