"""Tales prepared for the induction task: the names in them, their tokens, and the tokens for new names.

A name (`find_names`) is a word, hyphenated words as a whole, that begins with a capital and continues in lower case and

  - occurs at least `mentions` times in its tale, at least twice in mid-sentence (after a word and a space, comma or
    semicolon);
  - follows "in", "at", "from" ... in at most 30% of its mentions (otherwise it is a place: "in Lapland") and "the",
    "a", "this" ... in at most 40% (otherwise it is a noun or a people: "the Reindeer");
  - is written in lower case in at most one in twenty occurrences in the whole corpus;
  - is not a title, feast, day, month, people, country or God (`NOT_NAMES`).

The function words are English. In Andersen's tales nine in ten names are characters; the rest are mostly places that
act ("Glänö lay near ..."), which recur like any name.
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
NAMED_SHARE = 4  # ... but at most one in four of the tales with names, because training needs names too
# Parts of names occur at least this often in training, so that only the pairing is new.
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
class PreparedTales:
    """Tales with their names and tokens.

    Attributes:
        encoder: the BPE, trained on the training tales.
        vocabulary: its tokens, then padding.
        numbers, tales, names: split -> the texts, their numbers in the corpus, and the names in each text.
        codes: split -> the tokens of each tale; in held-out tales the codes -1 - 2c and -2 - 2c stand for the name of
            character c.
        firsts, seconds: tokens [F], [S] that new names are made of.
        pairs: bool [F, S], whether two of them form a name: the pair is encoded as these two tokens and occurs nowhere
            in the corpus.
    """

    encoder: Tokenizer
    vocabulary: tuple[str, ...]
    numbers: dict[str, list[int]]
    tales: dict[str, list[str]]
    names: dict[str, list[tuple[str, ...]]]
    codes: dict[str, list[Integers]]
    firsts: Integers
    seconds: Integers
    pairs: Mask


def read_corpus(path: str) -> bytes:
    """Reads the file at `task.corpus`.

    Raises:
        UserError: the path does not exist, is not a file, or cannot be read.
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
    """Splits a text into its distinct tales; lines are joined, and a blank line becomes one line break.

    Args:
        path: the file of the text, named in errors.

    Raises:
        UserError: the text is not UTF-8 or has fewer than three different tales.
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
            f'task.corpus = "{path}": only {len(distinct)} different tale(s) between task.separator = "{separator}"; '
            f"should be at least {TALES_MINIMUM}, for training, validation and test"
        )
    return distinct


def find_names(tales: Sequence[str], mentions: int) -> list[tuple[str, ...]]:
    """Finds the names in each tale, in order of appearance, by the rule in the docstring of this file."""
    not_names = frozenset(NOT_NAMES.split())
    small: Counter[str] = Counter()
    large: Counter[str] = Counter()
    contexts_by_tale = []
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
        contexts_by_tale.append(contexts)

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

    return [tuple(word for word, contexts in tale.items() if is_name(word, contexts)) for tale in contexts_by_tale]


@lru_cache(maxsize=4)
def prepare_tales(
    corpus: str, content: bytes, separator: str, vocabulary_tokens: int, name_mentions: int, names_per_window: int
) -> PreparedTales:
    """Prepares the tales of a corpus (2 s for 2 MB), once per process for all tasks on the same bytes.

    Args:
        corpus: the path of the file, named in errors.
        content: its bytes.

    Raises:
        UserError: not text, too few tales, too few names, or a vocabulary with too few tokens that can form names.
    """
    texts = split_tales(content, separator, corpus)
    names_by_text = find_names(texts, name_mentions)
    usable = [n for n, names in enumerate(names_by_text) if len(names) >= names_per_window]
    if len(usable) < 2:
        raise UserError(
            f'task.corpus = "{corpus}": only {len(usable)} of its {len(texts)} tales have task.names_per_window = '
            f"{names_per_window} recurring names of characters; should be at least 2, for validation and test"
        )
    usable.sort(key=lambda n: sha256(texts[n].encode()).digest())
    size = max(1, min(len(texts) // HELD_OUT_SHARE, len(usable) // NAMED_SHARE))
    held_out = {"validation": usable[size : 2 * size], "test": usable[:size]}
    members = {"train": sorted(set(range(len(texts))).difference(*held_out.values())), **held_out}
    tales = {split: [texts[n] for n in numbers] for split, numbers in members.items()}
    names = {split: [names_by_text[n] for n in numbers] for split, numbers in members.items()}
    encoder = train_bpe(tales["train"], vocabulary_tokens - 1)
    codes = {"train": [_encode(encoder, text, ()) for text in tales["train"]]}
    for split in held_out:
        codes[split] = [_encode(encoder, *pair) for pair in zip(tales[split], names[split], strict=True)]
    firsts, seconds, pairs = _name_parts(encoder, codes)
    if len(firsts) < 2:
        fewer, more = "about 400 suit a short text", "1024 and more suit a long text"
        remedies = [fewer] * (vocabulary_tokens > 400) + [more] * (vocabulary_tokens < 1024)
        raise UserError(
            f"task.vocabulary_tokens = {vocabulary_tokens}: too few tokens learned from {corpus} could be names; "
            + ", ".join(remedies)
        )
    return PreparedTales(
        encoder, (*vocabulary_of(encoder), PADDING), members, tales, names, codes, firsts, seconds, pairs
    )


def _encode(encoder: Tokenizer, text: str, names: tuple[str, ...]) -> Integers:
    """Encodes a tale [T]. Text between names is encoded separately; the pre-tokeniser cuts there anyway."""
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
    """Chooses first tokens [F] and second tokens [S] of names and the pairs of them that can be used, bool [F, S].

    A first token is a space and a capitalised word that the training tales continue at least half the time. A second
    token is two or more lower-case letters and ends words in the training tales. Every first token has at least F
    second tokens.
    """
    size = encoder.get_vocab_size()
    texts = [encoder.decode([token]) for token in range(size)]
    opening = np.array([text[:1] == " " and text[1:].isalpha() and text[1:].istitle() for text in texts])
    closing = np.array([len(text) > 1 and text.isalpha() and text.islower() for text in texts])
    # The code -1, for the end of a tale or a name, picks the last entry, which is False.
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
    occurring = (here * size + after)[(here >= 0) & (after >= 0)]
    pairs = ~np.isin(firsts[:, None] * size + seconds, occurring)
    for first, second in np.argwhere(pairs):
        name = [firsts[first], seconds[second]]
        pairs[first, second] = encoder.encode(texts[name[0]] + texts[name[1]]).ids == name
    enough = pairs.sum(axis=1) >= len(firsts)
    return firsts[enough], seconds, pairs[enough]
