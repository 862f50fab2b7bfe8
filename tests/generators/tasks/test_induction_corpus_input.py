"""Files and settings from which no task can be built give a one-sentence error."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generators.foundation.errors import UserError
from generators.tasks.induction_corpus import InductionCorpus, InductionCorpusConfig
from tests.generators.corpora import SEPARATOR, invented_tales, tales_config, write_tales


def random_bytes(seed: int, size: int, values: int, first: int = 0) -> bytes:
    return (np.random.default_rng(seed).integers(values, size=size, dtype=np.uint8) + np.uint8(first)).tobytes()


def joined(*tales: str) -> bytes:
    return SEPARATOR.join(tales).encode()


UNUSABLE = {
    "empty": (b"", "is empty"),
    "only separators": (joined("", "\n", " "), "is empty"),
    "random bytes": (random_bytes(0, 200_000, 256), "not UTF-8"),
    "latin-1": ("Er war in Köln. ".encode("latin-1"), "not UTF-8"),
    "zeros": (bytes(5000), "only 1 different tale"),
    "one tale": (invented_tales(1)[0].encode(), "only 1 different tale"),
    "printable noise": (random_bytes(1, 200_000, 95, 32), "only 1 different tale"),
    "one tale thrice": (joined(*invented_tales(1) * 3), "only 1 different tale"),
    "printable noise in tales": (
        joined(*(random_bytes(n, 20_000, 95, 32).decode() for n in range(9))),
        "only 0 of its 9 tales",
    ),
    "numbers": (joined("1 2 3", "4 5 6", "7 8 9", "10 11"), "only 0 of its 4 tales"),
    "tales without names": (
        joined(*(f"they went {n} times to the wood and sang. " * 50 for n in range(9))),
        "only 0",
    ),
    "one tale with names": (joined(*invented_tales(1), "and so it was", "the end"), "only 1 of its 3 tales"),
    "little text": (joined(*invented_tales(6, sentences=10)), "task.vocabulary_tokens = 400"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_corpus_is_refused_in_one_sentence(case: str, tmp_path: Path) -> None:
    content, reason = UNUSABLE[case]
    path = tmp_path / "tales.txt"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        InductionCorpus(tales_config(str(path)))
    message = str(raised.value)
    assert reason in message
    assert str(path) in message
    assert message.startswith("task.")
    assert "should be" in message or "give " in message or "suit" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "reason"), [("missing.txt", "no such file"), (".", "not a file"), ("x" * 300, "cannot be read")]
)
def test_a_path_that_is_not_a_readable_file_is_refused_with_its_key(name: str, reason: str, tmp_path: Path) -> None:
    config = tales_config(str(tmp_path / name))
    for read_corpus in (config.canonical, lambda: InductionCorpus(config)):
        with pytest.raises(UserError, match=reason) as raised:
            read_corpus()
        assert str(raised.value).startswith(f'task.corpus = "{tmp_path / name}": ')


def test_a_window_longer_than_every_tale_is_refused_with_the_maximum(tales_file: str) -> None:
    longest = max(len(codes) for codes in InductionCorpus(tales_config(tales_file)).prepared.codes["train"])
    InductionCorpus(tales_config(tales_file, length_tokens=longest))
    with pytest.raises(UserError, match=f"task.length_tokens = {longest + 1}: .* give at most {longest}"):
        InductionCorpus(tales_config(tales_file, length_tokens=longest + 1))


def test_a_window_too_short_for_its_names_is_refused(tmp_path: Path) -> None:
    slow_tales = [tale.replace(".", ", and on it went from day to day for a long while.") for tale in invented_tales()]
    corpus = write_tales(tmp_path / "slow.txt", slow_tales)
    InductionCorpus(tales_config(corpus, length_tokens=128, names_per_window=3))
    with pytest.raises(UserError, match=r"task.length_tokens = 16: .* task.names_per_window = 3 .* longer windows"):
        InductionCorpus(tales_config(corpus, length_tokens=16, names_per_window=3))


def test_an_unknown_split_is_refused_with_the_list_of_splits(tales_file: str) -> None:
    with pytest.raises(UserError, match="'dev' is not one of train, validation, test"):
        InductionCorpus(tales_config(tales_file)).batch("dev", [0])


def build_or_error(config: InductionCorpusConfig) -> InductionCorpus | UserError:
    try:
        return InductionCorpus(config)
    except UserError as error:
        return error


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.text(max_size=300).map(str.encode) | st.binary(max_size=50), max_size=6),
    stories=st.integers(0, 3),
)
def test_any_file_gives_a_task_or_a_user_error(parts: list[bytes], stories: int, tmp_path: Path) -> None:
    path = tmp_path / "tales.txt"
    path.write_bytes(SEPARATOR.encode().join([*parts, *(tale.encode() for tale in invented_tales(stories))]))
    task = build_or_error(tales_config(str(path), vocabulary_tokens=320))
    if isinstance(task, UserError):
        assert str(task).startswith("task.")
    else:
        batch = task.batch("test", np.arange(20))
        assert (task.oracle(batch)[batch.scored] == batch.tokens[batch.scored]).all()


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "no such file"), ("short. " * 9, "fewer than task.length_tokens")]
)
def test_an_unusable_other_corpus_is_refused(tales_file: str, tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "other.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=rf"task\.other_corpus = .*{reason}"):
        InductionCorpus(tales_config(tales_file, other_corpus=str(path)))
