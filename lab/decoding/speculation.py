"""Times decoding with and without drafts; also the speed-ups that the paper reports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from generators.foundation.randomness import Integers
from lab.decoding.cache_check import require_cacheable
from lab.decoding.decoder import Decoded, decode
from lab.objectives.objective import Objective
from lab.timing import median_ratio, time_in_turns

TURNS = 3
PAPER_SPEEDS: dict[int, dict[int, tuple[float, float]]] = {
    4: {2: (1.94, 1.85), 3: (2.78, 2.54), 4: (3.50, 3.05)},
    8: {2: (1.98, 1.94), 4: (3.84, 3.67), 8: (7.04, 6.39)},
}
"""n -> k -> tokens per forward pass and speed-up at 7B parameters: four heads on code, eight on bytes (section 3.2)."""


@dataclass(frozen=True)
class TimedDecoding:
    """Continuations with drafts of one length, the same in every turn, and the wall seconds of each turn."""

    decoded: Decoded
    seconds: list[float]

    def times_faster(self, plain: "TimedDecoding") -> float:
        """Returns the speed-up over plain decoding in the median turn."""
        return median_ratio(plain.seconds, self.seconds)


def time_drafts(
    network: Objective,
    prompts: Integers,
    lengths: Integers,
    count: int,
    drafts: Sequence[int],
    temperature: float = 0.0,
    seed: int = 0,
) -> dict[int, TimedDecoding]:
    """Continues each prompt by `count` tokens with every draft length k in `drafts` and with 1, in alternation.

    Returns:
        k -> the continuations and their time.

    Raises:
        UserError: as `decode`.
    """
    require_cacheable(network, prompts[:, : int(lengths.max())], max(drafts))
    device = network.trunk.embed_tokens.weight.device
    decoded: dict[int, Decoded] = {}

    def decode_with(k: int) -> Callable[[], None]:
        def run() -> None:
            generator = torch.Generator(device).manual_seed(seed)
            decoded[k] = decode(network, prompts, lengths, count, k, None, temperature, generator, checked=True)

        return run

    seconds = time_in_turns({k: decode_with(k) for k in sorted({1, *drafts})}, TURNS)
    return {k: TimedDecoding(decoded[k], seconds[k]) for k in seconds}
