"""The remedy that an error of a task names is not in place yet, and following it works."""

from pathlib import Path
from typing import Any

import pytest

from generators.foundation.errors import UserError
from generators.material.items import items
from generators.table import TASKS, build_task
from tests.generators.corpora import invented_tales, write_tales

STEADY = {"kind": "markov", "vocabulary_tokens": 2, "length_tokens": 4096}
SKEWED = {**STEADY, "memory": 0.0, "source_seed": 150}
"""A source that gives one of its two tokens in 9,996 steps of 10,000."""
POINTS = {"kind": "choice", "consequential_points": 16, "length_tokens": 4096}
TEXT = {"kind": "text", "corpus": "text.txt", "length_tokens": 16, "test_samples": 1, "validation_samples": 1}
TALES = {"kind": "induction_corpus", "corpus": "tales.txt", "vocabulary_tokens": 400, "length_tokens": 16}
LETTERS = {**TALES, "corpus": "letters.txt"}


@pytest.fixture(autouse=True)
def _corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("one\ntwo\nthree\n")
    Path("longer.txt").write_text("".join(f"{number} times two is {2 * number}\n" for number in range(99)))
    slow = [tale.replace(".", ", and on it went from day to day for a long while.") for tale in invented_tales()]
    write_tales(Path("tales.txt"), slow)
    write_tales(Path("letters.txt"), [f"{'then Bo met Di, and so Di met Bo ' * 9}{number}" for number in range(9)])


@pytest.mark.parametrize(
    ("settings", "remedy", "followed"),
    [
        (SKEWED, "give another task.source_seed", {"source_seed": 0}),
        ({**STEADY, "memory": 0.9999}, "give less, for example 0.95", {"memory": 0.95}),
        ({**POINTS, "spacing_tokens": 256}, "give a smaller task.spacing_tokens", {"spacing_tokens": 8}),
        ({**POINTS, "length_tokens": 64}, "give at least 136", {"length_tokens": 136}),
        ({**TEXT, "separator": "\n"}, "give text with longer documents", {"corpus": "longer.txt"}),
        ({**TEXT, "corpus": "longer.txt", "length_tokens": 97}, "give at most 96", {"length_tokens": 96}),
        ({**TALES, "names_per_window": 3}, "give longer windows or fewer names", {"length_tokens": 128}),
        ({**TALES, "names_per_window": 1}, "give longer windows", {"length_tokens": 128}),
    ],
)
def test_an_error_advises_what_was_not_done_yet(
    settings: dict[str, Any], remedy: str, followed: dict[str, Any]
) -> None:
    with pytest.raises(UserError) as refusal:
        build_task(TASKS.config(settings, "a spec"))
    assert str(refusal.value).endswith(f"; {remedy}")
    build_task(TASKS.config(settings | followed, "a spec"))


@pytest.mark.parametrize(
    ("vocabulary", "remedy"),
    [
        (320, "could be names; 1024 and more suit a long text"),
        (400, "could be names; 1024 and more suit a long text"),
        (512, "could be names; about 400 suit a short text, 1024 and more suit a long text"),
        (1024, "could be names; about 400 suit a short text"),
    ],
)
def test_another_size_of_the_vocabulary_is_advised_than_the_one_in_use(vocabulary: int, remedy: str) -> None:
    with pytest.raises(UserError) as refusal:
        build_task(TASKS.config({**LETTERS, "vocabulary_tokens": vocabulary}, "a spec"))
    assert str(refusal.value).endswith(remedy)


def test_fewer_options_than_two_are_never_advised() -> None:
    settings = {**TEXT, "corpus": "longer.txt"}
    with pytest.raises(UserError, match=r"options = 2: .*; give the task more samples in split 'test'$"):
        items(build_task(TASKS.config(settings, "a spec")), "test", options=2)
    assert len(items(build_task(TASKS.config(settings | {"test_samples": 4}, "a spec")), "test", options=2)) == 4
