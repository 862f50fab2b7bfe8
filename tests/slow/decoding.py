"""Self-speculative decoding against greedy decoding on a thousand prompts, for every wiring of heads, trained.

    python -m tests.slow.decoding --prompts 1000

For each wiring a model is trained until its heads are right often and wrong often. In double precision every k = 2..n,
one prompt at a time and sixteen, has to give the tokens of greedy decoding, with and without a token that ends a
sample. In single precision a difference has to be a tie: where the two part, the two likeliest tokens of a model that
rereads everything are within 1e-4 nats.
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
class Tally:
    """Of one wiring: sequences compared, those that differ, ends inside a draft, and ties in single precision."""

    compared: int = 0
    different: int = 0
    ends_inside: int = 0
    ties: int = 0
    parted: list[float] = field(default_factory=list)
    tokens_per_forward: dict[int, float] = field(default_factory=dict)


def trained(wiring: dict[str, Any], steps: int) -> RunParts:
    """A model of six layers, n = 4, on stories."""
    tree = tiny_tree(model__layers=6, task__length_tokens=48, task__test_samples=2000)
    tree["objective"] = {"kind": "multi_token", "n": 4, **wiring}
    parts = assemble(parse_spec(tree, "a spec"))
    adam = torch.optim.AdamW(parts.network.parameters(), lr=0.01)
    for step in range(steps):
        indices = np.arange(16 * step, 16 * step + 16)
        batch = TensorBatch.from_batch(parts.task.batch("train", indices), parts.device, indices)
        accumulate_gradient(parts.network, batch, "joint")
        adam.step()
        adam.zero_grad()
    return parts


def in_batches(
    parts: RunParts, prompts: Integers, lengths: Integers, size: int, draft: int, end: int | None
) -> Decoded:
    """All prompts, `size` at a time."""
    rows = np.array_split(np.arange(len(prompts)), -(-len(prompts) // size))
    found = [decode(parts.network, prompts[some], lengths[some], COUNT, draft, end) for some in rows]
    fields = ("tokens", "lengths", "forwards", "drafts")
    return Decoded(*(np.concatenate([getattr(each, name) for each in found]) for name in fields))


def often_inside(found: Decoded, vocabulary: int) -> int:
    """The token that most often was a draft that stood and had another behind it: a good one to end samples with."""
    stood = (found.drafts[:, :COUNT] == 1).any(axis=2)
    followed = (found.drafts[:, 1 : COUNT + 1] >= 0).any(axis=2)
    return int(np.bincount(found.tokens[stood & followed], minlength=vocabulary).argmax())


def compare(wiring: dict[str, Any], prompts_count: int, steps: int = 60) -> Tally:
    """One wiring through all k and both batch sizes, with ends, and in single precision."""
    parts = trained(wiring, steps)
    tokens = parts.task.batch("test", np.arange(prompts_count)).tokens
    prompts, lengths = tokens[:, :20], np.random.default_rng(0).integers(1, 20, prompts_count)
    tally = Tally()
    parts.network.double()
    greedy = in_batches(parts, prompts, lengths, 16, 1, None).tokens
    end = often_inside(in_batches(parts, prompts, lengths, 16, 4, None), len(parts.task.vocabulary))
    for draft in (2, 3, 4):
        for size in (1, 16):
            found = in_batches(parts, prompts, lengths, size, draft, None)
            tally.compared += prompts_count
            tally.different += int((found.tokens != greedy).any(axis=1).sum())
        tally.tokens_per_forward[draft] = found.tokens_per_forward
        ended = in_batches(parts, prompts, lengths, 16, draft, end)
        tally.compared += prompts_count
        for row in range(prompts_count):
            wanted = greedy[row].tolist()
            length = wanted.index(end) + 1 if end in wanted else COUNT
            same = ended.tokens[row].tolist() == wanted[:length] + [end] * (COUNT - length)
            tally.different += not (same and ended.lengths[row] == length)
            stood = ended.drafts[row, length - 1] == 1
            tally.ends_inside += end in wanted and bool(stood.any()) and bool((ended.drafts[row, length] >= 0).any())
    parts.network.float()
    plain = in_batches(parts, prompts, lengths, 16, 1, None).tokens
    for draft in (2, 3, 4):
        for size in (1, 16):
            found = in_batches(parts, prompts, lengths, size, draft, None)
            for row in np.flatnonzero((found.tokens != plain).any(axis=1)):
                first = int(np.argmax(plain[row] != found.tokens[row]))
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
        f"{'wiring':<36}{'compared':>9}{'differ':>7}{'ends in drafts':>15}{'float32 parts, ties':>20}  tokens a forward"
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
