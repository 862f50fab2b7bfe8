"""Compares a network with the Llama that its modules would form.

An objective may replace the trunk, say by one with learned positions or by a recurrent network. Export, decoding with a
cache and analyses of attention compute the next-token path anew from its modules. Each of them first compares its
logits with those of the plain forward pass on a few samples.
"""

import numpy as np
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from lab.model.batches import TensorBatch
from lab.model.layers import Block
from lab.model.network import Trunk
from lab.objectives.objective import Objective

SAMPLES_COMPARED = 4
TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-3}
"""Largest distance between two logits, relative to the largest logit, by the precision of the weights."""
HALF_PRECISION_TOLERANCE = 5e-2


@torch.no_grad()
def next_token_logits(network: Objective, tokens_BxP: Tensor) -> Tensor:
    """Computes the logits [B, P, V] after each of P tokens by the plain forward pass, as evaluation does."""
    samples, positions = tokens_BxP.shape
    tokens_BxT = torch.cat((tokens_BxP, tokens_BxP[:, -1:]), dim=1)  # the last token of a batch is never read
    batch = TensorBatch(tokens_BxT, np.ones((samples, positions + 1), dtype=np.bool_), np.arange(samples))
    return network.unembed(network.hidden(network.latent(batch), 1, batch.inputs_BxP), 1)


def distance_text(logits: Tensor, expected: Tensor, dtype: torch.dtype) -> str:
    """Returns how far two computations of the same logits are apart, in words; "" if they agree.

    Args:
        dtype: the precision of the weights, which sets the tolerance.
    """
    logits, expected = logits.double().cpu(), expected.double().cpu()
    differs = ~torch.isclose(logits, expected, rtol=0, atol=0, equal_nan=True)  # infinite logits are equal too
    distance = (logits - expected).abs()[differs]
    largest = expected[expected.isfinite()].abs().max() if expected.isfinite().any() else torch.ones(())
    if bool((distance <= TOLERANCES.get(dtype, HALF_PRECISION_TOLERANCE) * largest).all()):
        return ""
    return f"logits differ by up to {float(distance.max()):z.2g}, where the largest is {float(largest):z.2g}"


def module_problem(network: Objective) -> str:
    """Describes the part of a network's trunk that a Llama does not have; "" if there is none."""
    trunk: object = network.trunk
    if not isinstance(trunk, Trunk):
        return f"its trunk is a {type(trunk).__name__}"
    other = next((layer for layer in trunk.layers if not isinstance(layer, Block)), None)
    return f"its trunk contains a {type(other).__name__}" if other is not None else ""


@torch.no_grad()
def require_layer_by_layer(network: Objective, tokens: Integers, subject: str) -> None:
    """Refuses a network that is not its embedding and layers, applied in order with rotary positions.

    Args:
        tokens: int64 [B, P], of which the first few samples are compared.
        subject: what reads the layers, for the error message.

    Raises:
        UserError: the plain forward pass gives other logits.
    """
    problem = module_problem(network)
    if not problem:
        device = network.trunk.embed_tokens.weight.device
        tokens_BxP = torch.from_numpy(np.ascontiguousarray(tokens[:SAMPLES_COMPARED])).to(device)
        rotary_2xPxK, path = network.trunk.rotary(tokens_BxP.shape[1]), network.next_token_path()
        x_BxPxD = network.trunk.embed_tokens(tokens_BxP)
        for layer in (*network.trunk.layers, *path.layers):
            x_BxPxD = layer(x_BxPxD, rotary_2xPxK) if isinstance(layer, Block) else layer(x_BxPxD)
        logits_BxPxV = path.unembedding(path.norm(x_BxPxD))
        problem = distance_text(logits_BxPxV, next_token_logits(network, tokens_BxP), logits_BxPxV.dtype)
    if problem:
        raise UserError(
            f"{subject}: reads a network layer by layer, but objective {network.config.kind} computes something else "
            f"than its transformer layers in order, with rotary positions ({problem})"
        )
