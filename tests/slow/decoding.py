"""Compares self-speculative with greedy decoding on a thousand prompts, for every wiring of trained heads.

    python -m tests.slow.decoding --prompts 1000

For each wiring a model is trained until its heads are often right and often wrong. In double precision, every draft
length k = 2..n, with 1 and with 16 prompts in a batch, must give the tokens of greedy decoding, with and without an
end-of-sequence token. In single precision a difference must be a tie: at the first token that differs, the logits of
the two likeliest tokens, computed without a cache, are within 1e-4 nats.
"""

import argparse
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from generators.foundation.randomness import Integers
from lab.decoding.decoder import Decoded, decode
from lab.loss.losses import accumulate_gradient
from lab.model.batches import TensorBatch
from lab.run.assembly import RunParts, assemble
from lab.run.spec import parse_spec
from lab.run.step import update_parameters
from tests.conftest import logits_of, tiny_tree

WIRINGS: list[dict[str, Any]] = [
    {"head": "transformer", "topology": topology, "unembedding": unembedding}
    for topology in ("parallel", "causal", "anticausal")
    for unembedding in ("shared", "replicated")
]
WIRINGS += [{"head": "linear", "topology": topology} for topology in ("parallel", "causal", "anticausal")]
WIRINGS += [{"head": "none", "unembedding": "replicated"}]
COUNT = 26
TIE_NATS = 1e-4


@dataclass
class WiringTally:
    """Counts for one wiring: sequences compared, those that differ, ends inside a draft, ties in single precision.

    `parted` holds the gap in nats between the two likeliest tokens where single precision differs.
    """

    compared: int = 0
    different: int = 0
    ends_inside: int = 0
    ties: int = 0
    parted: list[float] = field(default_factory=list)
    tokens_per_forward: dict[int, float] = field(default_factory=dict)


def train_network(wiring: dict[str, Any], steps: int) -> RunParts:
    """Trains a model of six layers, n = 4, on stories."""
    tree = tiny_tree(model__layers=6, task__length_tokens=48, task__test_samples=2000)
    tree["objective"] = {"kind": "multi_token", "n": 4, **wiring}
    parts = assemble(parse_spec(tree, "a spec"))
    adam = torch.optim.AdamW(parts.network.parameters(), lr=0.01)
    for step in range(steps):
        indices = np.arange(16 * step, 16 * step + 16)
        batch = TensorBatch.from_batch(parts.task.batch("train", indices), parts.device, indices)
        accumulate_gradient(parts.network, batch, "joint")
        update_parameters(adam)
    return parts


def in_batches(
    parts: RunParts, prompts: Integers, lengths: Integers, size: int, draft: int, end: int | None
) -> Decoded:
    """Continues all prompts, `size` at a time."""
    rows = np.array_split(np.arange(len(prompts)), -(-len(prompts) // size))
    batches = [decode(parts.network, prompts[batch], lengths[batch], COUNT, draft, end) for batch in rows]
    fields = ("tokens", "lengths", "forwards", "drafts")
    return Decoded(*(np.concatenate([getattr(batch, name) for batch in batches]) for name in fields))


def end_inside_drafts(decoded: Decoded, vocabulary: int) -> int:
    """Returns the token that most often was accepted with another draft after it, to serve as end of sequence."""
    accepted = (decoded.drafts[:, :COUNT] == 1).any(axis=2)
    followed = (decoded.drafts[:, 1 : COUNT + 1] >= 0).any(axis=2)
    return int(np.bincount(decoded.tokens[accepted & followed], minlength=vocabulary).argmax())


def compare(wiring: dict[str, Any], prompts_count: int, steps: int = 60) -> WiringTally:
    """Compares one wiring for all k and both batch sizes, with end-of-sequence tokens, and in single precision."""
    parts = train_network(wiring, steps)
    tokens = parts.task.batch("test", np.arange(prompts_count)).tokens
    prompts, lengths = tokens[:, :20], np.random.default_rng(0).integers(1, 20, prompts_count)
    tally = WiringTally()
    parts.network.double()
    greedy = in_batches(parts, prompts, lengths, 16, 1, None).tokens
    end = end_inside_drafts(in_batches(parts, prompts, lengths, 16, 4, None), len(parts.task.vocabulary))
    for draft in (2, 3, 4):
        for size in (1, 16):
            decoded = in_batches(parts, prompts, lengths, size, draft, None)
            tally.compared += prompts_count
            tally.different += int((decoded.tokens != greedy).any(axis=1).sum())
        tally.tokens_per_forward[draft] = decoded.tokens_per_forward
        ended = in_batches(parts, prompts, lengths, 16, draft, end)
        tally.compared += prompts_count
        for row in range(prompts_count):
            expected = greedy[row].tolist()
            length = expected.index(end) + 1 if end in expected else COUNT
            same = ended.tokens[row].tolist() == expected[:length] + [end] * (COUNT - length)
            tally.different += not (same and ended.lengths[row] == length)
            accepted = ended.drafts[row, length - 1] == 1
            tally.ends_inside += (
                end in expected and bool(accepted.any()) and bool((ended.drafts[row, length] >= 0).any())
            )
    parts.network.float()
    plain = in_batches(parts, prompts, lengths, 16, 1, None).tokens
    for draft in (2, 3, 4):
        for size in (1, 16):
            decoded = in_batches(parts, prompts, lengths, size, draft, None)
            for row in np.flatnonzero((decoded.tokens != plain).any(axis=1)):
                first = int(np.argmax(plain[row] != decoded.tokens[row]))
                read = [*prompts[row, : lengths[row]], *plain[row, :first]]
                best = logits_of(parts.network, torch.tensor([read]))[0, -1].topk(2).values
                tally.parted.append(float(best[0] - best[1]))
    tally.ties = sum(gap < TIE_NATS for gap in tally.parted)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1000)
    arguments = parser.parse_args()
    print(f"n = 4, {arguments.prompts} prompts, {COUNT} tokens each; k = 2, 3, 4, one at a time and 16, float64")
    print(
        f"{'wiring':<36}{'compared':>9}{'differ':>7}{'ends in drafts':>15}{'float32 parts, ties':>20}  tokens/forward"
    )
    wrong = 0
    for wiring in WIRINGS:
        tally = compare(wiring, arguments.prompts)
        wrong += tally.different + len(tally.parted) - tally.ties
        rates = ", ".join(f"{rate:.2f}" for rate in tally.tokens_per_forward.values())
        float32 = f"{len(tally.parted)}, {tally.ties}"
        name = " ".join(wiring.values())
        print(
            f"{name:<36}{tally.compared:>9}{tally.different:>7}{tally.ends_inside:>15}{float32:>20}  {rates}",
            flush=True,
        )
    print("all equal" if not wrong else f"{wrong} WRONG")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
