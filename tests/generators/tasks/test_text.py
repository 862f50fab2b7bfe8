"""Real text: what is in a sample stands in a document of its split, and the same bytes are drawn everywhere."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from generators.foundation.errors import UserError
from generators.material.bpe import byte_letters, train_bpe
from generators.table import TASKS
from generators.task import Batch
from generators.tasks.text import Text, TextConfig
from tests.generators.tales import ROOT, invented
from tests.generators.texts import SPLITS, built, documents_of, small, written_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_folder(tmp_path_factory.mktemp("tales"))


@pytest.fixture(scope="module", params=["bytes", "bpe", "stdlib"])
def task(request: pytest.FixtureRequest, folder: Path) -> Text:
    return built(folder, request.param)


@pytest.fixture(scope="module", params=["bytes", "bpe"])
def tales(request: pytest.FixtureRequest, folder: Path) -> Text:
    return built(folder, request.param)


# ---- samples and their source


def test_every_sample_is_a_stretch_of_a_file_of_its_split(folder: Path) -> None:
    files = {path.read_bytes().strip(b"\r\n") for path in folder.iterdir()}
    task = Text(small(folder, tokens="bpe", vocabulary_tokens=400))
    seen: dict[str, set[bytes]] = {}
    for split in SPLITS:
        batch = task.batch(split, np.arange(50))
        texts = [task.corpus.documents.texts[number].encode() for number in batch.labels["document"][:, 0]]
        seen[split] = set(texts)
        assert seen[split] <= set(documents_of(task, split)) <= files
        for tokens, text in zip(batch.tokens, texts, strict=True):
            letters = "".join(task.vocabulary[token] for token in tokens if token != task.padding)
            assert bytes(byte_letters().index(letter) for letter in letters) in text
    assert len(seen["train"]) > 10
    assert not seen["train"] & (seen["validation"] | seen["test"])


def test_every_sample_is_confirmed_and_none_with_another_token_in_it(task: Text) -> None:
    for split in SPLITS:
        batch = task.batch(split, np.arange(task.splits[split] or 2000))
        assert task.confirmed(batch).all()
        place = 7
        tokens = batch.tokens.copy()
        tokens[:, place] = (tokens[:, place] + 1) % task.padding
        broken = Batch(tokens=tokens, loss=batch.loss, scored=batch.scored, labels=batch.labels)
        assert task.confirmed(broken).mean() < 0.05
        unscored = Batch(tokens=batch.tokens, loss=batch.loss, scored=batch.scored & False, labels=batch.labels)
        assert not task.confirmed(unscored).any()


def test_every_target_is_scored_and_that_is_all_but_the_first_token_and_padding(task: Text) -> None:
    batch = task.batch("train", np.arange(3000))
    padded = batch.tokens == task.padding
    assert padded.any()
    assert (padded[:, 1:] >= padded[:, :-1]).all()
    assert (batch.loss[:, 1:] == ~padded[:, 1:]).all()
    assert not batch.loss[:, 0].any()
    assert (batch.scored == batch.loss).all()
    assert batch.tokens.min() >= 0
    assert batch.tokens.max() == task.padding == len(task.vocabulary) - 1


def test_bytes_are_bytes(folder: Path) -> None:
    task = Text(small(folder))
    assert len(task.vocabulary) == 257
    assert task.vocabulary[ord("e")] == "e"
    assert task.vocabulary[ord(" ")] == "Ġ"
    tokens = np.array([*"å日 e".encode(), task.padding])
    assert tokens[:5].tolist() == [0xC3, 0xA5, 0xE6, 0x97, 0xA5]
    assert task.text(tokens) == "å日 e"
    assert task.text(tokens[1:]) == "\N{REPLACEMENT CHARACTER}日 e"


def test_tokens_are_learnt_from_training_documents_only(folder: Path) -> None:
    task = Text(small(folder, tokens="bpe", vocabulary_tokens=400))
    texts = [[document.decode() for document in documents_of(task, split)] for split in SPLITS]

    def learnt(texts: list[str]) -> set[str]:
        return set(train_bpe(texts, 399).get_vocab())

    assert learnt(texts[0]) == set(task.vocabulary[:-1])
    assert learnt([text for split in texts for text in split]) != set(task.vocabulary[:-1])
    assert len(task.vocabulary) == 400


# ---- documents and splits


def test_each_document_is_in_one_split_and_all_are_in_some(tales: Text) -> None:
    read = [text.encode() for text in tales.corpus.documents.texts]
    assert len(set(read)) == len(read) == 50
    parted = {split: documents_of(tales, split) for split in SPLITS}
    assert sorted(document for split in SPLITS for document in parted[split]) == sorted(read)
    assert len(parted["test"]) == len(parted["validation"]) == len(read) // 10


def test_files_that_say_the_same_are_one_document(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / f"{path.stem}-once.md").write_bytes(path.read_bytes())
        (tmp_path / f"{path.stem}-again.md").write_bytes(path.read_bytes() + b"\n")
    assert Text(small(tmp_path)).corpus.documents.texts == Text(small(folder)).corpus.documents.texts


# ---- the same bytes everywhere


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("fixed", [None, 70])
def test_a_sample_does_not_depend_on_the_batch_it_is_drawn_in(folder: Path, split: str, fixed: int | None) -> None:
    task = Text(small(folder, training_samples=fixed))
    whole = task.batch(split, np.arange(40), seed=3)
    order = np.random.default_rng(0).permutation(40)
    assert_same(whole.take(order), task.batch(split, order, seed=3))
    for index in (0, 17, 39):
        assert_same(whole.take(np.array([index])), task.batch(split, [index], seed=3))
    assert (whole.tokens != task.batch(split, np.arange(40), seed=4).tokens).any(axis=1).mean() > 0.9


def assert_same(one: Batch, other: Batch) -> None:
    for name in ("tokens", "loss", "scored"):
        assert (getattr(one, name) == getattr(other, name)).all()
    assert (one.labels["document"] == other.labels["document"]).all()


PRINT_DIGEST = """
import hashlib, sys
import numpy as np
from generators.tasks.text import Text, TextConfig
task = Text(TextConfig(corpus=sys.argv[1], tokens="bpe", vocabulary_tokens=400, length_tokens=32,
    test_samples=50, validation_samples=50))
digest = hashlib.sha256("|".join((task.name, *task.vocabulary)).encode())
for split in task.splits:
    digest.update(task.batch(split, np.arange(50)).tokens.tobytes())
print(digest.hexdigest())
"""


def test_every_process_draws_the_same_bytes(folder: Path) -> None:
    digests = set()
    for variables in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "RAYON_NUM_THREADS": "1"}):
        command = [sys.executable, "-c", PRINT_DIGEST, str(folder)]
        done = subprocess.run(command, env={**os.environ, **variables}, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)
    assert len(digests) == 1
    assert len(digests.pop().strip()) == hashlib.sha256().digest_size * 2


def test_identity_follows_the_documents_and_neither_their_names_nor_their_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    tales = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]
    for number, tale in enumerate(reversed(tales)):
        (tmp_path / "moved" / f"{number}.md").write_text(tale, encoding="utf-8")
    (tmp_path / "one.txt").write_text("\n%%\n".join(tales), encoding="utf-8")
    (tmp_path / "more.txt").write_text("\n%%\n".join([*tales, "And that was all."]), encoding="utf-8")
    here = small(folder)
    moved, one = small(tmp_path / "moved"), small(tmp_path / "one.txt", separator="%%")
    more = small(tmp_path / "more.txt", separator="%%")
    assert here.canonical() == moved.canonical() == one.canonical() != more.canonical()
    assert str(folder) not in str(here.canonical())
    assert Text(here).name == Text(one).name != Text(more).name
    assert_same(Text(here).batch("train", np.arange(9)), Text(one).batch("train", np.arange(9)))


def test_a_corpus_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(invented(20)), encoding="utf-8")
    before = small(path).canonical()
    assert small(path).canonical() == before
    path.write_text("\n".join(invented(20, seed=1)), encoding="utf-8")
    assert small(path).canonical() != before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("files", "tale-*"),
        ("separator", "wept"),
        ("length_tokens", 33),
        ("tokens", "bpe"),
        ("vocabulary_tokens", 410),
        ("training_samples", 60),
        ("test_samples", 49),
        ("validation_samples", 49),
    ],
)
def test_every_setting_changes_something(folder: Path, key: str, value: object) -> None:
    bpe = {"tokens": "bpe", "vocabulary_tokens": 400} if key in ("tokens", "vocabulary_tokens") else {}
    one = Text(small(folder, **({} if key == "tokens" else bpe)))
    other = Text(small(folder, **{**bpe, key: value}))
    assert one.config.canonical() != other.config.canonical()
    assert (one.name != other.name) == (not key.endswith("_samples"))
    assert (
        one.corpus.documents.texts != other.corpus.documents.texts
        or one.vocabulary != other.vocabulary
        or one.length != other.length
        or dict(one.splits) != dict(other.splits)
    )


# ---- the corpus that is always there


def test_the_standard_library_is_a_corpus_without_tests_and_packages() -> None:
    texts = Text(TextConfig()).corpus.documents.texts
    assert len(texts) > 300
    assert sum("def fill(text, width=70," in text for text in texts) == 1
    assert sum(text.startswith("import unittest") for text in texts) < 3
    assert 4e6 < sum(map(len, texts)) < 4e7


def test_the_table_of_tasks_knows_it_and_its_defaults_need_no_file() -> None:
    assert TASKS.config({"kind": "text"}, "a spec") == TextConfig(corpus="stdlib")


# ---- what a user can get wrong; more in test_documents.py


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tokens": "bpe"}, 'task.tokens = "bpe": needs task.vocabulary_tokens, for example 1024'),
        ({"vocabulary_tokens": 512}, 'task.vocabulary_tokens = 512: only for task.tokens = "bpe"; leave it out'),
        ({"length_tokens": 8000}, "task.length_tokens = 8000: longer than every training document of .*give at most "),
        ({"training_samples": 10**6}, "task.training_samples = 1000000: .* train windows of .* give at most "),
        ({"test_samples": 10**6}, "task.test_samples = 1000000: .* test windows of .* nowhere else; give at most "),
        ({"validation_samples": 10**6}, "task.validation_samples = 1000000: .* nowhere else; give at most "),
    ],
)
def test_settings_that_do_not_go_together_are_refused_in_one_sentence(
    folder: Path, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        Text(small(folder, **changes))
    assert "\n" not in str(caught.value)


def test_as_many_windows_as_a_refusal_names_are_given(folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        Text(small(folder, test_samples=10**6))
    most = int(str(caught.value).rpartition("at most ")[2])
    assert len(Text(small(folder, test_samples=most)).batch("test", np.arange(most))) == most


def test_an_unknown_split_is_refused_with_the_list_of_splits(folder: Path) -> None:
    with pytest.raises(UserError, match="'dev' is not one of train, validation, test"):
        Text(small(folder)).batch("dev", [0])


def test_position_classes_tell_the_beginning_of_a_word_from_its_inside() -> None:
    task = Text(TextConfig(length_tokens=16, validation_samples=4, test_samples=4))
    tokens = np.frombuffer(b"def f12(ab) ->_x", np.uint8).astype(np.int64)[None]
    blank = np.ones_like(tokens, bool)
    classes = task.position_classes(Batch(tokens=tokens, loss=blank, scored=blank))
    shown = {name: "".join("x" if here else "." for here in mask[0]) for name, mask in classes.items()}
    padded = np.array([[ord("a"), task.padding]])
    classes = task.position_classes(Batch(tokens=padded, loss=padded > 0, scored=padded > 0))
    assert classes["between words"].tolist() == [[False, True]]
    assert shown == {
        "begins a word": "x...x...x......x",
        "inside a word": ".xx..xx..x......",
        "between words": "...x...x..xxxxx.",
    }
