"""Samples of real text occur in a document of their split, and every process draws the same bytes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generators.foundation.errors import UserError
from generators.material.bpe import byte_letters, train_bpe
from generators.table import TASKS
from generators.task import Batch
from generators.tasks.text import Text, TextConfig
from tests.generators.batches import assert_batches_equal, assert_samples_independent_of_batch
from tests.generators.corpora import SPLITS, invented_tales, split_documents, text_config
from tests.generators.processes import assert_equal_in_every_process

# ---- samples


def test_every_sample_occurs_in_a_file_of_its_split(text_folder: Path) -> None:
    files = {path.read_bytes().strip(b"\r\n") for path in text_folder.iterdir()}
    task = Text(text_config(text_folder, tokens="bpe", vocabulary_tokens=400))
    documents: dict[str, set[bytes]] = {}
    for split in SPLITS:
        batch = task.batch(split, np.arange(50))
        texts = [task.corpus.documents.texts[number].encode() for number in batch.labels["document"][:, 0]]
        documents[split] = set(texts)
        assert documents[split] <= set(split_documents(task, split)) <= files
        for tokens, text in zip(batch.tokens, texts, strict=True):
            letters = "".join(task.vocabulary[token] for token in tokens if token != task.padding)
            assert bytes(byte_letters().index(letter) for letter in letters) in text
    assert len(documents["train"]) > 10
    assert not documents["train"] & (documents["validation"] | documents["test"])


def test_samples_are_confirmed_and_samples_with_a_changed_token_are_not(text_task: Text) -> None:
    for split in SPLITS:
        batch = text_task.batch(split, np.arange(text_task.splits[split] or 2000))
        assert text_task.confirmed(batch).all()
        tokens = batch.tokens.copy()
        tokens[:, 7] = (tokens[:, 7] + 1) % text_task.padding
        assert text_task.confirmed(replace(batch, tokens=tokens)).mean() < 0.05
        assert not text_task.confirmed(replace(batch, scored=batch.scored & False)).any()


def test_targets_are_all_tokens_but_the_first_and_padding_and_all_are_scored(text_task: Text) -> None:
    batch = text_task.batch("train", np.arange(3000))
    padded = batch.tokens == text_task.padding
    assert padded.any()
    assert (padded[:, 1:] >= padded[:, :-1]).all()
    assert (batch.loss[:, 1:] == ~padded[:, 1:]).all()
    assert not batch.loss[:, 0].any()
    assert (batch.scored == batch.loss).all()
    assert batch.tokens.min() >= 0
    assert batch.tokens.max() == text_task.padding == len(text_task.vocabulary) - 1


def test_tokens_of_bytes_are_the_utf_8_bytes(text_folder: Path) -> None:
    task = Text(text_config(text_folder))
    assert len(task.vocabulary) == 257
    assert task.vocabulary[ord("e")] == "e"
    assert task.vocabulary[ord(" ")] == "Ġ"
    tokens = np.array([*"å日 e".encode(), task.padding])
    assert tokens[:5].tolist() == [0xC3, 0xA5, 0xE6, 0x97, 0xA5]
    assert task.text(tokens) == "å日 e"
    assert task.text(tokens[1:]) == "\N{REPLACEMENT CHARACTER}日 e"


def test_the_encoder_is_trained_on_training_documents_only(text_folder: Path) -> None:
    task = Text(text_config(text_folder, tokens="bpe", vocabulary_tokens=400))
    texts = [[document.decode() for document in split_documents(task, split)] for split in SPLITS]

    def vocabulary_learnt_from(texts: list[str]) -> set[str]:
        return set(train_bpe(texts, 399).get_vocab())

    assert vocabulary_learnt_from(texts[0]) == set(task.vocabulary[:-1])
    assert vocabulary_learnt_from([text for split in texts for text in split]) != set(task.vocabulary[:-1])
    assert len(task.vocabulary) == 400


def test_position_classes_separate_the_beginning_of_a_word_from_its_inside() -> None:
    task = Text(TextConfig(length_tokens=16, validation_samples=4, test_samples=4))
    tokens = np.frombuffer(b"def f12(ab) ->_x", np.uint8).astype(np.int64)[None]
    mask = np.ones_like(tokens, bool)
    classes = task.position_classes(Batch(tokens=tokens, loss=mask, scored=mask))
    drawing = {name: "".join("x" if member else "." for member in mask[0]) for name, mask in classes.items()}
    assert drawing == {
        "begins a word": "x...x...x......x",
        "inside a word": ".xx..xx..x......",
        "between words": "...x...x..xxxxx.",
    }
    padded = np.array([[ord("a"), task.padding]])
    classes = task.position_classes(Batch(tokens=padded, loss=padded > 0, scored=padded > 0))
    assert classes["between words"].tolist() == [[False, True]]


# ---- documents and splits


def test_each_document_is_in_exactly_one_split(folder_task: Text) -> None:
    documents = [text.encode() for text in folder_task.corpus.documents.texts]
    assert len(set(documents)) == len(documents) == 50
    by_split = {split: split_documents(folder_task, split) for split in SPLITS}
    assert sorted(document for split in SPLITS for document in by_split[split]) == sorted(documents)
    assert len(by_split["test"]) == len(by_split["validation"]) == len(documents) // 10


def test_files_with_equal_text_are_one_document(text_folder: Path, tmp_path: Path) -> None:
    for path in text_folder.iterdir():
        (tmp_path / f"{path.stem}-once.md").write_bytes(path.read_bytes())
        (tmp_path / f"{path.stem}-again.md").write_bytes(path.read_bytes() + b"\n")
    documents = [Text(text_config(folder)).corpus.documents.texts for folder in (text_folder, tmp_path)]
    assert documents[0] == documents[1]


# ---- the same bytes everywhere


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("training_samples", [None, 70])
def test_a_sample_does_not_depend_on_its_batch(text_folder: Path, split: str, training_samples: int | None) -> None:
    task = Text(text_config(text_folder, training_samples=training_samples))
    whole = assert_samples_independent_of_batch(task, split, count=40)
    assert (whole.tokens != task.batch(split, np.arange(40), seed=4).tokens).any(axis=1).mean() > 0.9


def test_every_process_draws_the_same_bytes(text_folder: Path) -> None:
    assert_equal_in_every_process(
        "Text(TextConfig(corpus=sys.argv[1], tokens='bpe', vocabulary_tokens=400, length_tokens=32,"
        " test_samples=50, validation_samples=50))",
        "from generators.tasks.text import Text, TextConfig",
        str(text_folder),
    )


def test_identity_follows_the_documents_and_neither_file_names_nor_folder(text_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    tales = [path.read_text(encoding="utf-8") for path in sorted(text_folder.iterdir())]
    for number, tale in enumerate(reversed(tales)):
        (tmp_path / "moved" / f"{number}.md").write_text(tale, encoding="utf-8")
    (tmp_path / "one.txt").write_text("\n%%\n".join(tales), encoding="utf-8")
    (tmp_path / "more.txt").write_text("\n%%\n".join([*tales, "And that was all."]), encoding="utf-8")
    original, moved = text_config(text_folder), text_config(tmp_path / "moved")
    one_file = text_config(tmp_path / "one.txt", separator="%%")
    more = text_config(tmp_path / "more.txt", separator="%%")
    assert original.canonical() == moved.canonical() == one_file.canonical() != more.canonical()
    assert str(text_folder) not in str(original.canonical())
    assert Text(original).name == Text(one_file).name != Text(more).name
    assert_batches_equal(
        Text(original).batch("train", np.arange(9)),
        Text(one_file).batch("train", np.arange(9)),
    )


def test_a_corpus_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(invented_tales(20)), encoding="utf-8")
    before = text_config(path).canonical()
    assert text_config(path).canonical() == before
    path.write_text("\n".join(invented_tales(20, seed=1)), encoding="utf-8")
    assert text_config(path).canonical() != before


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
def test_every_setting_has_an_effect(text_folder: Path, key: str, value: object) -> None:
    bpe = {"tokens": "bpe", "vocabulary_tokens": 400} if key in ("tokens", "vocabulary_tokens") else {}
    default = Text(text_config(text_folder, **({} if key == "tokens" else bpe)))
    changed = Text(text_config(text_folder, **{**bpe, key: value}))
    assert default.config.canonical() != changed.config.canonical()
    assert (default.name != changed.name) == (not key.endswith("_samples"))
    assert (
        default.corpus.documents.texts != changed.corpus.documents.texts
        or default.vocabulary != changed.vocabulary
        or default.length != changed.length
        or dict(default.splits) != dict(changed.splits)
    )


# ---- the default corpus


def test_the_standard_library_is_a_corpus_without_its_tests_and_packages() -> None:
    texts = Text(TextConfig()).corpus.documents.texts
    assert len(texts) > 300
    assert sum("def fill(text, width=70," in text for text in texts) == 1
    assert sum(text.startswith("import unittest") for text in texts) < 3
    assert 4e6 < sum(map(len, texts)) < 4e7


def test_the_default_settings_need_no_file() -> None:
    assert TASKS.config({"kind": "text"}, "a spec") == TextConfig(corpus="stdlib")


# ---- errors; unusable files are tested in test_documents.py


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
def test_inconsistent_settings_are_refused_in_one_sentence(
    text_folder: Path, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(UserError, match=reason) as raised:
        Text(text_config(text_folder, **changes))
    assert "\n" not in str(raised.value)


def test_the_maximum_that_an_error_names_is_accepted(text_folder: Path) -> None:
    with pytest.raises(UserError) as raised:
        Text(text_config(text_folder, test_samples=10**6))
    most = int(str(raised.value).rpartition("at most ")[2])
    assert len(Text(text_config(text_folder, test_samples=most)).batch("test", np.arange(most))) == most


def test_an_unknown_split_is_refused_with_the_list_of_splits(text_folder: Path) -> None:
    with pytest.raises(UserError, match="'dev' is not one of train, validation, test"):
        Text(text_config(text_folder)).batch("dev", [0])
