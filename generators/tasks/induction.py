"""Induction in stories from a grammar: a name of two tokens recurs, and its second token must be predicted.

Paper, section 4.1. Each story has its own characters, whose names are two freshly drawn tokens, so nothing about a name
can be memorised in training: the second token follows only from matching the first token against the story. The second
token of a name is scored at every mention after the first.

    once there were Ba len , Do rim and Ku vas . Do rim took the old lamp . he hid the lamp ...

The filler is a grammar with agreement (he/she, his/her, was/were) and with objects and places that recur within a
story. The character named last is never named next (the text says "he" or "she" instead), and all characters appear in
the first sentence. So a rule that ignores the first token of a name, such as "repeat the latest name", cannot be right
more often than 1/(characters - 1), one of its `ceilings`: a model with a higher accuracy uses the first token.

Appendix J mixes nine parts of other text with one of stories. Here (`other_share`) the other text comes from the same
grammar with things as characters, "the lamp saw the ring". With 0.9, names and induction occur in one training sample
in ten.
"""

from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers, Stream
from generators.material.item_sources import NameItems
from generators.task import Batch, HeldOutSamples, Rule, Task, TaskConfig, TrainingSamples, usual_splits

ONSETS = ("B", "D", "F", "G", "H", "J", "K", "L", "M", "N", "P", "R", "S", "T", "V", "Z")
VOWELS = ("a", "e", "i", "o", "u")
CODAS = ("l", "n", "r", "s")
NAME_PARTS_MAXIMUM = len(ONSETS) * len(VOWELS)

# Each word is a row of forms; agreement picks the column.
GENDERED: dict[str, tuple[str, ...]] = {"he": ("he", "she"), "his": ("his", "her"), "him": ("him", "her")}
WORDS = {
    "meets": ("met", "saw", "called", "helped", "followed"),
    "takes": ("took", "found", "lost", "hid", "carried"),
    "goes": ("went", "ran", "walked", "came"),
    "noun": ("lamp", "ring", "boat", "key", "coat", "bell", "drum", "cup"),
    "adjective": ("old", "red", "small", "golden"),
    "place": ("wood", "mill", "town", "river", "castle", "garden"),
    "adverb": ("then", "soon", "later", "again"),
}
# One sentence per line; a repeated line is drawn more often. {A} and {B} are the names of two characters; {he}, {his}
# and {him} agree with A.
SENTENCES = """
{A} {meets} {B} .
{A} {meets} {B} .
{A} gave {B} the {noun} .
{A} and {B} were at the {place} .
{A} and {B} {goes} to the {place} .
{adverb} {A} {meets} {B} .
{A} {takes} the {adjective} {noun} .
{adverb} {he} {takes} the {noun} .
{A} was with {B} and {his} {noun} .
"""
START, STOP, COMMA = "<s>", ".", ","
ROOM_TOKENS = 4  # after the first sentence: room for a name
PLACES_A_STORY = OBJECTS_A_STORY = 2


class InductionConfig(TaskConfig):
    """Settings of `induction`."""

    kind: Literal["induction"] = "induction"
    characters: int = Field(default=4, ge=2, le=8, description="characters of a story, all named in its first sentence")
    name_parts: int = Field(
        default=24,
        ge=2,
        le=NAME_PARTS_MAXIMUM,
        description="number of first tokens, and of second tokens, for names",
    )
    length_tokens: int = Field(default=64, ge=16, le=4096, description="tokens of a story; it ends where it is cut")
    other_share: float = Field(
        default=0.0, ge=0, lt=1, description="share of training samples that are text without names; appendix J: 0.9"
    )
    training_samples: TrainingSamples = None
    test_samples: HeldOutSamples = 1000
    validation_samples: HeldOutSamples = 500


class Induction(Task):
    """Stories of `length_tokens` tokens. Chance on a scored token is 1/name_parts; copying the matching name is always
    right.

    Labels: `mention` numbers the mentions of names from 1, at the second token of the name; 0 elsewhere.
    """

    config: InductionConfig

    def __init__(self, config: InductionConfig) -> None:
        if config.name_parts < config.characters:
            raise UserError(
                f"task.name_parts = {config.name_parts}: {config.characters} characters need as many distinct first "
                f"tokens; give at least {config.characters}"
            )
        super().__init__(config)
        firsts = [onset + vowel for vowel in VOWELS for onset in ONSETS][: config.name_parts]
        seconds = [onset.lower() + vowel + coda for coda in CODAS for vowel in VOWELS for onset in ONSETS]
        words = {word for row in (*WORDS.values(), *GENDERED.values()) for word in row}
        literals = {word for word in SENTENCES.split() if not word.startswith("{")}
        plain = sorted(words | literals | {"once", "there", COMMA})
        self.vocabulary = (START, *plain, *firsts, *seconds[: config.name_parts])
        self.length = config.length_tokens
        self.splits = usual_splits(config)
        self.first = 1 + len(plain)
        self.second = self.first + config.name_parts
        self.token = {word: token for token, word in enumerate(self.vocabulary)}
        self.sentences = self._compile([line.split() for line in SENTENCES.strip().splitlines()])
        self.opening = self._opening()
        if config.length_tokens < len(self.opening) + ROOM_TOKENS:
            raise UserError(
                f"task.length_tokens = {config.length_tokens}: the first sentence alone has {len(self.opening)} "
                f"tokens, and nothing is scored in it; give at least {len(self.opening) + ROOM_TOKENS}"
            )
        self.shortcuts = {"latest_name": recent_name(1), "name_before": recent_name(2)}
        self.ceilings = {"accuracy": {"first_token_ignored": 1 / (config.characters - 1)}}

    # A sentence is a row of codes: a token, or -1 - slot for a word that the story fills in; PAD after its end.
    PAD = -1000
    SLOTS = ("A", "A'", "B", "B'", *GENDERED, *WORDS)

    def _compile(self, sentences: list[list[str]]) -> Integers:
        """Turns sentences into rows of codes [sentences, longest]."""
        rows = []
        for words in sentences:
            names = [
                part for word in words for part in ((word, word[:-1] + "'}") if word in ("{A}", "{B}") else (word,))
            ]
            rows.append([-1 - self.SLOTS.index(w[1:-1]) if w[0] == "{" else self.token[w] for w in names])
        table = np.full((len(rows), max(map(len, rows))), self.PAD)
        for row, codes in zip(table, rows, strict=True):
            row[: len(codes)] = codes
        return table

    def _opening(self) -> Integers:
        """Returns the codes of the first sentence; -1 - 2c and -2 - 2c stand for the name of character c."""
        names = [(-1 - 2 * c, -2 - 2 * c) for c in range(self.config.characters)]
        codes = [self.token[word] for word in (START, "once", "there", "were")]
        for number, name in enumerate(names):
            if number:
                codes.append(self.token["and" if number == len(names) - 1 else COMMA])
            codes += name
        return np.array([*codes, self.token[STOP]])

    def draw(self, stream: Stream, split: str) -> Batch:
        rows, count = len(stream), self.config.characters
        characters = np.stack(
            (
                self.first + stream.choose("first tokens", self.config.name_parts, count),
                self.second + stream.choose("second tokens", self.config.name_parts, count),
            ),
            axis=2,
        )
        if split == "train" and self.config.other_share:
            other = stream.uniform("other text", 1)[:, 0] < self.config.other_share
            things = self._tokens(WORDS["noun"])[stream.choose("things", len(WORDS["noun"]), count)]
            characters[other] = np.stack((np.full_like(things, self.token["the"]), things), axis=2)[other]
        opening = self.opening[None].repeat(rows, axis=0)
        opening[:, self.opening < 0] = characters.reshape(rows, -1)
        shortest = int((self.sentences != self.PAD).sum(axis=1).min())
        sentences = max(0, -(-(self.length - opening.shape[1]) // shortest))
        body = self._body(stream, characters, sentences) if sentences else opening[:, :0]
        tokens = np.concatenate((opening, body), axis=1)[:, : self.length]
        if tokens.shape[1] < self.length or (tokens < 0).any():
            raise AssertionError("a story is shorter than the sample")
        later = np.arange(self.length) >= opening.shape[1]
        mention = (tokens >= self.second).astype(np.int64)
        return Batch(
            tokens=tokens,
            loss=np.arange(self.length)[None].repeat(rows, axis=0) > 0,
            scored=(mention > 0) & later,
            labels={"mention": np.where(mention > 0, mention.cumsum(axis=1), 0)},
        )

    def _body(self, stream: Stream, characters: Integers, sentences: int) -> Integers:
        """Draws the sentences after the first one, with all PAD moved to the end: [B, tokens]."""
        rows = np.arange(len(stream))[:, None]
        count = self.config.characters
        # Steps round the circle of characters are never zero: the character named last is not named next.
        template = stream.integers("sentence", len(self.sentences), sentences)
        names_a, names_b = self._names[0][template], self._names[1][template]
        steps = stream.integers("who is named", count - 1, 2 * sentences) + 1
        steps *= np.stack((names_a, names_b), axis=2).reshape(len(stream), -1)
        named = (count - 1 + steps.cumsum(axis=1)) % count
        a, b = named[:, 0::2], named[:, 1::2]
        gender = stream.integers("gender", 2, count)
        fills = {"A": characters[rows, a, 0], "A'": characters[rows, a, 1]}
        fills |= {"B": characters[rows, b, 0], "B'": characters[rows, b, 1]}
        for slot, forms in GENDERED.items():
            fills[slot] = self._tokens(forms)[gender[rows, a]]
        for slot, forms in WORDS.items():
            recurring = {"noun": OBJECTS_A_STORY, "adjective": OBJECTS_A_STORY, "place": PLACES_A_STORY}.get(slot)
            choice = stream.integers(slot, len(forms), sentences)
            if recurring:
                mine = stream.choose(f"this story's {slot}s", len(forms), recurring)
                which = stream.integers("which object" if slot != "place" else "which place", recurring, sentences)
                choice = mine[rows, which]
            fills[slot] = self._tokens(forms)[choice]
        codes = self.sentences[template]
        slots = np.stack([fills[slot] for slot in self.SLOTS], axis=2)
        filled = np.take_along_axis(slots, np.maximum(-1 - codes, 0) % len(self.SLOTS), axis=2)
        tokens = np.where(codes >= 0, codes, np.where(codes == self.PAD, self.PAD, filled))
        tokens = tokens.reshape(len(stream), -1)
        order = np.argsort(tokens == self.PAD, axis=1, kind="stable")
        return np.take_along_axis(tokens, order, axis=1)

    @property
    def _names(self) -> tuple[Integers, Integers]:
        """1 for sentences that name A and 0 for others [sentences], and the same for B."""
        has = [(self.sentences == -1 - self.SLOTS.index(slot)).any(axis=1).astype(np.int64) for slot in ("A", "B")]
        return has[0], has[1]

    def _tokens(self, words: tuple[str, ...]) -> Integers:
        return np.array([self.token[word] for word in words])

    def item_source(self, batch: Batch, options: int, answer_tokens: int | None) -> NameItems:
        return NameItems(batch, options, answer_tokens)

    def oracle(self, batch: Batch) -> Integers:
        answers = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens.tolist()):
            seconds: dict[int, int] = {}
            for place, (first, second) in enumerate(pairwise(tokens), start=1):
                if self.first <= first < self.second:
                    answers[row, place] = seconds.get(first, -1)
                    seconds.setdefault(first, second)
        return answers


def recent_name(back: int) -> Rule:
    """Returns a shortcut that predicts the second token of the name mentioned `back` names ago."""

    def rule(batch: Batch) -> Integers:
        guesses = np.full(batch.tokens.shape, -1)
        for row, tokens in enumerate(batch.tokens):
            places = np.flatnonzero(batch.labels["mention"][row])
            guesses[row, places[back:]] = tokens[places[:-back]]
        return guesses

    return rule
