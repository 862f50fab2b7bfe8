"""Checks the answers of samples against the task's oracle, even if the oracle raises an exception."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from generators.foundation.randomness import Integers
from generators.task import Batch, Mask, Task


@dataclass(frozen=True)
class Confirmation:
    """The result of confirming the samples of a batch.

    Attributes:
        confirmed: bool [B], samples that the oracle confirms.
        errors: row -> the exception that the oracle raises on this sample alone.
    """

    confirmed: Mask
    errors: dict[int, Exception]


def confirm(task: Task, batch: Batch) -> Confirmation:
    """Compares the samples of a batch with the oracle; if the oracle raises, halves the batch until it is known for
    which samples.
    """
    errors: dict[int, Exception] = {}
    confirmed = np.zeros(len(batch), bool)

    def confirm_rows(rows: Integers) -> None:
        try:
            confirmed[rows] = task.confirmed(batch.take(rows))
        except Exception as error:  # another package's oracle can raise anything
            if len(rows) == 1:
                errors[int(rows[0])] = error
            else:
                for half in np.array_split(rows, 2):
                    confirm_rows(half)

    confirm_rows(np.arange(len(batch)))
    return Confirmation(confirmed, errors)


def refutation(task: Task, batch: Batch, row: int) -> str:
    """Returns where the oracle disagrees with a sample: the position, the token there and the answer of the oracle."""
    if type(task).confirmed is not Task.confirmed:
        return ": the task's `confirmed` refutes it"
    tokens, scored = batch.tokens[row], batch.scored[row]
    answers = task.oracle(batch.take(np.array([row])))[0]
    position = int((answers != np.where(scored, tokens, -1)).argmax())
    sample = f"{spelled(task, tokens[position])} is {'' if scored[position] else 'not '}scored"
    answer = "no answer" if answers[position] == -1 else spelled(task, answers[position])
    return f", position {position}: {sample}, but the oracle gives {answer}"


def spelled(task: Task, token: int) -> str:
    """Quotes a token; a token outside the vocabulary is given by its number."""
    return repr(task.vocabulary[token]) if 0 <= token < len(task.vocabulary) else f"token {token}"


def place_of(task: Task, batch: Batch, row: int, sound: int | None) -> str:
    """Returns which value of a sample makes the oracle raise, by position and label or token; "" if that is unclear.

    Values are copied from a sample on which the oracle does not raise, one label at a time and then the tokens, until
    it no longer raises. The position is the last one whose value must be copied.

    Args:
        sound: a row on which the oracle does not raise; None if there is no such row; labels are then set to 0.
    """
    sample = batch.take(np.array([row]))
    donor = batch.take(np.array([row if sound is None else sound]))
    for name, values in arrays_of(sample):
        donated = dict(arrays_of(donor))[name]
        if sound is None and name != "tokens":
            donated = np.zeros_like(donated)

        def raises(width: int, name: str = name, values: Integers = values, donated: Integers = donated) -> bool:
            mended = values.copy()
            mended[:, :width] = donated[:, :width]
            try:
                task.confirmed(with_array(sample, name, mended))
            except Exception:
                return True
            return False

        low, high = 0, values.shape[1]
        if raises(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if raises(middle) else (low, middle)
        value = values[0, low]
        text = spelled(task, value) if name == "tokens" else f"label {name!r} = {value}"
        return f", position {low}, {text}"
    return ""


def arrays_of(batch: Batch) -> Iterator[tuple[str, Integers]]:
    """Yields the labels of a batch by name and then its tokens."""
    yield from batch.labels.items()
    yield "tokens", batch.tokens


def with_array(batch: Batch, name: str, values: Integers) -> Batch:
    """Returns the batch with one of `arrays_of` replaced."""
    return replace(batch, tokens=values) if name == "tokens" else replace(batch, labels={**batch.labels, name: values})
