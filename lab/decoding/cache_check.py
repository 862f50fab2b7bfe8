"""Compares a network with decoding, which may read the weights of its layers."""

import numpy as np
import torch

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from lab.decoding.cached_network import CachedNetwork
from lab.objectives.checks.llama_path import SAMPLES_COMPARED, distance_text, next_token_logits
from lab.objectives.objective import Objective


@torch.inference_mode()
def require_cacheable(network: Objective, prompts: Integers, draft: int = 1) -> None:
    """Refuses a network for which decoding gives other logits than the plain forward pass.

    Decoding reads the first prompts as one block and their last token as a step.

    Args:
        prompts: int64 [B, P].
        draft: the most tokens per forward pass.

    Raises:
        UserError: the logits differ, or the objective cannot draft that many tokens.
    """
    tokens = prompts[:SAMPLES_COMPARED]
    tokens = np.repeat(tokens, 2, axis=1) if tokens.shape[1] == 1 else tokens
    if problem := cached_distance(network, tokens[:, : network.trunk.length], draft):
        raise UserError(
            f"objective {network.config.kind} with a model of kind {network.trunk.config.kind}: decoding does not give "
            f"the predictions of its network ({problem}); `proposals` should compute what `hidden` computes"
        )


def cached_distance(network: Objective, tokens: Integers, draft: int) -> str:
    """Says how far the logits of the cache are from those of the network on tokens [B, P]; "" if they agree."""
    device = network.trunk.embed_tokens.weight.device
    samples, positions = tokens.shape
    cached = CachedNetwork(network, samples, positions + draft)
    first = max(1, positions - 1)
    hidden = [
        cached.read(piece, np.full(samples, start), draft)[0]
        for start, piece in ((0, tokens[:, :first]), (first, tokens[:, first:]))
        if piece.shape[1]
    ]
    logits_BxPxV = network.unembed(torch.cat(hidden, dim=1), 1)
    expected_BxPxV = next_token_logits(network, torch.from_numpy(np.ascontiguousarray(tokens)).to(device))
    return distance_text(logits_BxPxV, expected_BxPxV, network.trunk.embed_tokens.weight.dtype)
