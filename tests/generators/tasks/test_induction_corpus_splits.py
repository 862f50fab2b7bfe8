"""Splits of the tales: separate tales, samples that depend on nothing but their index, settings that have an effect."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from generators.table import TASKS
from generators.task import Batch
from generators.tasks.induction_corpus import InductionCorpus, InductionCorpusConfig
from tests.generators.batches import assert_batches_equal, assert_samples_independent_of_batch
from tests.generators.corpora import SEPARATOR, SPLITS, invented_tales, tales_config, write_tales
from tests.generators.processes import assert_equal_in_every_process

# ---- tales and splits


def test_each_tale_of_the_file_is_in_exactly_one_split(tales_task: InductionCorpus) -> None:
    tales = tales_task.prepared.tales
    all_tales = [tale for split in SPLITS for tale in tales[split]]
    assert len(set(all_tales)) == len(all_tales)
    content = Path(tales_task.config.corpus).read_text(encoding="utf-8")
    assert len(all_tales) == len({tale.strip() for tale in content.split(SEPARATOR)})
    assert len(tales["train"]) > 5 * len(tales["test"]) == 5 * len(tales["validation"]) > 0


def test_a_tale_that_occurs_twice_in_the_file_counts_once(tmp_path: Path) -> None:
    tales = invented_tales()
    once = InductionCorpus(tales_config(write_tales(tmp_path / "once.txt", tales)))
    twice = InductionCorpus(tales_config(write_tales(tmp_path / "twice.txt", [*tales, *tales[::-1]])))
    assert once.prepared.tales == twice.prepared.tales


def test_training_windows_are_parts_of_training_tales_with_their_original_names(tales_task: InductionCorpus) -> None:
    batch = tales_task.batch("train", np.arange(200))
    assert not batch.scored.any()
    assert batch.loss[:, 1:].all()
    assert not batch.loss[:, 0].any()
    tales = "\0".join(tales_task.prepared.tales["train"])
    windows = [tales_task.text(tokens).strip("\N{REPLACEMENT CHARACTER}") for tokens in batch.tokens]
    assert all(window in tales for window in windows)
    assert len(set(windows)) > 190


def test_no_held_out_window_occurs_in_a_training_tale(tales_task: InductionCorpus, held_out: Batch) -> None:
    train = np.concatenate(tales_task.prepared.codes["train"]).tobytes()
    assert not any(tokens.tobytes() in train for tokens in held_out.tokens)


def test_the_encoder_is_trained_on_training_tales_only(tales_task: InductionCorpus) -> None:
    def vocabulary_learnt_from(texts: list[str]) -> list[str]:
        encoder = Tokenizer(models.BPE())
        encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        encoder.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        size = len(tales_task.vocabulary) - 1
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
        encoder.train_from_iterator(texts, trainer)
        return sorted(encoder.get_vocab(), key=encoder.get_vocab().__getitem__)

    tales = tales_task.prepared.tales
    vocabulary = list(tales_task.vocabulary[:-1])
    assert vocabulary_learnt_from(tales["train"]) == vocabulary
    assert vocabulary_learnt_from([tale for split in SPLITS for tale in tales[split]]) != vocabulary


def test_decoding_the_tokens_of_a_tale_gives_its_text(tales_task: InductionCorpus) -> None:
    for tale, codes in zip(tales_task.prepared.tales["train"], tales_task.prepared.codes["train"], strict=True):
        assert tales_task.text(codes) == tale


def test_a_tale_shorter_than_a_window_is_padded_without_loss(tmp_path: Path) -> None:
    tales = invented_tales() + invented_tales(10, sentences=2, seed=9)
    task = InductionCorpus(tales_config(write_tales(tmp_path / "tales.txt", tales), length_tokens=128))
    batch = task.batch("train", np.arange(3000))
    padded = batch.tokens == task.padding
    assert padded.any()
    assert not padded[:, 0].any()
    assert (batch.loss[:, 1:] == ~padded[:, 1:]).all()
    assert (padded[:, 1:] >= padded[:, :-1]).all()
    row = int(np.flatnonzero(padded.any(axis=1))[0])
    assert task.text(batch.tokens[row]) in task.prepared.tales["train"]


def test_other_text_fills_its_share_of_the_training_windows_and_no_held_out_one(
    tales_file: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.txt"
    path.write_text("\n".join(f"number {k} is {k * k % 97}" for k in range(3000)))
    plain = InductionCorpus(tales_config(tales_file))
    mixed = InductionCorpus(tales_config(tales_file, other_corpus=str(path)))
    tales = "\n".join(mixed.prepared.tales["train"])
    is_tale = np.array([mixed.text(tokens).strip() in tales for tokens in mixed.batch("train", np.arange(1000)).tokens])
    assert abs(is_tale.mean() - 0.1) < 4 * np.sqrt(0.09 / 1000)
    assert mixed.name != plain.name
    held_out = mixed.batch("test", np.arange(50))
    assert held_out.scored.any(axis=1).all()
    assert mixed.confirmed(held_out).all()


# ---- the same bytes everywhere


@pytest.mark.parametrize("split", SPLITS)
def test_a_sample_does_not_depend_on_its_batch(tales_task: InductionCorpus, split: str) -> None:
    whole = assert_samples_independent_of_batch(tales_task, split, count=40)
    other_seed = tales_task.batch(split, np.arange(40), seed=4)
    assert (whole.tokens != other_seed.tokens).any(axis=1).mean() > 0.9


def test_every_process_draws_the_same_bytes(tales_file: str) -> None:
    assert_equal_in_every_process(
        "InductionCorpus(InductionCorpusConfig(corpus=sys.argv[1], vocabulary_tokens=400, length_tokens=64))",
        "from generators.tasks.induction_corpus import InductionCorpus, InductionCorpusConfig",
        tales_file,
    )


def test_identity_follows_the_content_of_the_corpus_and_not_its_path(tales_file: str, tmp_path: Path) -> None:
    content = Path(tales_file).read_bytes()
    (tmp_path / "copy.txt").write_bytes(content)
    (tmp_path / "other.txt").write_bytes(content + b"\nAnd that was all.\n")
    original, copy, other = (
        tales_config(path) for path in (tales_file, str(tmp_path / "copy.txt"), str(tmp_path / "other.txt"))
    )
    assert original.canonical() == copy.canonical() != other.canonical()
    assert original.canonical()["corpus"] == {"sha256": hashlib.sha256(content).hexdigest()}
    tasks = [InductionCorpus(config) for config in (original, copy, other)]
    assert_batches_equal(tasks[0].batch("test", np.arange(9)), tasks[1].batch("test", np.arange(9)))
    assert tasks[0].name != tasks[2].name


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
def test_every_setting_has_an_effect(tales_file: str, key: str, value: object) -> None:
    default = InductionCorpus(tales_config(tales_file))
    changed = InductionCorpus(tales_config(tales_file, **{key: value}))
    assert default.config.canonical() != changed.config.canonical()
    assert (default.name == changed.name) == key.endswith("_samples"), "the size of a split does not change its samples"
    assert (
        default.prepared.tales != changed.prepared.tales
        or default.prepared.names != changed.prepared.names
        or default.vocabulary != changed.vocabulary
        or default.length != changed.length
        or dict(default.splits) != dict(changed.splits)
        or len(default.windows["test"][1]) != len(changed.windows["test"][1])
    )


def test_the_table_of_tasks_builds_its_settings(tales_file: str) -> None:
    config = TASKS.config({"kind": "induction_corpus", "corpus": tales_file}, "a spec")
    assert config == InductionCorpusConfig(corpus=tales_file)
