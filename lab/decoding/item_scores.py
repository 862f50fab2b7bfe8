"""Scores of held-out items in two formats: the answer generated, and the answer chosen by likelihood.

The paper finds that multi-token prediction helps generation and not multiple choice; items compare the two on the same
prompts and answers. Both formats use the next-token path alone.
"""

import numpy as np
import torch
from torch import Tensor

from generators.foundation.randomness import Floats, Integers
from generators.material.items import Items, choice_accuracy, exact_match, rouge_l
from lab.decoding.decoder import decode
from lab.run.assembly import RunParts

SEQUENCES_AT_ONCE = 128


def score_items(parts: RunParts, items: Items) -> dict[str, dict[str, float]]:
    """Returns the mean scores of a network over items, by format.

    Returns:
        "generation": exact_match and rouge_l (F1); "choice": accuracy, chance (1 / options) and the number of items.
    """
    means = {
        kind: {name: float(scores_B.mean()) for name, scores_B in scores.items()}
        for kind, scores in item_scores(parts, items).items()
    }
    return {**means, "choice": {**means["choice"], "chance": 1 / items.options.shape[1], "items": len(items)}}


def item_scores(parts: RunParts, items: Items) -> dict[str, dict[str, Floats]]:
    """Returns the scores of a network on each item [B], by format.

    Returns:
        "generation": exact_match (0 or 1) and rouge_l; "choice": accuracy (0 or 1, or a share if options tie).
    """
    generated = generate_answers(parts, items)
    texts = [[parts.task.text(row) for row in rows] for rows in (generated, items.answers)]
    generation = {
        "exact_match": exact_match(generated, items.answers).astype(np.float64),
        "rouge_l": rouge_l(*texts),
    }
    return {
        "generation": generation,
        "choice": {"accuracy": choice_accuracy(option_log_likelihoods(parts, items), items.right)},
    }


def generate_answers(parts: RunParts, items: Items) -> Integers:
    """Returns greedy continuations [B, A] of the prompts."""
    pieces = np.array_split(np.arange(len(items)), -(-len(items) // SEQUENCES_AT_ONCE))
    size = items.answers.shape[1]
    return np.concatenate(
        [decode(parts.network, items.prompts[rows], items.lengths[rows], size).tokens for rows in pieces]
    )


@torch.no_grad()
def option_log_likelihoods(parts: RunParts, items: Items) -> Floats:
    """Returns the log-probability in nats of each option after its prompt [B, k]."""
    tokens, mask = items.sequences()
    shape = tokens.shape[:2]
    rows = torch.from_numpy(tokens).flatten(0, 1)
    in_option = torch.from_numpy(mask).flatten(0, 1)
    sums: list[Tensor] = []
    chunks = (torch.split(tensor, SEQUENCES_AT_ONCE) for tensor in (rows, in_option))
    for chunk, chunk_mask in zip(*chunks, strict=True):
        row, place = chunk_mask.nonzero(as_tuple=True)
        inputs = chunk[:, :-1].to(parts.device)
        hidden_NxD = parts.network.hidden(parts.network.trunk(inputs), 1, inputs)[row, place - 1]
        log_p_NxV = parts.network.unembed(hidden_NxD, 1).float().log_softmax(dim=-1).cpu()
        log_p_N = log_p_NxV.gather(1, chunk[row, place][:, None])[:, 0].double()
        sums.append(torch.zeros(len(chunk), dtype=torch.float64).index_add_(0, row, log_p_N))
    return torch.cat(sums).view(shape).numpy()
