"""Counter-based randomness: every draw is a pure function of a key and a position.

Sample i of a task must be the same bytes whatever the batch size, the worker or the resume point, so no
generator is ever advanced. A *key* is a 64-bit word that names one sample; a *site* names one decision
inside it ("subject of each sentence"); the draw at a site is a hash of the two. Hashing is SplitMix64's
finaliser (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", section 5), which
numpy applies to a whole batch at once: `numpy.random.Philox` is counter-based too, but one sample at a time.
"""

import hashlib
from functools import cache, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(words: Words) -> Words:
    """SplitMix64's finaliser, elementwise: a bijection of 64-bit words that scatters neighbouring inputs."""
    with np.errstate(over="ignore"):
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return words ^ (words >> np.uint64(31))


@cache
def word(name: str) -> np.uint64:
    """The 64-bit word of a name: the same in every process, unlike `hash()`."""
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def sample_keys(name: str, indices: ArrayLike) -> Words:
    """One key [B] for each sample index [B] of the stream called `name`."""
    with np.errstate(over="ignore"):
        return mix(mix(np.asarray(indices, dtype=np.uint64) * GOLDEN + word(name)) + GOLDEN)


def epochs(name: str, places: ArrayLike, size: int) -> Integers:
    """Which of `size` things [B] is read at each place [B]: all of them, then all again, each time in another order."""
    passes, within = np.divmod(np.asarray(places, dtype=np.int64), size)
    read = np.empty_like(within)
    for number in np.unique(passes):
        here = passes == number
        read[here] = _order(f"{name}:{number}", size)[within[here]]
    return read


@lru_cache(maxsize=4)
def _order(name: str, size: int) -> Integers:
    """A permutation of 0..size-1."""
    return np.argsort(sample_keys(name, np.arange(size)))


class Stream:
    """The draws of a batch of samples, one row a sample.

    Args:
        keys: uint64 [B], from `sample_keys`.
    """

    def __init__(self, keys: Words) -> None:
        self.keys = keys

    def __len__(self) -> int:
        return len(self.keys)

    def bits(self, site: str, count: int) -> Words:
        """uint64 [B, count], uniform over all words, independent between rows, sites and columns."""
        with np.errstate(over="ignore"):
            columns = np.arange(1, count + 1, dtype=np.uint64) * GOLDEN + word(site)
            return mix(self.keys[:, None] + columns)

    def uniform(self, site: str, count: int) -> NDArray[np.float64]:
        """float64 [B, count] in [0, 1)."""
        return (self.bits(site, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def integers(self, site: str, bound: ArrayLike, count: int) -> Integers:
        """int64 [B, count] in 0..bound-1; `bound` is a number or broadcasts to [B, count]."""
        scaled: NDArray[np.float64] = self.uniform(site, count) * np.asarray(bound)
        return scaled.astype(np.int64)

    def choose(self, site: str, population: int, count: int) -> Integers:
        """int64 [B, count]: `count` distinct members of 0..population-1, in random order."""
        return np.argsort(self.bits(site, population), axis=1)[:, :count]

    def again(self, rows: Integers, attempt: int, count: int) -> "Stream":
        """`count` fresh rows for each of `rows` [R], one row's together: attempts `attempt`, `attempt` + 1, ..."""
        with np.errstate(over="ignore"):
            attempts = np.arange(attempt, attempt + count, dtype=np.uint64) * GOLDEN
            return Stream(mix((self.keys[rows, None] + attempts).reshape(-1)))
