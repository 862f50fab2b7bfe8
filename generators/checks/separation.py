"""Checks that splits share neither samples nor documents nor parts of documents."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from generators.checks.draws import DrawnSplit
from generators.checks.exact import LEVEL, upper_tail
from generators.foundation.randomness import Floats, Integers
from generators.material.windows import HASHED_AT_ONCE, positions_of, run_hashes
from generators.task import Batch, Task

REPEATED_SHARE_MAXIMUM = 0.1
OVERLAPPING_SHARE_MAXIMUM = 0.05
WINDOW_TOKENS_MINIMUM = 32
RUN_TOKENS_MINIMUM = 8
INFORMATION_MINIMUM_BITS = 64
DOCUMENT = "document"
"""The label that numbers the documents which samples are cut from; negative where there is none."""


@dataclass(frozen=True)
class SharedSamples:
    """Samples that occur twice.

    Attributes:
        between_groups: samples that two groups of splits have in common.
        within_held_out: held-out samples that occur earlier in the same group of splits.
        held_out: samples of the held-out splits.
        groups: the groups that share samples, as text.
    """

    between_groups: int
    within_held_out: int
    held_out: int
    groups: str

    @property
    def problems(self) -> list[str]:
        """Sentences about samples that occur too often.

        Up to a tenth of the held-out samples may be repeats. More means that so few distinct samples exist that keeping
        the splits apart distorts each of them.
        """
        problems = []
        if self.between_groups:
            problems.append(f"{self.between_groups:,} samples occur in two splits ({self.groups})")
        if self.within_held_out > REPEATED_SHARE_MAXIMUM * self.held_out:
            problems.append(
                f"{self.within_held_out:,} of {self.held_out:,} held-out samples occur earlier in their split; "
                "at most one in ten may, so the task has too few distinct samples"
            )
        return problems


def shared_samples(splits: Iterable[DrawnSplit]) -> SharedSamples:
    """Counts the samples that occur twice; splits of one group, such as "test/m=1" and "test/m=2", count as one."""
    seen: dict[str, set[bytes]] = {}
    repeated = held_out = 0
    for drawn in splits:
        group = seen.setdefault(drawn.group, set())
        if drawn.group != "train":
            held_out += len(drawn.digests)
            repeated += len(drawn.digests) - len(set(drawn.digests) - group)
        group.update(drawn.digests)
    shared = {f"{a} and {b}": len(seen[a] & seen[b]) for a, b in combinations(seen, 2)}
    groups = ", ".join(pair for pair, count in shared.items() if count)
    return SharedSamples(sum(shared.values()), repeated, held_out, groups)


def shared_documents(splits: Iterable[DrawnSplit]) -> list[str]:
    """Returns a sentence for every two groups of splits that have documents in common, by the label `document`."""
    documents: dict[str, set[int]] = {}
    for drawn in splits:
        if drawn.kept is not None and DOCUMENT in drawn.kept.labels:
            numbers = np.unique(drawn.kept.labels[DOCUMENT])
            documents.setdefault(drawn.group, set()).update(numbers[numbers >= 0].tolist())
    return [
        f"{len(shared):,} documents are in {first} and in {second}, such as document {min(shared)}; "
        "a document should belong to one split"
        for first, second in combinations(documents, 2)
        if (shared := documents[first] & documents[second])
    ]


def overlapping_windows(task: Task, first: DrawnSplit, second: DrawnSplit) -> str:
    """Returns how many samples of one split share their text with samples of another, or "" if few do.

    The middle quarter of a sample of `second` is looked up in all samples of `first`. If it occurs, the two are aligned
    there. Two windows on one text then agree as far as both reach. Independent samples rarely do, even if a grammar or
    a table makes them resemble each other: they differ somewhere outside the quarter. Agreement on less than
    `INFORMATION_MINIMUM_BITS`, by the frequencies of tokens, does not count.
    """
    if first.kept is None or second.kept is None:
        return ""
    widths = real_widths(second.kept)
    run = max(RUN_TOKENS_MINIMUM, int(np.median(widths)) // 4)
    probes = np.flatnonzero(widths >= max(WINDOW_TOKENS_MINIMUM, 2 * run))
    if not len(probes):
        return ""
    middle = (widths[probes] - run) // 2
    quarters = second.kept.tokens[probes[:, None], middle[:, None] + np.arange(run)]
    bits = token_bits(first.kept.tokens, len(task.vocabulary))
    own_widths = real_widths(first.kept)
    overlaps = 0
    for probe, start, (row, place) in zip(probes, middle, places_of(quarters, first.kept.tokens), strict=True):
        if row >= 0:
            sample, other = second.kept.tokens[probe, : widths[probe]], first.kept.tokens[row, : own_widths[row]]
            overlaps += information_of_overlap(sample, other, place - start, bits) >= INFORMATION_MINIMUM_BITS
    if upper_tail(overlaps, len(probes), OVERLAPPING_SHARE_MAXIMUM) > LEVEL:
        return ""
    return (
        f"{overlaps:,} of {len(probes):,} {second.split} samples overlap {first.split} samples: "
        "they are windows on the same text; a document should belong to one split"
    )


def real_widths(batch: Batch) -> Integers:
    """Returns the tokens [B] of each sample up to its last target; padding comes after."""
    reversed_loss = batch.loss[:, ::-1]
    widths: Integers = np.where(batch.loss.any(axis=1), batch.loss.shape[1] - reversed_loss.argmax(axis=1), 0)
    return widths


def token_bits(tokens: Integers, vocabulary: int) -> Floats:
    """Returns the information [V] of a token in bits, by its frequency in samples."""
    counts = np.bincount(tokens.reshape(-1), minlength=vocabulary) + 1.0
    bits: Floats = -np.log2(counts / counts.sum())
    return bits


def places_of(quarters: Integers, tokens: Integers) -> Integers:
    """Finds runs of tokens [P, n] in samples [B, T].

    Returns:
        The row and the position [P, 2] where each run first occurs, or -1.
    """
    run, starts = quarters.shape[1], tokens.shape[1] - quarters.shape[1] + 1
    places = np.full((len(quarters), 2), -1)
    if starts < 1:
        return places
    sought = run_hashes(quarters, run)[:, 0]
    at_once = max(1, HASHED_AT_ONCE // starts)
    for first in range(0, len(tokens), at_once):
        hashes = run_hashes(tokens[first : first + at_once], run).reshape(-1)
        positions = positions_of(sought, hashes)
        words, earliest = np.unique(hashes[positions], return_index=True)
        probes = np.flatnonzero((places[:, 0] < 0) & np.isin(sought, words))
        position = positions[earliest[np.searchsorted(words, sought[probes])]]
        places[probes] = np.stack((first + position // starts, position % starts), axis=1)
    return places


def information_of_overlap(sample: Integers, other: Integers, shift: int, bits: Floats) -> float:
    """Returns the bits on which two samples agree wherever both have tokens; 0 if they differ anywhere.

    Args:
        shift: the position in `other` of the first token of `sample`.
    """
    low, high = max(0, -shift), min(len(sample), len(other) - shift)
    if (sample[low:high] != other[low + shift : high + shift]).any():
        return 0.0
    return float(bits[sample[low:high]].sum())
