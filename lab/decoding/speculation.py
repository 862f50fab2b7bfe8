"""Prompts decoded with drafts of so many tokens and without any, in turns; and what the paper has of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from generators.foundation.randomness import Integers
from lab.decoding.decoder import Decoded, decode
from lab.objectives.objective import Objective
from lab.run.timing import median_ratio, take_turns

TURNS = 3
PAPER: dict[int, dict[int, tuple[float, float]]] = {
    4: {2: (1.94, 1.85), 3: (2.78, 2.54), 4: (3.50, 3.05)},
    8: {2: (1.98, 1.94), 4: (3.84, 3.67), 8: (7.04, 6.39)},
}
"""n -> k -> tokens a forward and times faster at 7B parameters: four heads on code, eight on bytes (section 3.2)."""


@dataclass(frozen=True)
class Turns:
    """What drafts of one length gave, the same in every turn, and the seconds of each turn."""

    decoded: Decoded
    seconds: list[float]

    def times_faster(self, plain: "Turns") -> float:
        """Than decoding without drafts, in the median turn."""
        return median_ratio(plain.seconds, self.seconds)


def in_turns(
    network: Objective,
    prompts: Integers,
    lengths: Integers,
    count: int,
    drafts: Sequence[int],
    temperature: float = 0.0,
    seed: int = 0,
) -> dict[int, Turns]:
    """Each prompt continued by `count` tokens, once for each k of `drafts` and for 1, in turns: by k.

    Raises:
        UserError: as `decode` does.
    """
    device = network.trunk.embed_tokens.weight.device
    found: dict[int, Decoded] = {}

    def decoding(k: int) -> Callable[[], None]:
        def once() -> None:
            generator = torch.Generator(device).manual_seed(seed)
            found[k] = decode(network, prompts, lengths, count, k, None, temperature, generator)

        return once

    seconds = take_turns({k: decoding(k) for k in sorted({1, *drafts})}, TURNS)
    return {k: Turns(found[k], seconds[k]) for k in seconds}
