"""Counter-based randomness: every draw is a pure function of a key and a site.

Sample i of a task must have the same bytes for any batch size, worker or resume point, so no generator is ever
advanced. A *key* is a 64-bit word that identifies one sample; a *site* names one decision inside it ("subject of each
sentence"); the draw at a site is a hash of both. The hash is SplitMix64's finaliser (Steele, Lea & Flood 2014, "Fast
splittable pseudorandom number generators", section 5), which numpy applies to a whole batch at once.
`numpy.random.Philox` is counter-based too, but draws one sample at a time.
"""

import hashlib
from functools import cache, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint64]
"""An array of random words."""
Integers = NDArray[np.int64]
"""An array of tokens or of other whole numbers."""
Floats = NDArray[np.float64]
"""An array of numbers, such as log-probabilities."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(words: Words) -> Words:
    """Applies SplitMix64's finaliser elementwise: a bijection of 64-bit words that scatters neighbouring inputs."""
    with np.errstate(over="ignore"):
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return words ^ (words >> np.uint64(31))


@cache
def hash_name(name: str) -> np.uint64:
    """Hashes a name to a 64-bit word, the same in every process, unlike `hash()`."""
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def sample_keys(name: str, indices: ArrayLike) -> Words:
    """Returns the keys [B] of the sample indices [B] in the stream called `name`."""
    with np.errstate(over="ignore"):
        return mix(mix(np.asarray(indices, dtype=np.uint64) * GOLDEN + hash_name(name)) + GOLDEN)


def epochs(name: str, positions: ArrayLike, size: int) -> Integers:
    """Returns the item, 0..size-1, that is read at each position [B]; every epoch reads all items in a new order."""
    epoch_numbers, within = np.divmod(np.asarray(positions, dtype=np.int64), size)
    items = np.empty_like(within)
    for number in np.unique(epoch_numbers):
        in_epoch = epoch_numbers == number
        items[in_epoch] = _order(f"{name}:{number}", size)[within[in_epoch]]
    return items


@lru_cache(maxsize=4)
def _order(name: str, size: int) -> Integers:
    """Returns a permutation of 0..size-1 that `name` determines."""
    return np.argsort(sample_keys(name, np.arange(size)))


class Stream:
    """Random draws for a batch of samples, one row per sample.

    Args:
        keys: uint64 [B], from `sample_keys`.
    """

    def __init__(self, keys: Words) -> None:
        self.keys = keys

    def __len__(self) -> int:
        return len(self.keys)

    def bits(self, site: str, count: int) -> Words:
        """Draws uint64 [B, count], uniform over all words, independent across rows, sites and columns."""
        with np.errstate(over="ignore"):
            columns = np.arange(1, count + 1, dtype=np.uint64) * GOLDEN + hash_name(site)
            return mix(self.keys[:, None] + columns)

    def uniform(self, site: str, count: int) -> NDArray[np.float64]:
        """Draws float64 [B, count] in [0, 1)."""
        return (self.bits(site, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def integers(self, site: str, bound: ArrayLike, count: int) -> Integers:
        """Draws int64 [B, count] in 0..bound-1; `bound` is a number or broadcasts to [B, count]."""
        scaled: NDArray[np.float64] = self.uniform(site, count) * np.asarray(bound)
        return scaled.astype(np.int64)

    def choose(self, site: str, population: int, count: int) -> Integers:
        """Draws `count` distinct members of 0..population-1 in random order: int64 [B, count]."""
        return np.argsort(self.bits(site, population), axis=1)[:, :count]

    def again(self, rows: Integers, attempt: int, count: int) -> "Stream":
        """Returns a stream of `count` new rows for each of `rows` [R]; the new rows of one row are adjacent.

        Args:
            attempt: the number of the first new row, counted from 1; the result does not depend on how many attempts
                are drawn at once.
        """
        with np.errstate(over="ignore"):
            attempts = np.arange(attempt, attempt + count, dtype=np.uint64) * GOLDEN
            return Stream(mix((self.keys[rows, None] + attempts).reshape(-1)))
