"""Runs tests/slow/decoding.py on sixty prompts; the script takes thousands."""

from typing import Any

import pytest

from tests.slow.decoding import WIRINGS, compare


@pytest.mark.slow
@pytest.mark.parametrize("wiring", WIRINGS, ids=[" ".join(wiring.values()) for wiring in WIRINGS])
def test_self_speculation_gives_the_greedy_tokens_for_every_k_and_batch(wiring: dict[str, Any]) -> None:
    tally = compare(wiring, 60)
    assert tally.compared == 9 * 60
    assert tally.different == 0
    assert tally.ends_inside > 0
    assert tally.ties == len(tally.parted), "every difference in single precision is a tie"
    assert 1 < tally.tokens_per_forward[2] < tally.tokens_per_forward[4] < 4
