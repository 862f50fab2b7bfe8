"""Stories with new names: the labels are right by the text alone, and nothing held out was seen in training."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from generators.table import TASKS
from generators.task import Batch
from generators.tasks.induction_corpus import InductionCorpus, InductionCorpusConfig
from tests.generators.tales import ROOT, SEPARATOR, assert_equal, inner, invented, names_of, small, written

# ---- what is scored, and whether it is right


def test_the_oracle_finds_the_scored_tokens_and_their_answers_from_the_tokens_alone(
    task: InductionCorpus, held_out: Batch
) -> None:
    answers = task.oracle(held_out)
    assert ((answers >= 0) == held_out.scored).all()
    assert (answers[held_out.scored] == held_out.tokens[held_out.scored]).all()
    assert held_out.scored.any(axis=1).all()
    assert held_out.scored.sum() > 1.5 * len(held_out)


def test_the_oracle_contradicts_a_sample_in_which_a_name_comes_back_wrong(
    task: InductionCorpus, held_out: Batch
) -> None:
    prepared = task.prepared
    broken = held_out.tokens.copy()
    places = np.argwhere(held_out.scored)
    for row, place in places:
        allowed = prepared.seconds[prepared.pairs[prepared.firsts == broken[row, place - 1]][0]]
        broken[row, place] = allowed[allowed != broken[row, place]][0]
    answers = task.oracle(Batch(tokens=broken, loss=held_out.loss, scored=held_out.scored))
    assert (answers[held_out.scored] == broken[held_out.scored]).mean() < 0.01


def test_every_mention_is_counted_and_all_but_the_first_are_scored(task: InductionCorpus, held_out: Batch) -> None:
    for tokens, scored, mention in zip(
        held_out.tokens.tolist(), held_out.scored, held_out.labels["mention"], strict=True
    ):
        names = names_of(task, tokens)
        assert len(names) >= 2
        assert sorted(place for places in names.values() for place in places[1:]) == np.flatnonzero(scored).tolist()
        assert sorted(place for places in names.values() for place in places) == np.flatnonzero(mention).tolist()
        assert mention[mention > 0].tolist() == list(range(1, 1 + (mention > 0).sum()))


def test_a_name_is_two_tokens_wherever_it_stands_in_the_text(task: InductionCorpus, held_out: Batch) -> None:
    compared = 0
    for tokens in held_out.tokens[:100]:
        middle = inner(task, tokens)
        assert task.prepared.encoder.encode(task.text(np.array(middle))).ids == middle
        for first, places in names_of(task, middle).items():
            compared += len(places)
            name = task.text(np.array([first, middle[places[0]]]))
            assert name[0] == " "
            assert name[1:].isalpha()
            assert name[1:].istitle()
    assert compared > 250


def test_a_held_out_sample_is_its_tale_with_each_name_replaced_at_every_mention_and_nothing_else(
    task: InductionCorpus, held_out: Batch
) -> None:
    tales = [(tale, names) for split in ("validation", "test") for tale, names in zip_of(task, split)]
    for tokens in held_out.tokens[:100]:
        middle = inner(task, tokens)
        assert "  " not in task.text(np.array(middle))
        named = {place: first for first, places in names_of(task, middle).items() for place in places}
        pattern, since, seen = "", 0, set()
        for place, first in sorted(named.items()):
            pattern += re.escape(task.text(np.array(middle[since : place - 1])))
            # A quotation mark may stand before a name without the space that the new name has.
            pattern += f" ?(?P=n{first})" if first in seen else rf" ?(?P<n{first}>[^\W\d_]+(?:-[^\W\d_]+)*)"
            seen.add(first)
            since = place + 1
        pattern += re.escape(task.text(np.array(middle[since:])))
        found = [(match, names) for tale, names in tales if (match := re.search(pattern, tale))]
        assert len(found) == 1
        match, names = found[0]
        originals = Counter(word for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", match.group()) if word in names)
        assert len(set(match.groupdict().values())) == len(seen)
        assert originals == Counter(match[f"n{first}"] for first in named.values())


def zip_of(task: InductionCorpus, split: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    return zip(task.prepared.tales[split], task.prepared.names[split], strict=True)


def test_names_of_a_window_share_no_token_and_their_first_tokens_stand_nowhere_else(
    task: InductionCorpus, held_out: Batch
) -> None:
    for tokens in held_out.tokens.tolist():
        names = names_of(task, tokens)
        seconds = {first: {tokens[place] for place in places} for first, places in names.items()}
        assert all(len(each) == 1 for each in seconds.values())
        assert len(set.union(*seconds.values())) == len(names)
        for first, places in names.items():
            strays = [place for place, token in enumerate(tokens[:-1]) if token == first and place + 1 not in places]
            assert not strays


def test_no_name_of_a_held_out_sample_was_met_in_training_but_its_parts_were(
    task: InductionCorpus, held_out: Batch
) -> None:
    met = {pair for tale in task.prepared.codes["train"] for pair in pairwise(tale.tolist())}
    counts = np.bincount(np.concatenate(task.prepared.codes["train"]), minlength=len(task.vocabulary))
    used = set()
    for tokens in held_out.tokens.tolist():
        used |= {(first, tokens[place]) for first, places in names_of(task, tokens).items() for place in places}
    assert len(used) > 100
    assert not used & met
    assert min(counts[token] for pair in used for token in pair) >= 10


def test_names_are_drawn_afresh_for_each_sample(task: InductionCorpus) -> None:
    batch = task.batch("test", np.arange(400))
    names = [
        frozenset((first, tokens[places[0]]) for first, places in names_of(task, tokens).items())
        for tokens in batch.tokens.tolist()
    ]
    assert len(set(names)) > 350, "of 400 samples; two share all their names by chance only"


# ---- what belongs to which split


def test_each_tale_is_in_one_split_and_all_tales_are_in_some(task: InductionCorpus, corpus: str) -> None:
    tales = task.prepared.tales
    everything = [tale for split in ("train", "validation", "test") for tale in tales[split]]
    assert len(set(everything)) == len(everything)
    content = Path(task.config.corpus).read_text(encoding="utf-8")
    assert len(everything) == len({tale.strip() for tale in content.split(SEPARATOR)})
    assert len(tales["train"]) > 5 * len(tales["test"]) == 5 * len(tales["validation"]) > 0


def test_a_tale_told_twice_in_the_file_is_one_tale(tmp_path: Path) -> None:
    tales = invented()
    once = InductionCorpus(small(written(tmp_path / "once.txt", tales)))
    twice = InductionCorpus(small(written(tmp_path / "twice.txt", [*tales, *tales[::-1]])))
    assert once.prepared.tales == twice.prepared.tales


def test_training_samples_are_stretches_of_training_tales_with_their_own_names(task: InductionCorpus) -> None:
    batch = task.batch("train", np.arange(200))
    assert not batch.scored.any()
    assert batch.loss[:, 1:].all()
    assert not batch.loss[:, 0].any()
    tales = "\0".join(task.prepared.tales["train"])
    inner = [task.text(tokens).strip("\N{REPLACEMENT CHARACTER}") for tokens in batch.tokens]
    assert all(text in tales for text in inner)
    assert len(set(inner)) > 190


def test_no_held_out_window_is_a_stretch_of_a_training_tale(task: InductionCorpus, held_out: Batch) -> None:
    train = np.concatenate(task.prepared.codes["train"]).tobytes()
    assert not any(tokens.tobytes() in train for tokens in held_out.tokens)


def test_the_tokens_are_learnt_from_training_tales_only(task: InductionCorpus) -> None:
    def learnt(texts: list[str]) -> list[str]:
        encoder = Tokenizer(models.BPE())
        encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        encoder.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        size = len(task.vocabulary) - 1
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
        encoder.train_from_iterator(texts, trainer)
        return sorted(encoder.get_vocab(), key=encoder.get_vocab().__getitem__)

    tales = task.prepared.tales
    assert learnt(tales["train"]) == list(task.vocabulary[:-1])
    assert learnt([*tales["train"], *tales["validation"], *tales["test"]]) != list(task.vocabulary[:-1])


def test_a_text_is_read_back_from_its_tokens(task: InductionCorpus) -> None:
    for tale, codes in zip(task.prepared.tales["train"], task.prepared.codes["train"], strict=True):
        assert task.text(codes) == tale


# ---- the same bytes everywhere


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_sample_does_not_depend_on_the_batch_it_is_drawn_in(task: InductionCorpus, split: str) -> None:
    whole = task.batch(split, np.arange(40), seed=3)
    order = np.random.default_rng(0).permutation(40)
    assert_equal(whole.take(order), task.batch(split, order, seed=3))
    for index in (0, 17, 39):
        assert_equal(whole.take(np.array([index])), task.batch(split, [index], seed=3))
    assert (whole.tokens != task.batch(split, np.arange(40), seed=4).tokens).any(axis=1).mean() > 0.9


PRINT_DIGEST = """
import hashlib, sys
import numpy as np
from generators.tasks.induction_corpus import InductionCorpus, InductionCorpusConfig
task = InductionCorpus(InductionCorpusConfig(corpus=sys.argv[1], vocabulary_tokens=400, length_tokens=64))
digest = hashlib.sha256("|".join(task.vocabulary).encode())
for split in task.splits:
    batch = task.batch(split, np.arange(50))
    for array in (batch.tokens, batch.loss, batch.scored, batch.labels["mention"]):
        digest.update(np.ascontiguousarray(array).tobytes())
print(digest.hexdigest())
"""


def test_every_process_draws_the_same_bytes(corpus: str) -> None:
    digests = set()
    for variables in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "RAYON_NUM_THREADS": "1"}):
        command = [sys.executable, "-c", PRINT_DIGEST, corpus]
        done = subprocess.run(command, env={**os.environ, **variables}, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)
    assert len(digests) == 1
    assert len(digests.pop().strip()) == hashlib.sha256().digest_size * 2


def test_identity_follows_the_content_of_the_corpus_and_not_its_path(corpus: str, tmp_path: Path) -> None:
    content = Path(corpus).read_bytes()
    (tmp_path / "copy.txt").write_bytes(content)
    (tmp_path / "other.txt").write_bytes(content + b"\nAnd that was all.\n")
    here, copy, other = (small(path) for path in (corpus, str(tmp_path / "copy.txt"), str(tmp_path / "other.txt")))
    assert here.canonical() == copy.canonical() != other.canonical()
    assert here.canonical()["corpus"] == {"sha256": hashlib.sha256(content).hexdigest()}
    assert_equal(InductionCorpus(here).batch("test", np.arange(9)), InductionCorpus(copy).batch("test", np.arange(9)))
    assert InductionCorpus(here).name != InductionCorpus(other).name


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("separator", "The tale"),
        ("vocabulary_tokens", 380),
        ("name_mentions", 18),
        ("names_per_window", 3),
        ("length_tokens", 48),
        ("validation_samples", 7),
        ("test_samples", 7),
    ],
)
def test_every_setting_changes_something(corpus: str, key: str, value: object) -> None:
    one, other = InductionCorpus(small(corpus)), InductionCorpus(small(corpus, **{key: value}))
    assert one.config.canonical() != other.config.canonical()
    assert (one.name == other.name) == key.endswith("_samples"), "held-out sets of another size are of the same samples"
    assert (
        one.prepared.tales != other.prepared.tales
        or one.prepared.names != other.prepared.names
        or one.vocabulary != other.vocabulary
        or one.length != other.length
        or dict(one.splits) != dict(other.splits)
        or len(one.windows["test"][1]) != len(other.windows["test"][1])
    )


@pytest.mark.parametrize(
    ("tales", "sentences", "changes", "parts"),
    [
        (60, 30, {"vocabulary_tokens": 320, "name_mentions": 20}, 2),
        (200, 12, {"vocabulary_tokens": 440}, 6),
    ],
)
def test_names_never_run_out_of_tokens_where_few_will_do(
    tales: int, sentences: int, changes: dict[str, object], parts: int, tmp_path: Path
) -> None:
    task = InductionCorpus(small(written(tmp_path / "tales.txt", invented(tales, sentences)), **changes))
    assert len(task.prepared.firsts) == parts
    assert (task.prepared.pairs.sum(axis=1) >= parts).all()
    batch = task.batch("test", np.arange(1000))
    assert {len(names_of(task, tokens)) for tokens in batch.tokens.tolist()} == {2, *range(3, min(parts, 3) + 1)}


@pytest.mark.parametrize("names", [1, 2, 3])
def test_a_held_out_window_tells_of_as_many_names_as_is_asked(corpus: str, names: int) -> None:
    task = InductionCorpus(small(corpus, names_per_window=names, length_tokens=24))
    told = [len(names_of(task, tokens)) for tokens in task.batch("test", np.arange(300)).tokens.tolist()]
    assert min(told) == names


def test_the_table_of_tasks_knows_it(corpus: str) -> None:
    config = TASKS.config({"kind": "induction_corpus", "corpus": corpus}, "a spec")
    assert config == InductionCorpusConfig(corpus=corpus)


def test_a_tale_shorter_than_a_window_is_padded_where_no_loss_is(tmp_path: Path) -> None:
    tales = invented() + invented(tales=10, sentences=2, seed=9)
    task = InductionCorpus(small(written(tmp_path / "tales.txt", tales), length_tokens=128))
    batch = task.batch("train", np.arange(3000))
    padded = batch.tokens == task.padding
    assert padded.any()
    assert not padded[:, 0].any()
    assert (batch.loss[:, 1:] == ~padded[:, 1:]).all()
    assert (padded[:, 1:] >= padded[:, :-1]).all()
    row = int(np.flatnonzero(padded.any(axis=1))[0])
    assert task.text(batch.tokens[row]) in task.prepared.tales["train"]


# ---- the rules a score is read against


def test_shortcuts_answer_as_worked_out_by_hand(task: InductionCorpus) -> None:
    told = ["AABABC", "ABCBCA"]
    tokens = np.array([[part for name in names for part in (0, "ABC".index(name) + 5)] for names in told])
    mention = np.where(tokens > 0, (tokens > 0).cumsum(axis=1), 0)
    batch = Batch(tokens=tokens, loss=tokens > 0, scored=mention > 1, labels={"mention": mention})
    guesses = {name: rule(batch)[batch.scored].reshape(2, 5) for name, rule in task.shortcuts.items()}
    letters = {-1: "?", 5: "A", 6: "B", 7: "C"}
    read = {name: ["".join(letters[int(guess)] for guess in row) for row in rows] for name, rows in guesses.items()}
    assert read == {
        "latest_name": ["AABAB", "ABCBC"],
        "name_before": ["?AABA", "?ABCB"],
        "frequent_name": ["AAAAA", "ABCBC"],
    }


def test_shortcuts_explain_no_more_than_two_thirds_of_the_answers(task: InductionCorpus) -> None:
    batch = task.batch("test", np.arange(400))
    scores = {name: right.mean() for name, right in task.shortcut_scores(batch).items()}
    assert all(0.1 < score < 2 / 3 for score in scores.values()), scores


def test_other_text_fills_its_share_of_training_windows_and_no_other(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "other.txt"
    path.write_text("\n".join(f"number {k} is {k * k % 97}" for k in range(3000)))
    plain, mixed = (InductionCorpus(small(corpus, **more)) for more in ({}, {"other_corpus": str(path)}))
    told = "\n".join(mixed.prepared.tales["train"])
    ours = np.array([mixed.text(tokens).strip() in told for tokens in mixed.batch("train", np.arange(1000)).tokens])
    assert abs(ours.mean() - 0.1) < 4 * np.sqrt(0.09 / 1000)
    assert mixed.name != plain.name
    held_out = mixed.batch("test", np.arange(50))
    assert held_out.scored.any(axis=1).all()
    assert mixed.confirmed(held_out).all()
