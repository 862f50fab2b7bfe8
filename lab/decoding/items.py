"""One set of held-out items put to a network twice: to be generated, and to be chosen by likelihood.

The paper finds that multi-token prediction helps generation and not multiple choice; on equal prompts and answers
the two can be compared. Both use the next-token path alone.
"""

import numpy as np
import torch
from torch import Tensor

from generators.foundation.randomness import Integers
from generators.material.entropy import Floats
from generators.material.items import Items, choice_accuracy, exact_match, rouge_l
from generators.task import Batch
from lab.decoding.decoder import decode
from lab.run.assembly import Parts

SEQUENCES_AT_ONCE = 128


def score_items(parts: Parts, items: Items) -> dict[str, dict[str, float]]:
    """Means over the items. generation: exact_match, rouge_l (F1); choice: accuracy, chance (1/options), items."""
    means = {
        posing: {name: float(scores_B.mean()) for name, scores_B in each.items()}
        for posing, each in item_scores(parts, items).items()
    }
    return {**means, "choice": {**means["choice"], "chance": 1 / items.options.shape[1], "items": len(items)}}


def item_scores(parts: Parts, items: Items) -> dict[str, dict[str, Floats]]:
    """Of each item [B]. generation: exact_match, 0 or 1, and rouge_l; choice: accuracy, 0 or 1, shared where tied."""
    generated = generate(parts, items)
    texts = [[parts.task.text(row) for row in rows] for rows in (generated, items.answers)]
    generation = {
        "exact_match": exact_match(generated, items.answers).astype(np.float64),
        "rouge_l": rouge_l(*texts),
    }
    return {
        "generation": generation,
        "choice": {"accuracy": choice_accuracy(log_likelihoods(parts, items), items.right)},
    }


def prompts_of(batch: Batch) -> tuple[Integers, Integers, int]:
    """Samples cut off where they begin to be scored, or in the middle where they are from the start.

    Returns:
        prompts [B, P] from the left, their lengths [B], and how many tokens may follow the longest of them.
    """
    length = batch.tokens.shape[1]
    first = batch.scored.argmax(axis=1)
    lengths = np.where(first > 1, first, length // 2)
    longest = int(lengths.max())
    return batch.tokens[:, :longest], lengths, length - longest


def generate(parts: Parts, items: Items) -> Integers:
    """Greedy continuations [B, A] of the prompts."""
    pieces = np.array_split(np.arange(len(items)), -(-len(items) // SEQUENCES_AT_ONCE))
    size = items.answers.shape[1]
    return np.concatenate(
        [decode(parts.network, items.prompts[rows], items.lengths[rows], size).tokens for rows in pieces]
    )


@torch.no_grad()
def log_likelihoods(parts: Parts, items: Items) -> Floats:
    """Log-probability in nats of each option behind its prompt [B, k]."""
    tokens, mask = items.sequences()
    shape = tokens.shape[:2]
    rows = torch.from_numpy(tokens).flatten(0, 1)
    inside = torch.from_numpy(mask).flatten(0, 1)
    found: list[Tensor] = []
    for some, where in zip(*(torch.split(each, SEQUENCES_AT_ONCE) for each in (rows, inside)), strict=True):
        row, place = where.nonzero(as_tuple=True)
        read = some[:, :-1].to(parts.device)
        hidden_NxD = parts.network.hidden(parts.network.trunk(read), 1, read)[row, place - 1]
        log_p_NxV = parts.network.unembed(hidden_NxD, 1).float().log_softmax(dim=-1).cpu()
        log_p_N = log_p_NxV.gather(1, some[row, place][:, None])[:, 0].double()
        found.append(torch.zeros(len(some), dtype=torch.float64).index_add_(0, row, log_p_N))
    return torch.cat(found).view(shape).numpy()
