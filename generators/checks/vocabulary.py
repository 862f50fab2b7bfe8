"""Checks that a vocabulary is learned from training texts alone, and that no held-out sample occurs in these texts."""

from collections.abc import Iterable, Sequence

import numpy as np

from generators.checks.draws import DrawnSplit, sample_text
from generators.material.windows import occurs
from generators.protocols import LearntVocabulary
from generators.task import Task

PREFIX_BYTES = 32
CUT_CHARACTER = "�"
"""The replacement of a character that a window cuts in two."""


def vocabulary_problems(task: Task, splits: Iterable[DrawnSplit]) -> list[str]:
    """Returns sentences about the vocabulary and the training texts of a task that learns one from the other."""
    if not isinstance(task, LearntVocabulary):
        return []
    texts = task.training_texts()
    problems = []
    learnt = task.learn_vocabulary(texts)
    if learnt != task.vocabulary:
        foreign = [token for token in task.vocabulary if token not in set(learnt)]
        example = f"{len(foreign):,} of its tokens differ, such as {foreign[0]!r}" if foreign else "its order differs"
        problems.append(
            f"the vocabulary is not the one that the training texts give: {example}; "
            "learn it from the documents of the training split alone"
        )
    everything = "\n".join(texts).encode()
    for drawn in splits:
        if drawn.group == "train" or drawn.kept is None:
            continue
        if rows := rows_within(everything, [sample_text(task, tokens) for tokens in drawn.kept.tokens]):
            problems.append(
                f"{len(rows):,} {drawn.split} samples occur in the training texts, such as sample {rows[0]}; "
                "a document should belong to one split"
            )
    return problems


def rows_within(text: bytes, samples: Sequence[str]) -> list[int]:
    """Returns which samples of at least `PREFIX_BYTES` occur in a text."""
    contents = [sample.strip(CUT_CHARACTER).encode() for sample in samples]
    rows = [row for row, content in enumerate(contents) if len(content) >= PREFIX_BYTES]
    if not rows:
        return []
    prefixes = np.frombuffer(b"".join(contents[row][:PREFIX_BYTES] for row in rows), np.uint8).reshape(len(rows), -1)
    likely = occurs(prefixes, np.frombuffer(text, np.uint8))
    return [row for row, occurring in zip(rows, likely, strict=True) if occurring and contents[row] in text]
