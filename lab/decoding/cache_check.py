"""Compares the network with decoding from a cache, which reads the weights of transformer layers."""

import numpy as np
import torch

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from lab.decoding.cached_network import CachedNetwork
from lab.objectives.llama_path import SAMPLES_COMPARED, distance_text, module_problem, next_token_logits
from lab.objectives.objective import Objective


@torch.inference_mode()
def require_cacheable(network: Objective, prompts: Integers, draft: int = 1) -> None:
    """Refuses a network for which a key-value cache gives other logits than the plain forward pass.

    The cache reads the first prompts as one block and their last token as a decoding step.

    Args:
        prompts: int64 [B, P].
        draft: the most tokens per forward pass.

    Raises:
        UserError: the logits differ, or the objective cannot draft that many tokens.
    """
    problem = module_problem(network)
    if not problem:
        tokens = prompts[:SAMPLES_COMPARED]
        tokens = np.repeat(tokens, 2, axis=1) if tokens.shape[1] == 1 else tokens
        problem = cached_distance(network, tokens[:, : network.trunk.rotary_2xTxK.shape[1]], draft)
    if problem:
        raise UserError(
            f"objective {network.config.kind}: decoding with a key-value cache does not give the predictions of its "
            f"network ({problem}); only networks of transformer layers with rotary positions can be decoded"
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
